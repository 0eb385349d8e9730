//! Attempts that are lost with their infrastructure.

use crate::scenario::Scenario;

const LINEAR: &[&str] = &["start -> a", "a -> end", "end"];

#[test]
fn a_lost_attempt_costs_no_retry() {
    let mut s = Scenario::new(LINEAR).retry("a", 1, 0).batch("a", 2).begin();
    s.done("start").is_lost("a").is_lost("a");
    s.expect(&[
        "launch start",
        "launch a on batch",
        "launch a.1 on batch",
        "launch a.2 on batch",
    ]);
    assert_eq!(s.max_user_code_retries("a"), 3);
    assert!(s.is_free("a"));
    s.fails("a").is_due("a");
    s.expect(&["wake a.3 in 2 min", "launch a.3 on batch"]);
    assert_eq!(s.max_user_code_retries("a"), 3);
    assert!(!s.is_free("a"));
    s.fails("a")
        .expect(&["halt Failed", "finish: Step *a* failed."]);
}

#[test]
fn after_three_losses_a_task_fails() {
    let mut s = Scenario::new(LINEAR).begin();
    s.done("start");
    for _ in 0..4 {
        s.is_lost("a");
    }
    s.expect(&[
        "launch start",
        "launch a",
        "launch a.1",
        "launch a.2",
        "launch a.3",
        "halt Failed",
        "finish: Step *a* failed.",
    ]);
}

/// Upstream takes every loss for a failure; so do we once the free ones are used up.
#[test]
fn after_three_losses_the_next_costs_a_retry() {
    let mut s = Scenario::new(LINEAR).retry("a", 1, 0).begin();
    s.done("start");
    for _ in 0..4 {
        s.is_lost("a");
    }
    s.expect(&[
        "launch start",
        "launch a",
        "launch a.1",
        "launch a.2",
        "launch a.3",
        "launch a.4",
    ]);
    assert_eq!(s.max_user_code_retries("a"), 4);
    s.is_lost("a")
        .expect(&["halt Failed", "finish: Step *a* failed."]);
}

#[test]
fn losses_leave_a_number_for_the_fallback() {
    let mut s = Scenario::new(LINEAR).retry("a", 4, 3).batch("a", 0).begin();
    s.done("start").is_lost("a");
    s.expect(&["launch start", "launch a on batch", "launch a.1 on batch"]);
    assert_eq!(s.max_user_code_retries("a"), 4);
    s.fails("a").fails("a").fails("a").fails("a");
    s.expect(&[
        "launch a.2 on batch",
        "launch a.3 on batch",
        "launch a.4 on batch",
        "launch a.5",
    ]);
}

#[test]
fn a_lost_fallback_stays_a_fallback() {
    let mut s = Scenario::new(LINEAR).retry("a", 0, 3).batch("a", 0).begin();
    s.done("start").fails("a").is_lost("a");
    s.expect(&[
        "launch start",
        "launch a on batch",
        "launch a.1",
        "launch a.2",
    ]);
    assert_eq!(s.max_user_code_retries("a"), 1);
}

/// The numbers ran out because of losses: not a mistake of the decorators, so the task has failed.
#[test]
fn numbers_used_up_by_losses_fail_the_task() {
    let mut s = Scenario::new(LINEAR).retry("a", 2, 3).begin();
    s.done("start").is_lost("a").is_lost("a");
    s.fails("a").fails("a").fails("a").fails("a");
    s.expect(&[
        "launch start",
        "launch a",
        "launch a.1",
        "launch a.2",
        "launch a.3",
        "launch a.4",
        "launch a.5",
        "halt Failed",
        "finish: Step *a* failed.",
    ]);
}

/// An interruption that nobody explains is free twice, an unknown end once: then it costs a retry,
/// and without one the task has failed.
#[test]
fn how_many_losses_are_free_depends_on_the_loss() {
    for free in [1, 2] {
        let mut s = Scenario::new(LINEAR).retry("a", 1, 0).begin();
        s.done("start").expect(&["launch start", "launch a"]);
        for loss in 1..=free {
            s.is_lost_at_most(free, "a")
                .expect(&[&format!("launch a.{loss}")]);
            assert!(s.is_free("a"));
        }
        s.is_lost_at_most(free, "a")
            .expect(&[&format!("launch a.{}", free + 1)]);
        assert!(!s.is_free("a"));
        s.is_lost_at_most(free, "a")
            .expect(&["halt Failed", "finish: Step *a* failed."]);
    }
}

/// All losses of a task count together.
#[test]
fn an_unknown_end_after_a_lost_host_is_not_free() {
    let mut s = Scenario::new(LINEAR).begin();
    s.done("start").is_lost("a");
    s.expect(&["launch start", "launch a", "launch a.1"]);
    s.is_lost_at_most(1, "a")
        .expect(&["halt Failed", "finish: Step *a* failed."]);
}
