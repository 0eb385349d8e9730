//! How runs end other than well.

use model::Timestamp;
use scheduler::{
    Command, Event, FailureKind, HaltCause, Run, RunFailure, RunOutcome, end_not_reached,
};

use crate::{
    flow::{arc, name, plan},
    scenario::Scenario,
};

const BRANCHES: &[&str] = &[
    "start -> a b c",
    "a -> a2",
    "a2 -> j",
    "b -> j",
    "c -> j",
    "join j -> end",
    "end",
];

fn branches() -> Scenario {
    let mut s = Scenario::new(BRANCHES).retry("b", 1, 0).begin();
    s.done("start")
        .expect(&["launch start", "launch a", "launch b", "launch c"]);
    s
}

#[test]
fn a_failure_stops_the_rest_and_waits_for_it() {
    let mut s = branches();
    s.fails("c").expect(&["halt Failed"]);
    s.done("a").expect(&[]);
    s.fails("b").expect(&["finish: Step *c* failed."]);
    s.assert_quiet();
}

#[test]
fn a_failure_drops_what_is_queued() {
    let mut s = Scenario::new(&["start => a", "a -> j", "join j -> end", "end"])
        .max_workers(2)
        .begin();
    s.splits("start", 50).fails("a[1]");
    s.expect(&["launch start", "launch a[0]", "launch a[1]", "halt Failed"]);
    assert_eq!(s.run().progress().queued, 0);
    s.done("a[0]").expect(&["finish: Step *a* failed."]);
}

#[test]
fn a_failure_forgets_timers_and_relaunches() {
    let mut s = Scenario::new(BRANCHES)
        .retry("a", 1, 0)
        .retry("b", 1, 0)
        .batch("b", 1)
        .begin();
    s.done("start").fails("b");
    s.expect(&[
        "launch start",
        "launch a",
        "launch b on batch",
        "launch c",
        "wake b.1 in 1 min",
    ]);
    s.fails("c").is_due("b").expect(&["halt Failed"]);
    s.fails("a").expect(&["finish: Step *c* failed."]);
    s.is_due("b").assert_quiet();
}

#[test]
fn only_the_first_failure_counts() {
    let mut s = branches();
    s.fails("c").fails("a").interrupt().cannot_launch("b");
    s.expect(&["halt Failed", "finish: Step *c* failed."]);
    s.assert_quiet();
}

#[test]
fn an_interrupt_stops_everything() {
    let mut s = branches();
    s.interrupt().expect(&["halt Interrupted"]);
    s.done("a").fails("c").interrupt().expect(&[]);
    s.done("b").expect(&["finish Interrupted"]);
    s.event(Event::Begun).interrupt().assert_quiet();
}

#[test]
fn an_interrupt_may_find_nothing_in_flight() {
    let mut s = Scenario::new(BRANCHES)
        .retry("start", 1, 0)
        .batch("start", 1)
        .begin();
    s.fails("start").interrupt();
    s.expect(&[
        "launch start on batch",
        "wake start.1 in 1 min",
        "halt Interrupted",
        "finish Interrupted",
    ]);
    s.is_due("start").assert_quiet();
}

#[test]
fn an_interrupt_may_come_before_the_beginning() {
    let mut run = Run::new(arc(&plan(BRANCHES))).unwrap();
    let mut out = Vec::new();
    for event in [Event::Interrupted, Event::Begun] {
        run.handle(Timestamp(0), event, &mut out);
        run.dispatch(Timestamp(0), &mut out);
    }
    assert_eq!(
        out,
        [
            Command::Halt(HaltCause::Interrupted),
            Command::Finish(RunOutcome::Interrupted)
        ]
    );
}

#[test]
fn exit_202_drops_the_task_and_nothing_else() {
    let mut s = branches();
    s.exits_202("b").expect(&[]);
    s.done("a").expect(&["launch a2"]);
    s.done("c").expect(&[]);
    s.done("a2").expect(&["finish EndNotReached"]);
    s.assert_quiet();
    assert_eq!(
        end_not_reached(&name("end")),
        "The terminal step *end* was not successful by the end of flow."
    );
}

#[test]
fn a_refused_launch_is_like_exit_202() {
    let mut s = branches();
    s.is_refused("b")
        .done("a")
        .done("a2")
        .expect(&["launch a2"]);
    s.done("c").expect(&["finish EndNotReached"]);
    s.assert_quiet();
}

#[test]
fn the_host_may_fail_to_prepare_an_attempt() {
    let mut s = branches();
    s.cannot_launch("b").expect(&["halt Failed"]);
    s.done("a").done("c");
    s.expect(&["finish: The flow host could not launch attempt 0 of step *b*."]);
    let Some(RunOutcome::Failed(failure)) = &s.ended else {
        panic!("{:?}", s.ended);
    };
    assert_eq!(failure.kind(), FailureKind::Host);
    assert_eq!(failure.task(), Some(s.key("b")));
    s.assert_quiet();
}

#[test]
fn a_foreach_may_be_too_wide() {
    let mut s = Scenario::new(&["start => a", "a -> j", "join j -> end", "end"])
        .max_num_splits(3)
        .begin();
    s.splits("start", 4);
    let text = "Foreach in step *start* yielded 4 child steps which is more than the current \
                maximum of 3 children. You can raise the maximum with the --max-num-splits \
                option. ";
    s.expect(&["launch start", "halt Failed", &format!("finish: {text}")]);
    let failure = RunFailure::TooManySplits {
        task: s.key("start"),
        step: name("start"),
        splits: 4,
        max: 3,
    };
    assert_eq!(failure.kind(), FailureKind::TaskFailed);
    assert_eq!(
        failure.body("1"),
        format!("Step *start* (task-id 1) failed: {text}")
    );
    assert_eq!(s.ended, Some(RunOutcome::Failed(failure)));
}

#[test]
fn a_foreach_may_be_as_wide_as_allowed() {
    let mut s = Scenario::new(&["start => a", "a -> j", "join j -> end", "end"])
        .max_num_splits(3)
        .begin();
    s.splits("start", 3);
    assert_eq!(s.run().in_flight(), 3);
}
