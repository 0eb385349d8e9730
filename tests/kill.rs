//! `ferroflow kill` and `ferroflow jobs`: ending runs on AWS Batch from elsewhere, on the embedded stack.

#![cfg(target_os = "linux")]

mod harness;

use std::{fs, process::Command};

use harness::{
    FERROFLOW,
    lab::{Finished, Lab, Launcher, Running},
    processes::{alive, engine_of},
    stack::Stack,
    temporary, wait_for,
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

/// A run of `blocks.py` whose tasks block.
struct Blocked {
    stack: Stack,
    lab: Lab,
    running: Running,
    engine: i32,
    tasks: Vec<i32>,
}

impl Blocked {
    /// With arrays from `min` siblings on, and these faults; waits until so many tasks block.
    fn start(min: &str, faults: &[Value], tasks: usize) -> Self {
        let lab = Lab::new("blocks.py");
        let stack = stack(faults);
        let variables = json!({"TEST_SHARED": lab.path().join("shared")});
        let variables = format!("environment:vars={variables}");
        let args = ["run", "--with", "batch", "--with", &variables];
        let args = [&args[..], &["--run-id-file", "run-id"]].concat();
        let mut command = lab.command(Launcher::Ferroflow, &args);
        command
            .envs(stack.environment())
            .env("FERROFLOW_ARRAY_MIN", min);
        // Whoever runs the tests in the background has made them ignore signals.
        let running = lab.start(lab.through("env", &["--default-signal"], &command));
        let blocking = || (0..2).filter(|index| lab.shared(&format!("task-{index}")).exists());
        wait_for("the tasks to block", || {
            let blocked = blocking().count() >= tasks;
            assert!(blocked || alive(running.pid()), "{}", running.output());
            blocked
        });
        let engine = engine_of(running.pid()).expect("a run by Ferroflow has an engine");
        let tasks = blocking().map(|index| lab.shared_pid(&format!("task-{index}")));
        Self {
            tasks: tasks.collect(),
            engine,
            stack,
            lab,
            running,
        }
    }

    /// SIGKILL to host and engine.
    fn kill_the_launcher(&self) {
        for pid in [self.engine, self.running.pid()] {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        wait_for("the launcher to be gone", || {
            !alive(self.engine) && !alive(self.running.pid())
        });
    }

    fn run(&self) -> String {
        let id = fs::read_to_string(self.lab.path().join("run-id")).expect("the run has an id");
        format!("BlocksFlow/{}", id.trim())
    }

    /// A verb about runs of the stack's datastore.
    fn verb(&self, args: &[&str]) -> Finished {
        let mut command = Command::new(FERROFLOW);
        harness::lab::clear(&mut command);
        command
            .args(args)
            .current_dir(self.lab.path())
            .envs(self.stack.environment())
            .env("METAFLOW_HOME", self.lab.path().join("home/metaflowconfig"));
        self.lab.start(command).wait()
    }

    /// What `ferroflow jobs --json` lists.
    fn listed(&self, args: &[&str]) -> Vec<Value> {
        let args = [&["jobs", "--json"], args].concat();
        let listed = self.verb(&args).exited(0);
        serde_json::from_str(&listed.all()).expect("a list")
    }

    /// Batch says that no job of the run is left, and no process of a task is.
    fn nothing_is_left(&self, failed: usize) {
        let run = self.run();
        let (_, id) = run.split_once('/').expect("two names");
        let states: Vec<_> = self.stack.jobs(id).into_values().collect();
        let count = |wanted: &str| states.iter().filter(|state| *state == wanted).count();
        assert_eq!(count("FAILED"), failed, "{states:?}");
        assert_eq!(count("SUCCEEDED"), states.len() - failed, "{states:?}");
        wait_for("the tasks to end", || {
            self.tasks.iter().all(|&pid| !alive(pid))
        });
        assert_eq!(self.listed(&[]), [Value::Null; 0]);
    }

    fn state(&self) -> Value {
        let told = self.verb(&["status", &self.run(), "--json"]).exited(0);
        let record: Value = serde_json::from_str(&told.all()).expect("a record");
        record["state"].clone()
    }
}

/// A stack of its own: jobs of two runs that wait for each other's processors would block for ever.
fn stack(faults: &[Value]) -> Stack {
    let folder = temporary::folder();
    let file = folder.path().join("faults.json");
    fs::write(&file, json!(faults).to_string()).expect("a file");
    Stack::start(&["--faults", &file.to_string_lossy()])
}

fn texts<'a>(jobs: &'a [Value], name: &str) -> Vec<&'a str> {
    jobs.iter().filter_map(|job| job[name].as_str()).collect()
}

#[test]
fn jobs_of_a_launcher_that_was_killed_are_listed_and_ended() {
    let blocked = Blocked::start("off", &[], 2);
    let run = blocked.run();
    let listed = blocked.listed(&["--mine"]);
    assert_eq!(texts(&listed, "state"), ["RUNNING", "RUNNING"]);
    assert_eq!(texts(&listed, "run"), [&run, &run]);
    assert_eq!(blocked.listed(&["--orphans"]), [Value::Null; 0]);
    blocked.kill_the_launcher();
    let orphans = blocked.listed(&[&run, "--orphans"]);
    assert_eq!(
        texts(&orphans, "orphan"),
        ["its launcher is gone", "its launcher is gone"]
    );
    let text = blocked.verb(&["jobs"]).exited(0);
    text.says("RUN ").says("block/2 ").says("block/3 ");
    let ended = "2 jobs ended, 1 had ended before.";
    blocked
        .verb(&["kill", &run])
        .exited(0)
        .says(&format!("Run {run}: {ended}"));
    blocked.nothing_is_left(2);
    assert_eq!(blocked.state(), "interrupted");
    let again = blocked.verb(&["kill", &run]).exited(0);
    again.says("there was no job to end; 3 jobs had ended");
}

#[test]
fn an_array_that_nobody_noted_is_found_by_its_claims_and_reaped() {
    let blocked = Blocked::start("2", &[no_notes(), no_listing(1000)], 2);
    blocked.kill_the_launcher();
    let orphans = blocked.listed(&["--orphans"]);
    let arrays: Vec<_> = orphans.iter().map(|job| &job["is_array"]).collect();
    assert_eq!(arrays, [&json!(true)], "{orphans:?}");
    let reaped = blocked.verb(&["jobs", "--orphans", "--reap"]).exited(0);
    reaped
        .says("its launcher is gone.")
        .says(&format!("Run {}: 1 job ended.", blocked.run()));
    blocked.nothing_is_left(1);
}

#[test]
fn a_launcher_that_is_alive_ends_when_its_run_is_killed() {
    let blocked = Blocked::start("off", &[], 2);
    let run = blocked.run();
    let killed = blocked.verb(&["kill", &run]).exited(0);
    killed
        .says(&format!("The launcher (process {} on ", blocked.engine))
        .says("2 jobs ended");
    let Blocked { engine, .. } = blocked;
    wait_for("the launcher to end", || !alive(engine));
    blocked.nothing_is_left(2);
    assert_eq!(blocked.state(), "interrupted");
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
    let blocked = Blocked::start("off", &[no_notes(), no_listing(2), waits], 1);
    let run = blocked.run();
    blocked.kill_the_launcher();
    blocked
        .verb(&["kill", &run])
        .exited(1)
        .says("1 job ended")
        .says("not found: 1 job of run")
        .says("-block-3-")
        .says("ListJobs failed: AccessDeniedException")
        .says("batch:ListJobs");
    let again = blocked.verb(&["kill", &run]).exited(0);
    again.says("1 job ended");
    blocked.nothing_is_left(2);
}
