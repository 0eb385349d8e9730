//! Tasks that are asked to stop.

use std::{
    process::Child,
    thread,
    time::{Duration, Instant},
};

use model::{
    exit_code::container as exit_code,
    layout::Stream,
    spec::{Ended, Stopped},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::fixture::{Fixture, eventually};

fn send(child: &Child, signal: Signal) {
    kill(Pid::from_raw(child.id().cast_signed()), signal).unwrap();
}

/// Starts the program and waits until its step has said that it runs.
fn start(fixture: &mut Fixture) -> Child {
    let child = fixture.program_command().spawn().unwrap();
    let running = fixture.path("running");
    eventually("a running step", || running.exists());
    child
}

#[test]
fn a_step_hears_of_the_signal_and_ends_by_itself() {
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        let mut fixture = Fixture::new(
            "trap 'echo bye; exit 42' TERM INT HUP; touch ../../running; \
             while :; do sleep 0.05; done",
        );
        let mut child = start(&mut fixture);
        send(&child, signal);
        assert_eq!(child.wait().unwrap().code(), Some(42), "{signal}");
        assert_eq!(fixture.output(), ["bye"]);
        let stopped = Some(Stopped::Terminated);
        let ended = Ended::Exited { code: 42, stopped };
        assert_eq!(fixture.outcome().unwrap().ended, ended);
    }
}

#[test]
fn a_step_without_a_handler_dies_of_it() {
    let mut fixture = Fixture::new("touch ../../running; exec sleep 60");
    let mut child = start(&mut fixture);
    send(&child, Signal::SIGTERM);
    assert_eq!(child.wait().unwrap().code(), Some(128 + 15));
    let stopped = Some(Stopped::Terminated);
    let ended = Ended::Signaled {
        signal: 15,
        stopped,
    };
    assert_eq!(fixture.outcome().unwrap().ended, ended);
}

#[test]
fn a_prepared_step_hears_of_it_too() {
    let script = "trap 'exit 42' TERM; touch ../../running; while :; do sleep 0.05; done";
    let mut fixture = Fixture::new(script);
    fixture.spec.prepare = vec!["true".into()];
    let mut child = start(&mut fixture);
    send(&child, Signal::SIGTERM);
    assert_eq!(child.wait().unwrap().code(), Some(42));
}

#[test]
fn a_step_that_does_not_listen_is_killed() {
    let script = "trap '' TERM; touch ../../running; echo deaf; while :; do sleep 0.05; done";
    let mut fixture = Fixture::new(script);
    fixture.settings.late_flush = Duration::from_millis(300);
    fixture.settings.grace = Duration::from_millis(600);
    let (running, interrupts) = (fixture.path("running"), fixture.interrupts.clone());
    let signaller = thread::spawn(move || {
        eventually("a running step", || running.exists());
        interrupts.raise(Signal::SIGTERM);
    });
    assert_eq!(fixture.run().code, 128 + 9);
    signaller.join().unwrap();
    assert_eq!(fixture.output(), ["deaf"]);
    let stopped = Some(Stopped::Terminated);
    let ended = Ended::Signaled { signal: 9, stopped };
    assert_eq!(fixture.outcome().unwrap().ended, ended);
}

#[test]
fn the_time_limit_ends_a_step() {
    let mut fixture = Fixture::new("exec sleep 60");
    fixture.spec.time_limit = 1;
    let started = Instant::now();
    assert_eq!(fixture.run().code, 128 + 15);
    assert!(started.elapsed() < Duration::from_secs(20));
    let stopped = Some(Stopped::TimeLimit);
    let ended = Ended::Signaled {
        signal: 15,
        stopped,
    };
    assert_eq!(fixture.outcome().unwrap().ended, ended);
}

#[test]
fn a_deaf_step_does_not_outlive_its_time_limit() {
    let mut fixture = Fixture::new("trap '' TERM; while :; do sleep 0.05; done");
    fixture.spec.time_limit = 1;
    fixture.settings.grace = Duration::from_millis(300);
    assert_eq!(fixture.run().code, 128 + 9);
}

#[test]
fn a_signal_before_the_step_means_that_nothing_started() {
    let mut fixture = Fixture::new("touch ../../ran");
    fixture.spec.install = true;
    // Neither the probe nor pip ends by itself.
    fixture.program("python", "touch ../running; exec sleep 60");
    let mut child = start(&mut fixture);
    send(&child, Signal::SIGTERM);
    let code = child.wait().unwrap().code();
    assert_eq!(code, Some(exit_code::BOOTSTRAP_FAILED));
    assert!(matches!(
        fixture.outcome().unwrap().ended,
        Ended::NotStarted { .. }
    ));
    assert!(!fixture.path("ran").exists());
    assert!(!fixture.messages(Stream::Stderr).is_empty());
}

#[test]
fn the_rest_of_the_group_is_killed() {
    let script = "(trap '' HUP TERM; echo $$ > /dev/null; sh -c 'echo $PPID' > ../../pid; \
                  sleep 60) & while [ ! -s ../../pid ]; do sleep 0.05; done";
    let mut fixture = Fixture::new(script);
    assert_eq!(fixture.run().code, 0);
    let pid = std::fs::read_to_string(fixture.path("pid")).unwrap();
    let pid = Pid::from_raw(pid.trim().parse().unwrap());
    eventually("the end of a leftover", || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        kill(pid, None).is_err() || stat.contains(") Z ")
    });
}

#[test]
fn orphans_are_reaped_while_the_step_runs() {
    let script = "for i in 1 2 3; do sh -c 'sh -c \"sleep 0.1\" & echo $! >> ../../orphans'; \
                  done; touch ../../running; while [ ! -e ../../go ]; do sleep 0.05; done";
    let mut fixture = Fixture::new(script);
    let mut child = start(&mut fixture);
    let orphans = std::fs::read_to_string(fixture.path("orphans")).unwrap();
    let pids: Vec<i32> = orphans.lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(pids.len(), 3);
    eventually("no orphan", || {
        pids.iter()
            .all(|pid| kill(Pid::from_raw(*pid), None).is_err())
    });
    std::fs::write(fixture.path("go"), "").unwrap();
    assert!(child.wait().unwrap().success());
}
