//! What a task says has to be what the graph says.

use model::Fanout;
use scheduler::{FailureKind, RunOutcome};

use crate::scenario::Scenario;

fn check(lines: &[&str], next: &[&str], fanout: Fanout, message: &str) {
    let mut s = Scenario::new(lines).begin();
    let next = next.iter().map(|&step| step.to_owned()).collect();
    s.goes_on("start", next, fanout);
    s.expect(&["launch start", "halt Failed", &format!("finish: {message}")]);
    let Some(RunOutcome::Failed(failure)) = &s.ended else {
        panic!("{:?}", s.ended);
    };
    assert_eq!(failure.kind(), FailureKind::Internal);
    assert_eq!(failure.body("1"), message);
    s.assert_quiet();
}

#[test]
fn other_steps_than_the_graph_has() {
    let lines = &["start -> a b", "a -> j", "b -> j", "join j -> end", "end"];
    for next in [&["b", "a"][..], &["a"], &[]] {
        let message = format!(
            "Based on static analysis of the code, step *start* was expected to transition to \
             step(s) *a, b*. However, when the code was executed, self.next() was called with \
             *{}*. Make sure there is only one unconditional self.next() call in the end of your \
             step. ",
            next.join(", ")
        );
        check(lines, next, Fanout::One, &message);
    }
}

#[test]
fn a_switch_that_does_not_choose_one_case() {
    let lines = &["start ? a b", "a -> end", "b -> end", "end"];
    let message = "Switch step *start* should transition to exactly one step at runtime, but got: ";
    check(lines, &[], Fanout::One, message);
    check(lines, &["a", "b"], Fanout::One, &format!("{message}a, b"));
    check(
        lines,
        &["end"],
        Fanout::One,
        "Switch step *start* transitioned to unexpected step *end*. Expected one of: a, b",
    );
}

#[test]
fn a_join_beside_another_step() {
    check(
        &["start -> a j", "a -> j", "join j -> end", "end"],
        &["a", "j"],
        Fanout::One,
        "Step *start* transitions to a join and another step. The join must be the only \
         transition.",
    );
}

#[test]
fn a_foreach_over_two_steps() {
    check(
        &["start => a b", "a -> j", "b -> j", "join j -> end", "end"],
        &["a", "b"],
        Fanout::Foreach { splits: 2 },
        "Step *start* makes a foreach split but it defines multiple transitions. Specify only one \
         transition for foreach.",
    );
}

#[test]
fn an_unbounded_foreach() {
    check(
        &["start => a", "a -> j", "join j -> end", "end"],
        &["a"],
        Fanout::Unbounded,
        "Step *start* makes an unbounded foreach, which Ferroflow leaves to Metaflow's own \
         scheduler; this run should have been handed back to it. This is a bug, please report it.",
    );
}

#[test]
fn a_foreach_only_in_the_graph_or_only_in_the_run() {
    check(
        &["start => a", "a -> j", "join j -> end", "end"],
        &["a"],
        Fanout::One,
        "Step *start* made no foreach split when the code was executed, but static analysis of the \
         code says otherwise. Make sure that self.next() is called with a constant 'foreach' \
         argument.",
    );
    check(
        &["start -> a", "a -> end", "end"],
        &["a"],
        Fanout::Foreach { splits: 2 },
        "Step *start* made a foreach split when the code was executed, but static analysis of the \
         code says otherwise. Make sure that self.next() is called with a constant 'foreach' \
         argument.",
    );
}
