//! `@retry`, `@catch`, and where attempts run.

use model::Attempt;
use scheduler::{Event, FailureClass, FailureKind, Outcome, RunFailure, RunOutcome, TimerId};

use crate::{flow::name, scenario::Scenario};

const LINEAR: &[&str] = &["start -> a", "a -> end", "end"];
const WIDE: &[&str] = &["start => a", "a -> j", "join j -> end", "end"];

#[test]
fn a_failed_attempt_is_repeated_at_once() {
    let mut s = Scenario::new(LINEAR).retry("a", 2, 0).begin();
    s.done("start").fails("a").fails("a");
    s.expect(&["launch start", "launch a", "launch a.1", "launch a.2"]);
    assert_eq!(s.max_user_code_retries("a"), 2);
    s.done("a").expect(&["launch end"]);
}

#[test]
fn a_task_out_of_retries_fails_the_run() {
    let mut s = Scenario::new(LINEAR).retry("a", 1, 0).begin();
    s.done("start").fails("a").fails("a");
    s.expect(&[
        "launch start",
        "launch a",
        "launch a.1",
        "halt Failed",
        "finish: Step *a* failed.",
    ]);
    let failure = RunFailure::TaskFailed {
        task: s.key("a"),
        step: name("a"),
    };
    assert_eq!(failure.kind(), FailureKind::TaskFailed);
    assert_eq!(failure.body("17"), "Step *a* (task-id 17) failed.");
    assert_eq!(s.ended, Some(RunOutcome::Failed(failure)));
    s.assert_quiet();
}

#[test]
fn a_task_that_somebody_ended_fails_the_run_in_spite_of_retries() {
    let mut s = Scenario::new(WIDE).retry("a", 3, 1).max_workers(1).begin();
    s.splits("start", 2)
        .ends("a[0]", Outcome::Failed(FailureClass::Cancelled));
    s.expect(&[
        "launch start",
        "launch a[0]",
        "halt Failed",
        "finish: Step *a* failed.",
    ]);
    s.assert_quiet();
}

#[test]
fn a_retry_keeps_its_slot() {
    let mut s = Scenario::new(WIDE).retry("a", 1, 0).max_workers(2).begin();
    s.splits("start", 4)
        .expect(&["launch start", "launch a[0]", "launch a[1]"]);
    let ended = |key, outcome| Event::TaskEnded {
        task: key,
        attempt: Attempt(0),
        outcome,
    };
    let (first, second) = (s.key("a[0]"), s.key("a[1]"));
    s.events(vec![
        ended(first, Outcome::Failed(FailureClass::User)),
        ended(second, Outcome::Failed(FailureClass::User)),
    ]);
    s.expect(&["launch a[0].1", "launch a[1].1"]);
    s.done("a[1]").expect(&["launch a[2]"]);
}

#[test]
fn on_batch_a_retry_waits_without_a_slot() {
    let mut s = Scenario::new(WIDE)
        .retry("a", 1, 0)
        .batch("a", 2)
        .max_workers(1)
        .begin();
    s.splits("start", 3);
    s.expect(&["launch start", "launch a[0] on batch"]);
    s.fails("a[0]")
        .expect(&["wake a[0].1 in 2 min", "launch a[1] on batch"]);
    assert_eq!(s.run().progress().backing_off, 1);
    s.is_due("a[0]").expect(&[]);
    s.done("a[1]").expect(&["launch a[0].1 on batch"]);
    s.is_due("a[0]").expect(&[]);
    s.done("a[0]").expect(&["launch a[2] on batch"]);
}

#[test]
fn a_run_waits_for_its_timers() {
    let mut s = Scenario::new(LINEAR).retry("a", 1, 0).batch("a", 5).begin();
    s.done("start").fails("a");
    s.expect(&["launch start", "launch a on batch", "wake a.1 in 5 min"]);
    assert_eq!(s.run().in_flight(), 0);
    let wrong = TimerId {
        task: s.key("a"),
        attempt: Attempt(2),
    };
    s.event(Event::Due(wrong)).expect(&[]);
    s.is_due("a").expect(&["launch a.1 on batch"]);
}

#[test]
fn a_batch_retry_without_a_delay_is_immediate() {
    let mut s = Scenario::new(LINEAR).retry("a", 1, 0).batch("a", 0).begin();
    s.done("start").fails("a");
    s.expect(&["launch start", "launch a on batch", "launch a.1 on batch"]);
}

#[test]
fn the_fallback_of_catch_runs_locally_and_at_once() {
    let mut s = Scenario::new(LINEAR).retry("a", 1, 3).batch("a", 2).begin();
    s.done("start").fails("a").is_due("a").fails("a").fails("a");
    s.expect(&[
        "launch start",
        "launch a on batch",
        "wake a.1 in 2 min",
        "launch a.1 on batch",
        "launch a.2",
        "launch a.3",
    ]);
    s.done("a").expect(&["launch end"]);
}

#[test]
fn fallbacks_may_run_out() {
    let mut s = Scenario::new(LINEAR).retry("a", 0, 3).begin();
    s.done("start").fails("a").fails("a").fails("a").fails("a");
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

#[test]
fn there_are_six_attempts_at_most() {
    let mut s = Scenario::new(LINEAR).retry("a", 4, 3).begin();
    s.done("start");
    for _ in 0..6 {
        s.fails("a");
    }
    s.expect(&[
        "launch start",
        "launch a",
        "launch a.1",
        "launch a.2",
        "launch a.3",
        "launch a.4",
        "launch a.5",
        "halt Failed",
        "finish: Too many task attempts (6)! MAX_ATTEMPTS exceeded.",
    ]);
}

#[test]
fn a_stale_attempt_changes_nothing() {
    let mut s = Scenario::new(LINEAR).retry("a", 2, 0).begin();
    s.done("start").fails("a");
    s.expect(&["launch start", "launch a", "launch a.1"]);
    let task = s.key("a");
    for (attempt, outcome) in [
        (0, Outcome::Failed(FailureClass::User)),
        (0, Outcome::Lost { free: 3 }),
        (2, Outcome::Failed(FailureClass::NoRetry)),
    ] {
        let attempt = Attempt(attempt);
        s.event(Event::LaunchRefused { task, attempt });
        s.event(Event::LaunchFailed { task, attempt });
        s.event(Event::TaskEnded {
            task,
            attempt,
            outcome,
        });
    }
    s.event(Event::Begun);
    s.expect(&[]);
    assert_eq!(s.run().in_flight(), 1);
    s.done("a").expect(&["launch end"]);
}
