//! `ferroflow kill` and `ferroflow jobs`: ending runs on AWS Batch from elsewhere, on the embedded stack. And upstream's own
//! commands about jobs, used on ours.

#![cfg(target_os = "linux")]

mod harness;

use std::process::Command;

use harness::{
    FERROFLOW,
    blocked::{Blocked, Setup},
    lab::{Finished, Launcher},
    processes::alive,
    wait_for,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};

/// Nobody may list jobs but the tests themselves.
fn no_listing(times: u32) -> Value {
    let refused = json!({"refuse": {"status": 403, "code": "AccessDeniedException"}});
    json!({"operation": "ListJobs", "client": "aws-sdk-rust", "times": times, "fault": refused})
}

/// The launcher notes no ids of jobs.
fn no_notes() -> Value {
    let refused = json!({"refuse": {"status": 403, "code": "AccessDenied"}});
    json!({"operation": "PutObject", "subject": "/job/", "times": 1000, "fault": refused})
}

/// With arrays from `min` siblings on, and these faults; waits until so many tasks block.
fn start(min: &str, faults: &[Value], tasks: usize) -> Blocked {
    Blocked::start(&Setup {
        array_min: min,
        faults,
        blocking: tasks,
        ..Setup::default()
    })
}

/// What a verb about runs of the stack's datastore says.
fn verb(blocked: &Blocked, args: &[&str]) -> Finished {
    let mut command = Command::new(FERROFLOW);
    harness::lab::clear(&mut command);
    command
        .args(args)
        .current_dir(blocked.lab.path())
        .envs(blocked.stack.environment())
        .env(
            "METAFLOW_HOME",
            blocked.lab.path().join("home/metaflowconfig"),
        );
    blocked.lab.start(command).wait()
}

/// Upstream's command about the run.
fn upstream(blocked: &Blocked, args: &[&str]) -> Finished {
    let id = blocked.id();
    let args = [&["batch"], args, &["--run-id", &id]].concat();
    let mut command = blocked.lab.command(Launcher::Upstream, &args);
    command.envs(blocked.stack.environment());
    blocked.lab.start(command).wait()
}

/// What `ferroflow jobs --json` lists.
fn list(blocked: &Blocked, args: &[&str]) -> Vec<Value> {
    let args = [&["jobs", "--json"], args].concat();
    let listed = verb(blocked, &args).exited(0);
    serde_json::from_str(&listed.all()).expect("a list")
}

/// Batch says that no job of the run is left, and no process of a task is.
fn nothing_is_left(blocked: &Blocked, failed: usize) {
    let states: Vec<_> = blocked.stack.jobs(&blocked.id()).into_values().collect();
    let count = |wanted: &str| states.iter().filter(|state| *state == wanted).count();
    assert_eq!(count("FAILED"), failed, "{states:?}");
    assert_eq!(count("SUCCEEDED"), states.len() - failed, "{states:?}");
    wait_for("the tasks to end", || {
        blocked.tasks.iter().all(|&pid| !alive(pid))
    });
    assert_eq!(list(blocked, &[]), [Value::Null; 0]);
}

fn state(blocked: &Blocked) -> Value {
    let told = verb(blocked, &["status", &blocked.run(), "--json"]).exited(0);
    let record: Value = serde_json::from_str(&told.all()).expect("a record");
    record["state"].clone()
}

/// SIGKILL to host and engine.
fn kill_the_launcher(blocked: &Blocked) {
    let processes = [blocked.engine, blocked.running.pid()];
    for pid in processes {
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
    wait_for("the launcher to be gone", || {
        processes.iter().all(|&pid| !alive(pid))
    });
}

fn texts<'a>(jobs: &'a [Value], name: &str) -> Vec<&'a str> {
    jobs.iter().filter_map(|job| job[name].as_str()).collect()
}

#[test]
fn jobs_of_a_launcher_that_was_killed_are_listed_and_ended() {
    let blocked = start("off", &[], 2);
    let run = blocked.run();
    let listed = list(&blocked, &["--mine"]);
    assert_eq!(texts(&listed, "state"), ["RUNNING", "RUNNING"]);
    assert_eq!(texts(&listed, "run"), [&run, &run]);
    assert_eq!(list(&blocked, &["--orphans"]), [Value::Null; 0]);
    kill_the_launcher(&blocked);
    let orphans = list(&blocked, &[&run, "--orphans"]);
    assert_eq!(
        texts(&orphans, "orphan"),
        ["its launcher is gone", "its launcher is gone"]
    );
    let text = verb(&blocked, &["jobs"]).exited(0);
    text.says("RUN ").says("block/2 ").says("block/3 ");
    let ended = "2 jobs ended, 1 had ended before.";
    verb(&blocked, &["kill", &run])
        .exited(0)
        .says(&format!("Run {run}: {ended}"));
    nothing_is_left(&blocked, 2);
    assert_eq!(state(&blocked), "interrupted");
    let again = verb(&blocked, &["kill", &run]).exited(0);
    again.says("there was no job to end; 3 jobs had ended");
}

#[test]
fn an_array_that_nobody_noted_is_found_by_its_claims_and_reaped() {
    let blocked = start("2", &[no_notes(), no_listing(1000)], 2);
    kill_the_launcher(&blocked);
    let orphans = list(&blocked, &["--orphans"]);
    let arrays: Vec<_> = orphans.iter().map(|job| &job["is_array"]).collect();
    assert_eq!(arrays, [&json!(true)], "{orphans:?}");
    let reaped = verb(&blocked, &["jobs", "--orphans", "--reap"]).exited(0);
    reaped
        .says("its launcher is gone.")
        .says(&format!("Run {}: 1 job ended.", blocked.run()));
    nothing_is_left(&blocked, 1);
}

#[test]
fn a_launcher_that_is_alive_ends_when_its_run_is_killed() {
    let blocked = start("off", &[], 2);
    let run = blocked.run();
    let killed = verb(&blocked, &["kill", &run]).exited(0);
    killed
        .says(&format!("The launcher (process {} on ", blocked.engine))
        .says("2 jobs ended");
    let Blocked { engine, .. } = blocked;
    wait_for("the launcher to end", || !alive(engine));
    nothing_is_left(&blocked, 2);
    assert_eq!(state(&blocked), "interrupted");
    blocked
        .running
        .wait()
        .exited(1)
        .says("The run was cancelled from elsewhere (`ferroflow kill`).")
        .says("Workflow interrupted.");
}

/// The second task never begins, so there is no claim of it either.
#[test]
fn a_job_that_nobody_noted_or_claimed_is_found_by_its_name_or_named() {
    let waits = json!({"operation": "StartJob", "subject": "-block-3-", "fault": {"delay": 3600}});
    let blocked = start("off", &[no_notes(), no_listing(2), waits], 1);
    let run = blocked.run();
    kill_the_launcher(&blocked);
    verb(&blocked, &["kill", &run])
        .exited(1)
        .says("1 job ended")
        .says("not found: 1 job of run")
        .says("-block-3-")
        .says("ListJobs failed: AccessDeniedException")
        .says("batch:ListJobs");
    let again = verb(&blocked, &["kill", &run]).exited(0);
    again.says("1 job ended");
    nothing_is_left(&blocked, 2);
}

/// Waits for the end of a run that somebody else has ended, with so many jobs that succeeded.
fn ends(blocked: Blocked, succeeded: usize) -> Finished {
    let (tasks, engine) = (blocked.tasks.clone(), blocked.engine);
    let (story, running) = blocked.into_story();
    let finished = running.wait().exited(1);
    let states: Vec<_> = story.stack.jobs(&story.run).into_values().collect();
    let count = |wanted: &str| states.iter().filter(|state| *state == wanted).count();
    let counts = (count("SUCCEEDED"), count("FAILED"));
    assert_eq!(
        counts,
        (succeeded, states.len() - succeeded),
        "{}",
        finished.all()
    );
    wait_for("tasks and engine to end", || {
        tasks.iter().chain([&engine]).all(|&pid| !alive(pid))
    });
    finished
}

#[test]
fn upstream_lists_our_jobs_and_kills_them() {
    let blocked = start("off", &[], 2);
    let mut listed = upstream(&blocked, &["list"]).exited(0);
    for split in ["block-2-0", "block-3-0"] {
        listed = listed.says(&format!("BlocksFlow-{}-{split}-", blocked.id()));
    }
    upstream(&blocked, &["kill"]).exited(0);
    ends(blocked, 1);
}

/// The splits that wait for a worker are not submitted once others were killed.
#[test]
fn upstreams_kill_ends_the_run() {
    let blocked = Blocked::start(&Setup {
        arguments: &["--max-workers", "1"],
        blocking: 1,
        ..Setup::default()
    });
    upstream(&blocked, &["kill"]).exited(0);
    let submitted = blocked.stack.history("job.submitted").len();
    assert_eq!(submitted, 2);
    ends(blocked, 1).says("was cancelled");
}
