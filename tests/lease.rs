//! The lease of a run whose datastore answers badly: the launcher goes on renewing it, and takes its own writes for its own.

#![cfg(target_os = "linux")]

mod harness;

use checker::Expectations;
use harness::{
    blocked::{Blocked, SHORT_LEASE, Setup},
    processes::alive,
    wait_for,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};

/// A run whose jobs block, with something wrong about its lease.
fn start(lease: &str, mut rule: Value) -> Blocked {
    rule["operation"] = json!("PutObject");
    rule["subject"] = json!("/lease");
    Blocked::start(&Setup {
        environment: &[("FERROFLOW_LEASE", lease)],
        faults: &[rule],
        // The faults come before that.
        blocking: 0,
        ..Setup::default()
    })
}

/// Waits until the lease was written after the last of so many faults.
fn outlives(run: &Blocked, faults: usize) {
    wait_for("the lease to be renewed in spite of all", || {
        assert!(alive(run.running.pid()), "{}", run.running.output());
        let mut lines = run.stack.history_lines(&["fault", "object.replaced"]);
        lines.retain(|line| {
            let key = line["detail"]["key"].as_str();
            line["kind"] == "fault" || key.is_some_and(|key| key.ends_with("/lease"))
        });
        let seen = lines.iter().filter(|line| line["kind"] == "fault").count();
        let since = lines.iter().rev();
        let renewed = since.take_while(|line| line["kind"] != "fault").count();
        seen == faults && renewed >= 2
    });
}

/// Panics unless the run ends well.
fn ends_well(run: Blocked) {
    wait_for("both jobs to block", || {
        assert!(alive(run.running.pid()), "{}", run.running.output());
        ["task-0", "task-1"]
            .iter()
            .all(|task| run.lab.shared(task).exists())
    });
    run.release();
    run.into_story().1.wait().exited(0).says("Done!");
}

/// The next renewal meets a lease that is not the one that it has seen, and yet its own.
#[test]
fn a_renewal_whose_reply_was_lost_is_ones_own() {
    let run = start("10s", json!({"nth": 2, "times": 3, "fault": "lose_reply"}));
    outlives(&run, 3);
    ends_well(run);
}

/// Tasks would end, and be launched again, if it were a minute before the lease is renewed.
#[test]
fn a_request_that_hangs_keeps_no_lease_from_being_renewed() {
    let run = start(
        "60s",
        json!({"nth": 2, "times": 2, "fault": {"delay": 3600}}),
    );
    outlives(&run, 2);
    ends_well(run);
}

/// One that slept finds another lease than its own, which may be its own, too: it had been about to renew it.
#[test]
fn a_launcher_that_is_not_told_whose_the_lease_is_asks_nothing_of_batch() {
    let unavailable = json!({"refuse": {"status": 503, "code": "SlowDown"}});
    let rule = json!({
        "operation": "GetObject", "subject": "/lease", "client": "app/launcher", "times": 2,
        "fault": unavailable,
    });
    let run = Blocked::start(&Setup {
        environment: &[SHORT_LEASE],
        faults: &[rule],
        ..Setup::default()
    });
    let engine = Pid::from_raw(run.engine);
    kill(engine, Signal::SIGSTOP).expect("the engine is there");
    let second = run.verb_with("attach", &["--take-over"]);
    wait_for("the lease to be the second launcher's", || {
        assert!(alive(second.pid()), "{}", second.output());
        let written = run.stack.history("object.replaced").into_iter();
        let mut leases = written.filter(|object| object["key"].to_string().contains("/lease"));
        leases.any(|lease| lease["by"]["app"] == "second-launcher")
    });
    kill(engine, Signal::SIGCONT).expect("the engine is there");
    wait_for("the first launcher to read the lease", || {
        !alive(run.running.pid())
    });
    assert_eq!(run.stack.history("fault").len(), 2);
    run.release();
    let (story, first) = run.into_story();
    first
        .wait()
        .exited(1)
        .says("this launcher no longer drives the run");
    second.wait().exited(0).says("Done!");
    story.kept_its_promises(&Expectations::default());
}
