//! Whatever happens to the launcher of a run on AWS Batch, on the embedded stack: after a signal that ends it no job is left; after
//! its death, or while it is suspended, nothing starts that should not, and nothing runs past the grace of its lease.

#![cfg(target_os = "linux")]

mod harness;

use std::{fs, thread};

use checker::Expectations;
use harness::{
    blocked::{Blocked, SHORT_LEASE, SHORT_LEASE_TIMES, Setup},
    lab::{Finished, Running},
    processes::alive,
    stack::Stack,
    story::Story,
    wait_for,
};
use nix::{
    sys::signal::{Signal, kill, killpg},
    unistd::Pid,
};
use serde_json::{Value, json};

/// How the tasks of the run are submitted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Jobs {
    Plain,
    Array,
}

/// Whom something happens to.
#[derive(Clone, Copy)]
enum To {
    /// The process that a user has started.
    Launcher,
    /// That, and what is in its process group, as by a terminal.
    Group,
    Engine,
    /// All of them, as when a laptop is closed.
    All,
}

/// What happens.
#[derive(Clone, Copy)]
enum Cell {
    /// A signal that ends the run in order.
    Ended(Signal, To),
    /// `kill -9`.
    Killed(To),
    /// `kill -STOP`, and `kill -CONT` when no job is left.
    Suspended(To),
}

impl Cell {
    fn holds(self, jobs: Jobs) {
        match self {
            Self::Ended(signal, to) => ended(signal, to, jobs),
            Self::Killed(to) => killed(to, jobs),
            Self::Suspended(to) => suspended(to, jobs),
        }
    }
}

macro_rules! matrix {
    ($($name:ident: $cell:expr;)*) => {
        mod plain_jobs {
            use super::*;
            $(#[test] fn $name() { $cell.holds(Jobs::Plain); })*
        }
        mod array_jobs {
            use super::*;
            $(#[test] fn $name() { $cell.holds(Jobs::Array); })*
        }
    };
}

matrix! {
    after_sigint_to_the_launcher: Cell::Ended(Signal::SIGINT, To::Launcher);
    after_sigint_to_the_group: Cell::Ended(Signal::SIGINT, To::Group);
    after_sigterm_to_the_launcher: Cell::Ended(Signal::SIGTERM, To::Launcher);
    after_sigterm_to_the_group: Cell::Ended(Signal::SIGTERM, To::Group);
    after_sighup_to_the_launcher: Cell::Ended(Signal::SIGHUP, To::Launcher);
    after_sighup_to_the_group: Cell::Ended(Signal::SIGHUP, To::Group);
    after_kill_9_of_the_engine: Cell::Killed(To::Engine);
    after_kill_9_of_the_host: Cell::Killed(To::Launcher);
    while_the_engine_is_suspended: Cell::Suspended(To::Engine);
    while_all_is_suspended: Cell::Suspended(To::All);
}

/// A run of two tasks, each of which needs the whole machine: one blocks, and the other waits until that has ended.
fn start(jobs: Jobs, more: Setup<'_>) -> Blocked {
    let processors = thread::available_parallelism().expect("it is known");
    Blocked::start(&Setup {
        array_min: match jobs {
            Jobs::Plain => "off",
            Jobs::Array => "2",
        },
        processors: Some(processors.get()),
        blocking: 1,
        ..more
    })
}

/// The engine is in a group of its own.
fn send(run: &Blocked, to: To, signal: Signal) {
    let [launcher, engine] = [run.running.pid(), run.engine].map(Pid::from_raw);
    let to_engine = || kill(engine, signal);
    let sent = match to {
        To::Launcher => kill(launcher, signal),
        To::Group => killpg(launcher, signal),
        To::Engine => to_engine(),
        To::All => to_engine().and_then(|()| killpg(launcher, signal)),
    };
    sent.expect("the process is there");
}

/// The foreach went out as it should, and so many jobs of the run are not terminal.
fn open_jobs(stack: &Stack, jobs: Jobs) -> usize {
    let submitted = stack.history("job.submitted");
    let arrays = submitted.iter().filter(|job| job["size"] == 2).count();
    assert_eq!(arrays, usize::from(jobs == Jobs::Array), "{submitted:#?}");
    let ended = stack.history("job.ended");
    let is_open = |job: &&Value| !ended.iter().any(|end| end["jobId"] == job["jobId"]);
    submitted.iter().filter(is_open).count()
}

/// How the jobs of the foreach ended, children of arrays each.
fn exit_codes(stack: &Stack, jobs: Jobs) -> Vec<Option<i64>> {
    let mut ends = stack.history("job.ended");
    ends.retain(|end| {
        let name = end["jobName"].as_str().unwrap_or_default();
        name.contains("-block-") && end["index"].is_null() == (jobs == Jobs::Plain)
    });
    ends.iter().map(|end| end["exitCode"].as_i64()).collect()
}

/// Nothing is left when the launcher is gone.
fn ended(signal: Signal, to: To, jobs: Jobs) {
    let run = start(jobs, Setup::default());
    send(&run, to, signal);
    let (engine, tasks) = (run.engine, run.tasks.clone());
    let (story, running) = run.into_story();
    let finished = running.wait();
    let live: Vec<_> = story.stack.jobs(&story.run).into_iter().collect();
    let live: Vec<_> = live
        .iter()
        .filter(|(_, state)| !is_terminal(state))
        .collect();
    assert!(live.is_empty(), "{live:?}\n{}", finished.all());
    assert_eq!(open_jobs(&story.stack, jobs), 0);
    assert!(!alive(engine), "{}", finished.all());
    let finished = finished.says("Workflow interrupted.");
    match signal {
        Signal::SIGINT => finished.exited(1),
        _ => finished.ended_by(signal),
    };
    wait_for("the task to end", || tasks.iter().all(|&pid| !alive(pid)));
    story.kept_its_promises(&Expectations::default());
}

fn is_terminal(state: &str) -> bool {
    ["SUCCEEDED", "FAILED"].contains(&state)
}

/// By their lease the jobs end themselves, and nothing new starts. Another launcher launches them again.
fn killed(to: To, jobs: Jobs) {
    let run = start(jobs, lease());
    send(&run, to, Signal::SIGKILL);
    let engine = run.engine;
    wait_for("the engine to end", || !alive(engine));
    let begun = ends_by_the_lease(&run, jobs);
    run.release();
    let attached = run.verb("attach");
    let (story, running) = run.into_story();
    let finished = running.wait();
    match to {
        To::Engine => finished
            .exited(1)
            .says("The Ferroflow engine ended before the run"),
        _ => finished.ended_by(Signal::SIGKILL),
    };
    ran_again_for_free(&story, goes_on(attached), begun);
    story.kept_its_promises(&expectations());
}

/// The same; the launcher goes on when it is awake.
fn suspended(to: To, jobs: Jobs) {
    let run = start(jobs, lease());
    send(&run, to, Signal::SIGSTOP);
    let begun = ends_by_the_lease(&run, jobs);
    run.release();
    send(&run, to, Signal::SIGCONT);
    let (story, running) = run.into_story();
    ran_again_for_free(&story, goes_on(running), begun);
    story.kept_its_promises(&expectations());
}

/// The flow has no `@retry`: the task that had begun got another attempt, and the other one its first.
fn ran_again_for_free(story: &Story, finished: Finished, begun: usize) {
    let finished = finished
        .says("The task did not start: the lease of the run")
        .says("because its launcher was not heard of for too long");
    assert_eq!(story.begun(begun), "0\n1\n", "{}", finished.all());
    assert_eq!(story.begun(1 - begun), "0\n", "{}", finished.all());
}

fn goes_on(running: Running) -> Finished {
    running.wait().exited(0).says("Done!")
}

fn lease() -> Setup<'static> {
    Setup {
        environment: &[SHORT_LEASE],
        ..Setup::default()
    }
}

fn expectations() -> Expectations {
    Expectations {
        lease: SHORT_LEASE_TIMES,
        ..Expectations::default()
    }
}

/// Nobody ends the jobs, and they end. The one that was held back until then has not begun. Returns the index of the other.
fn ends_by_the_lease(run: &Blocked, jobs: Jobs) -> usize {
    wait_for("the jobs to end", || open_jobs(&run.stack, jobs) == 0);
    wait_for("the task to end", || {
        run.tasks.iter().all(|&pid| !alive(pid))
    });
    let ends = run.stack.history("job.terminated");
    assert!(ends.is_empty(), "{ends:?}");
    let codes = exit_codes(&run.stack, jobs);
    let never_begun = i64::from(model::exit_code::container::BOOTSTRAP_FAILED);
    let held_back = codes.iter().filter(|code| **code == Some(never_begun));
    assert_eq!((codes.len(), held_back.count()), (2, 1), "{codes:?}");
    let marks =
        [0, 1].map(|index| fs::read_to_string(run.lab.shared(&format!("begun-{index}"))).ok());
    match marks.each_ref().map(Option::as_deref) {
        [Some("0\n"), None] => 0,
        [None, Some("0\n")] => 1,
        marks => panic!(
            "one task has begun, once: {marks:?}\n{}",
            run.running.output()
        ),
    }
}

/// As under nohup.
#[test]
fn sighup_that_was_ignored_stays_ignored() {
    let run = start(
        Jobs::Plain,
        Setup {
            signals: &["--default-signal", "--ignore-signal=HUP"],
            ..Setup::default()
        },
    );
    for to in [To::Launcher, To::Engine, To::Group] {
        send(&run, to, Signal::SIGHUP);
    }
    run.release();
    let (story, running) = run.into_story();
    let finished = goes_on(running).does_not_say("Workflow interrupted.");
    for index in [0, 1] {
        assert_eq!(story.begun(index), "0\n", "{}", finished.all());
    }
    story.kept_its_promises(&Expectations::default());
}

/// Batch takes the launcher's word, and does nothing: the first Ctrl-C would wait for long.
#[test]
fn a_second_ctrl_c_leaves_and_says_what_remains() {
    let deaf = json!({"operation": "TerminateJob", "client": "launcher", "times": 1000, "fault": "no_effect"});
    let run = start(
        Jobs::Plain,
        Setup {
            faults: &[deaf],
            ..Setup::default()
        },
    );
    run.running.signal_group(Signal::SIGINT);
    wait_for("the jobs to be told", || {
        run.stack.history("fault").len() >= 2
    });
    run.running.signal_group(Signal::SIGINT);
    let id = run.run();
    let tasks = run.tasks.clone();
    let (story, running) = run.into_story();
    let finished = running.wait().exited(1);
    let left = open_jobs(&story.stack, Jobs::Plain);
    assert_eq!(left, 2, "{}", finished.all());
    let finished = finished.says("Leaving without waiting for 2 jobs");
    for job in story.history("job.submitted") {
        let name = job["jobName"].as_str().expect("a name");
        if name.contains("-block-") {
            let id = job["jobId"].as_str().expect("an id");
            assert!(finished.all().contains(id), "{id}\n{}", finished.all());
        }
    }
    finished.says(&format!("`ferroflow kill {id}` ends them."));
    let mut command = story.lab.verb(&["kill", &id]);
    command.envs(story.stack.environment());
    let killed = story.lab.start(command).wait();
    killed.exited(0).says("2 jobs ended");
    assert_eq!(open_jobs(&story.stack, Jobs::Plain), 0);
    wait_for("the task to end", || tasks.iter().all(|&pid| !alive(pid)));
}

/// Each call is thought to have failed, by its answer or for want of one.
#[test]
fn ctrl_c_ends_jobs_though_calls_are_throttled_and_answers_lost() {
    let rule = |nth: u32, fault: Value| json!({"operation": "TerminateJob", "client": "launcher", "nth": nth, "times": 2, "fault": fault});
    let throttled = json!({"refuse": {"status": 429, "code": "TooManyRequestsException"}});
    let run = start(
        Jobs::Plain,
        Setup {
            faults: &[rule(1, throttled), rule(3, json!("lose_reply"))],
            ..Setup::default()
        },
    );
    run.running.signal_group(Signal::SIGINT);
    let (story, running) = run.into_story();
    let finished = running.wait().exited(1).says("Workflow interrupted.");
    assert_eq!(
        open_jobs(&story.stack, Jobs::Plain),
        0,
        "{}",
        finished.all()
    );
    let faults = story.history("fault");
    assert!(faults.len() >= 3, "{faults:#?}");
    story.kept_its_promises(&Expectations::default());
}

/// More than can be told within the patience that there is with one job; some are still to be submitted.
#[test]
fn ctrl_c_ends_a_wide_foreach() {
    const WIDTH: usize = 150;
    let width = WIDTH.to_string();
    let run = Blocked::start(&Setup {
        width: WIDTH,
        blocking: 0,
        arguments: &["--max-workers", &width, "--max-num-splits", &width],
        ..Setup::default()
    });
    wait_for("most jobs to be submitted", || {
        assert!(alive(run.running.pid()), "{}", run.running.output());
        run.stack.history("job.submitted").len() > 100
    });
    run.running.signal_group(Signal::SIGINT);
    let (story, running) = run.into_story();
    let finished = running.wait().exited(1).says("Workflow interrupted.");
    let left = open_jobs(&story.stack, Jobs::Plain);
    assert_eq!(left, 0, "{}", finished.all());
}

/// One call ends all children, and an array of which nothing has started.
#[test]
fn ctrl_c_ends_wide_arrays_by_a_call_each() {
    let run = Blocked::start(&Setup {
        array_min: "8",
        width: 40,
        arguments: &["--max-workers", "40"],
        ..Setup::default()
    });
    run.running.signal_group(Signal::SIGINT);
    let (story, running) = run.into_story();
    let finished = running.wait().exited(1).says("Workflow interrupted.");
    let states = story.stack.jobs(&story.run);
    let left = states.values().filter(|state| !is_terminal(state)).count();
    assert_eq!(left, 0, "{states:?}\n{}", finished.all());
    // Siblings that are prepared too late for one array go out in another.
    let submitted = story.history("job.submitted");
    let arrays = submitted.iter().filter(|job| !job["size"].is_null());
    let sizes: Vec<_> = arrays.map(|job| job["size"].as_u64()).collect();
    let arrays = sizes.len();
    assert!((1..=5).contains(&arrays), "{submitted:#?}");
    assert!(sizes.iter().flatten().sum::<u64>() > 20, "{sizes:?}");
    let mut calls = story.history("call");
    calls.retain(|call| call["operation"] == "TerminateJob");
    assert!(
        (1..=4 * arrays).contains(&calls.len()),
        "{} calls for {arrays} arrays",
        calls.len()
    );
}
