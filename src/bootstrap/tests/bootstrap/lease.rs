//! What a container does by the lease of its run, and when its next attempt was launched. The store's answers come one after
//! the other, so that no test depends on how long anything takes.

use std::{
    fs,
    process::Child,
    thread,
    time::{Duration, Instant},
};

use model::{
    exit_code::container as exit_code,
    layout::Stream,
    lease::LeaseTerms,
    spec::{Ended, Stopped},
};
use nix::{sys::signal::kill, unistd::Pid};

use crate::{
    fixture::{Fixture, eventually},
    server::{Fault, Version},
};

const LEASE: &str = "bucket/root/.ferroflow/F/7/lease";
const NEXT_ATTEMPT: &str = "bucket/root/F/7/start/1/1.attempt.json";

const STDERR: &str = "bucket/root/F/7/start/1/0.task_stderr.log";

const RENEWED: &str = "Wed, 25 Nov 2026 00:00:00 GMT";
const MINUTES_LATER: &str = "Wed, 25 Nov 2026 00:10:00 GMT";
const LATER_THAN_THE_GATE: &str = "Wed, 25 Nov 2026 00:16:40 GMT";
const LATER_THAN_THE_GRACE: &str = "Thu, 26 Nov 2026 00:00:01 GMT";

/// A script that waits until the test says `go`.
const WAITS: &str =
    "touch ../../running; while [ ! -e ../../go ]; do sleep 0.05; done; echo went on";
/// A script that does so until it is told to stop.
const LISTENS: &str =
    "trap 'echo bye; exit 42' TERM; touch ../../running; while :; do sleep 0.05; done";
/// A script that does not listen.
const DEAF: &str = "trap '' TERM; echo $$ > ../../pid; echo one; printf partial; touch ../../running; \
     while :; do sleep 0.05; done";

/// The state, the time of the answer, and which renewal.
fn lease(state: &str, date: &str, etag: &str) -> Version {
    let body = format!(
        r#"{{"version": 1, "holder": "h", "host": "m", "pid": 1, "state": "{state}", "renewed_at": 5,
            "interval_seconds": 30}}"#
    );
    Version {
        headers: vec![
            ("date", date.to_owned()),
            ("last-modified", RENEWED.to_owned()),
            ("etag", format!("\"{etag}\"")),
        ],
        body: body.into(),
    }
}

fn fresh() -> Version {
    lease("running", RENEWED, "fresh")
}

fn lapsed(etag: &str) -> Version {
    lease("running", LATER_THAN_THE_GRACE, etag)
}

/// A container of a run with a lease, which is looked at each second or so.
fn fixture(script: &str, leases: impl IntoIterator<Item = Version>) -> Fixture {
    let mut fixture = Fixture::new(script);
    fixture.spec.lease = Some(LeaseTerms {
        key: ".ferroflow/F/7/lease".into(),
        gate_seconds: 900,
        grace_seconds: 86_400,
        cadence_seconds: 1,
    });
    fixture.settings.look_patience = Duration::from_millis(300);
    fixture.server.put_series(LEASE, leases);
    fixture
}

/// Runs a container whose lease is one after the other of these once its script runs, which goes on when all were read.
fn outlives(leases: impl IntoIterator<Item = Version>) {
    let mut fixture = fixture(WAITS, [fresh()]);
    let leases: Vec<_> = leases.into_iter().collect();
    let server = fixture.server.clone();
    let (running, go) = (fixture.path("running"), fixture.path("go"));
    let tester = thread::spawn(move || {
        eventually("a running step", || running.exists());
        let reads = server.reads(LEASE) + leases.len();
        server.put_series(LEASE, leases);
        eventually("looks at the lease", || server.reads(LEASE) >= reads);
        fs::write(go, "").unwrap();
    });
    let ended = fixture.run();
    tester.join().unwrap();
    assert_eq!(ended.code, 0, "{}", String::from_utf8_lossy(&ended.stderr));
    assert_eq!(fixture.output(), ["went on"]);
    assert!(fixture.outcome().is_some());
}

/// Runs a container whose lease is this once its script runs.
fn run_until(fixture: &mut Fixture, leases: &[Version]) -> i32 {
    let (server, running) = (fixture.server.clone(), fixture.path("running"));
    let leases = leases.to_vec();
    let tester = thread::spawn(move || {
        eventually("a running step", || running.exists());
        server.put_series(LEASE, leases);
    });
    let code = fixture.run().code;
    tester.join().unwrap();
    code
}

#[test]
fn a_task_starts_while_somebody_drives_its_run() {
    let mut fixture = fixture("echo one", [lease("running", MINUTES_LATER, "a")]);
    assert_eq!(fixture.run().code, 0);
    assert_eq!(fixture.output(), ["one"]);
    let seen = fixture.server.seen();
    let place = |what: &str| seen.iter().position(|seen| seen.path.contains(what));
    assert!(place("/claim/") < place("/lease"));
}

#[test]
fn without_a_lease_nothing_is_looked_for() {
    let mut fixture = Fixture::new("echo one");
    fixture.server.put(NEXT_ATTEMPT, "{}");
    assert_eq!(fixture.run().code, 0);
    let seen = fixture.server.seen();
    let looks = seen.iter().filter(|seen| {
        seen.method == "HEAD" || seen.path.contains("lease") || seen.path.contains("attempt.json")
    });
    assert_eq!(looks.count(), 0);
}

#[test]
fn a_task_does_not_start_when_nobody_does() {
    let mut fixture = fixture(
        "touch ../../ran",
        [lease("running", LATER_THAN_THE_GATE, "a")],
    );
    assert_eq!(fixture.run().code, exit_code::BOOTSTRAP_FAILED);
    assert!(!fixture.path("ran").exists());
    assert!(fixture.claim().is_some());
    let Ended::NotStarted {
        message,
        passing,
        stopped,
    } = fixture.outcome().unwrap().ended
    else {
        panic!("it started");
    };
    assert!(
        message.contains("1000 s ago") && message.contains("`ferroflow attach F/7`"),
        "{message}"
    );
    assert!(passing);
    assert_eq!(stopped, Some(Stopped::LauncherLost));
    assert!(fixture.errors().contains("ferroflow attach"));
}

#[test]
fn a_task_does_not_start_when_its_run_is_over() {
    for state in ["cancelled", "finished"] {
        let mut fixture = fixture("touch ../../ran", [lease(state, RENEWED, "a")]);
        assert_eq!(fixture.run().code, exit_code::BOOTSTRAP_FAILED, "{state}");
        assert!(!fixture.path("ran").exists(), "{state}");
        let ended = fixture.outcome().unwrap().ended;
        assert!(
            matches!(
                ended,
                Ended::NotStarted {
                    passing: false,
                    stopped: Some(Stopped::Cancelled),
                    ..
                }
            ),
            "{ended:?}"
        );
    }
}

/// What another container has claimed leaves no outcome, whatever the lease says.
#[test]
fn a_claim_comes_before_the_gate() {
    let mut fixture = fixture("touch ../../ran", [lease("cancelled", RENEWED, "a")]);
    let claim = format!("bucket/root/{}", fixture.spec.claim);
    let other = r#"{"kind": "claimed", "nonce": "other", "job": "other"}"#;
    fixture.server.put(&claim, other);
    assert_eq!(fixture.run().code, exit_code::DUPLICATE);
    assert!(fixture.outcome().is_none());
    assert_eq!(fixture.server.reads(LEASE), 0);
}

#[test]
fn a_task_starts_when_nothing_is_known_of_its_lease() {
    let mut old = lease("running", LATER_THAN_THE_GATE, "a");
    let without_date = Version {
        headers: old.headers.split_off(1),
        ..old.clone()
    };
    let text = |text: &str| Version {
        body: text.into(),
        ..fresh()
    };
    for unknown in [
        without_date,
        text("{"),
        text(r#"{"version": 2, "state": "cancelled"}"#),
        text(r#"{"version": 1, "state": "paused"}"#),
    ] {
        let mut fixture = fixture("echo one", [unknown]);
        assert_eq!(fixture.run().code, 0);
        assert_eq!(fixture.output(), ["one"]);
    }
    let mut missing = fixture("echo one", []);
    assert_eq!(missing.run().code, 0);
    assert_eq!(missing.output(), ["one"]);
}

#[test]
fn a_task_starts_when_its_lease_cannot_be_read() {
    for fault in [
        Fault::Status(500),
        Fault::Status(403),
        Fault::Reset,
        Fault::Torn,
        Fault::Slow(Duration::from_secs(50)),
    ] {
        let mut fixture = fixture("echo one", [lease("cancelled", RENEWED, "a")]);
        fixture.server.fail("GET", "/lease", 1000, fault);
        let started = Instant::now();
        assert_eq!(fixture.run().code, 0, "{fault:?}");
        assert!(started.elapsed() < Duration::from_secs(40), "{fault:?}");
        assert_eq!(fixture.output(), ["one"], "{fault:?}");
    }
}

#[test]
fn looks_that_do_not_agree_end_no_task() {
    outlives([
        lapsed("a"),
        lapsed("b"),
        lease("running", MINUTES_LATER, "b"),
        lapsed("b"),
        fresh(),
    ]);
}

#[test]
fn a_task_without_a_launcher_is_ended() {
    let unreadable = Version {
        body: "{".into(),
        ..fresh()
    };
    let mut fixture = fixture(LISTENS, [fresh()]);
    let leases = [lapsed("a"), unreadable, lapsed("a")];
    assert_eq!(run_until(&mut fixture, &leases), 42);
    assert_eq!(fixture.output(), ["bye"]);
    let stopped = Some(Stopped::LauncherLost);
    let ended = Ended::Exited { code: 42, stopped };
    assert_eq!(fixture.outcome().unwrap().ended, ended);
}

#[test]
fn a_task_of_a_run_that_is_over_is_ended() {
    let mut fixture = fixture(LISTENS, [fresh()]);
    let over = [lease("finished", RENEWED, "a")];
    assert_eq!(run_until(&mut fixture, &over), 42);
    let stopped = Some(Stopped::Cancelled);
    let ended = Ended::Exited { code: 42, stopped };
    assert_eq!(fixture.outcome().unwrap().ended, ended);
}

#[test]
fn a_deaf_task_is_killed() {
    let mut fixture = fixture(DEAF, [fresh()]);
    fixture.settings.grace = Duration::from_millis(300);
    let over = [lease("cancelled", RENEWED, "a")];
    assert_eq!(run_until(&mut fixture, &over), 128 + 9);
    let stopped = Some(Stopped::Cancelled);
    let ended = Ended::Signaled { signal: 9, stopped };
    assert_eq!(fixture.outcome().unwrap().ended, ended);
    assert_eq!(fixture.output(), ["one", "partial"]);
}

/// A look at the lease while the task is prepared shows this. The step does not start.
fn is_stopped_in_preparation(lease: Version, expected: Stopped) {
    let mut fixture = fixture("touch ../../ran", [fresh(), lease]);
    fixture.spec.install = true;
    // Neither the probe nor pip ends by itself.
    fixture.program("python", "exec sleep 60");
    assert_eq!(fixture.run().code, exit_code::BOOTSTRAP_FAILED);
    assert!(!fixture.path("ran").exists());
    let Ended::NotStarted { stopped, .. } = fixture.outcome().unwrap().ended else {
        panic!("it started");
    };
    assert_eq!(stopped, Some(expected));
}

#[test]
fn a_task_that_is_cancelled_in_preparation_does_not_start() {
    let cancelled = lease("cancelled", RENEWED, "a");
    is_stopped_in_preparation(cancelled, Stopped::Cancelled);
}

#[test]
fn a_task_does_not_start_when_the_gate_closes_in_preparation() {
    let lapsed = lease("running", LATER_THAN_THE_GATE, "a");
    is_stopped_in_preparation(lapsed, Stopped::LauncherLost);
}

/// The gate is no matter of tasks that have begun.
#[test]
fn a_task_that_has_begun_outlives_the_gate() {
    let closed = lease("running", LATER_THAN_THE_GATE, "a");
    outlives([closed.clone(), closed.clone(), closed]);
}

/// Starts the program, and waits until all that its script says is in the store.
fn start_deaf(fixture: &mut Fixture) -> Child {
    let child = fixture.program_command().spawn().unwrap();
    eventually("a log that has settled", || {
        let log = fixture.log(Stream::Stdout);
        // Both logs are uploaded at first, stderr as the second.
        String::from_utf8_lossy(&log).contains("one")
            && fixture.server.object(STDERR).is_some()
            && fixture.path("running").exists()
    });
    child
}

/// AWS Batch has called it dead, and it lives on.
#[test]
fn a_zombie_is_killed_and_writes_nothing_more() {
    let mut fixture = fixture(DEAF, [fresh()]);
    let mut child = start_deaf(&mut fixture);
    let before = fixture.server.writes();
    fixture.server.put(NEXT_ATTEMPT, "{}");
    assert_eq!(child.wait().unwrap().code(), Some(exit_code::SUPERSEDED));
    assert_eq!(fixture.server.writes(), before);
    assert!(fixture.outcome().is_none());
    let log = fixture.log(Stream::Stdout);
    assert!(!String::from_utf8_lossy(&log).contains("partial"));
    let pid = fs::read_to_string(fixture.path("pid")).unwrap();
    let pid = Pid::from_raw(pid.trim().parse().unwrap());
    assert!(kill(pid, None).is_err(), "the step lives on");
}

#[test]
fn a_zombie_that_ends_between_two_looks_says_nothing() {
    let mut fixture = fixture("printf partial", [fresh()]);
    if let Some(terms) = &mut fixture.spec.lease {
        terms.cadence_seconds = 3600;
    }
    fixture.server.put(NEXT_ATTEMPT, "{}");
    let ended = fixture.run();
    assert_eq!(ended.code, exit_code::SUPERSEDED);
    assert!(fixture.outcome().is_none());
    let text = String::from_utf8_lossy(&ended.stderr);
    assert!(
        text.contains("a later attempt of the task was launched"),
        "{text}"
    );
    let log = fixture.log(Stream::Stdout);
    assert!(!String::from_utf8_lossy(&log).contains("partial"));
}

#[test]
fn a_result_is_not_thrown_away_on_suspicion() {
    for fault in [Fault::Status(403), Fault::Status(503), Fault::Reset] {
        let mut fixture = fixture("echo one", [fresh()]);
        let server = &fixture.server;
        server.fail("HEAD", "1.attempt.json", 1000, fault);
        assert_eq!(fixture.run().code, 0, "{fault:?}");
        assert!(fixture.outcome().is_some(), "{fault:?}");
    }
}
