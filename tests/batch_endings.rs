//! How a run `--with batch` ends before its time, on the embedded stack: no job may outlive Ctrl-C, SIGTERM or SIGHUP. And
//! upstream's own commands about jobs and runs, used on ours.

#![cfg(target_os = "linux")]

mod harness;

use std::{fs, process::Command};

use harness::{
    lab::{Finished, Lab, Launcher, Running},
    processes::{alive, engine_of},
    stack::Stack,
    wait_for,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};

/// A run of `blocks.py` with both of its jobs running.
struct Blocked {
    /// Of its own: jobs of two runs that wait for each other's processors would block for ever.
    stack: Stack,
    lab: Lab,
    running: Running,
    processes: Vec<i32>,
}

impl Blocked {
    fn start() -> Self {
        Self::start_with(&[])
    }

    /// With more arguments, and one job blocking at least.
    fn start_with(more: &[&str]) -> Self {
        let lab = Lab::new("blocks.py");
        let stack = Stack::start(&[]);
        let command = command(&lab, &stack, json!({}), more);
        Self::of(lab, stack, command, if more.is_empty() { 2 } else { 1 })
    }

    /// Once so many of its jobs block.
    fn of(lab: Lab, stack: Stack, command: Command, wanted: usize) -> Self {
        let running = start_by(&lab, &command);
        wait_for("the jobs to block", || {
            let blocked = blocking(&lab).count() >= wanted;
            assert!(blocked || alive(running.pid()), "{}", running.output());
            blocked
        });
        let engine = engine_of(running.pid()).expect("a run by Ferroflow has an engine");
        let processes = blocking(&lab).chain([engine]).collect();
        Self {
            stack,
            lab,
            running,
            processes,
        }
    }

    /// Upstream's command about this run.
    fn upstream(&self, args: &[&str]) -> Finished {
        let mut command = self.lab.command(Launcher::Upstream, args);
        command.envs(self.stack.environment());
        self.lab.start(command).wait()
    }

    /// Waits for the end: the jobs of both splits were terminated, by Batch's word and in fact.
    fn ends_with_its_jobs(self) -> Finished {
        self.ends_with(1, 2)
    }

    /// Waits for the end, with so many jobs that succeeded and that failed.
    fn ends_with(self, succeeded: usize, failed: usize) -> Finished {
        let finished = self.running.wait();
        let run = run_id(&self.lab);
        let mut states = Vec::new();
        wait_for("the jobs to be terminated", || {
            states = self.stack.jobs(&run).into_values().collect();
            states
                .iter()
                .all(|state| state == "SUCCEEDED" || state == "FAILED")
        });
        let count = |wanted| states.iter().filter(|state| *state == wanted).count();
        let counts = (count("SUCCEEDED"), count("FAILED"));
        assert_eq!(counts, (succeeded, failed), "{}", finished.all());
        wait_for("tasks and engine to end", || {
            self.processes.iter().all(|&pid| !alive(pid))
        });
        finished
    }
}

/// A run of `blocks.py` whose tasks have these variables, with more arguments.
fn start(lab: &Lab, stack: &Stack, variables: Value, more: &[&str]) -> Running {
    start_by(lab, &command(lab, stack, variables, more))
}

/// Whoever runs the tests in the background has made them ignore signals.
fn start_by(lab: &Lab, command: &Command) -> Running {
    lab.start(lab.through("env", &["--default-signal"], command))
}

/// Without arrays.
fn command(lab: &Lab, stack: &Stack, mut variables: Value, more: &[&str]) -> Command {
    variables["TEST_SHARED"] = json!(lab.path().join("shared"));
    let variables = format!("environment:vars={variables}");
    let args = ["run", "--with", "batch", "--with", &variables];
    let args = [&args[..], &["--run-id-file", "run-id"], more].concat();
    let mut command = lab.command(Launcher::Ferroflow, &args);
    command
        .envs(stack.environment())
        .env("FERROFLOW_ARRAY_MIN", "off");
    command
}

/// The processes of the tasks that block.
fn blocking(lab: &Lab) -> impl Iterator<Item = i32> {
    let there = (0..2).filter(|index| is_blocking(lab, *index));
    there.map(|index| lab.shared_pid(&format!("task-{index}")))
}

fn is_blocking(lab: &Lab, index: usize) -> bool {
    lab.shared(&format!("task-{index}")).exists()
}

fn run_id(lab: &Lab) -> String {
    let id = fs::read_to_string(lab.path().join("run-id")).expect("the run has an id");
    id.trim().to_owned()
}

fn send(running: &Running, signal: Signal) {
    kill(Pid::from_raw(running.pid()), signal).expect("the process is there");
}

#[test]
fn ctrl_c_terminates_the_jobs() {
    let run = Blocked::start();
    run.running.signal_group(Signal::SIGINT);
    run.ends_with_its_jobs()
        .exited(1)
        .says("Workflow interrupted.");
}

#[test]
fn sigterm_terminates_the_jobs() {
    let run = Blocked::start();
    send(&run.running, Signal::SIGTERM);
    run.ends_with_its_jobs().ended_by(Signal::SIGTERM);
}

#[test]
fn sighup_terminates_the_jobs() {
    let run = Blocked::start();
    send(&run.running, Signal::SIGHUP);
    run.ends_with_its_jobs().ended_by(Signal::SIGHUP);
}

#[test]
fn upstream_lists_our_jobs_and_kills_them() {
    let run = Blocked::start();
    let id = run_id(&run.lab);
    let mut listed = run.upstream(&["batch", "list", "--run-id", &id]).exited(0);
    for split in ["block-2-0", "block-3-0"] {
        listed = listed.says(&format!("BlocksFlow-{id}-{split}-"));
    }
    run.upstream(&["batch", "kill", "--run-id", &id]).exited(0);
    run.ends_with_its_jobs().exited(1);
}

/// More than can be told within the patience that there is with one job; some are still to be submitted.
#[test]
fn ctrl_c_ends_a_wide_foreach() {
    const WIDTH: &str = "150";
    let lab = Lab::new("blocks.py");
    let stack = Stack::start(&[]);
    let more = ["--max-workers", WIDTH, "--max-num-splits", WIDTH];
    let running = start(&lab, &stack, json!({"WIDTH": WIDTH}), &more);
    wait_for("most jobs to be submitted", || {
        assert!(alive(running.pid()), "{}", running.output());
        lab.path().join("run-id").exists() && stack.jobs(&run_id(&lab)).len() > 100
    });
    running.signal_group(Signal::SIGINT);
    let finished = running.wait();
    let states = stack.jobs(&run_id(&lab));
    let left: Vec<_> = states
        .values()
        .filter(|state| !["SUCCEEDED", "FAILED"].contains(&state.as_str()))
        .collect();
    assert!(left.is_empty(), "{left:?}\n{}", finished.all());
    finished.exited(1).says("Workflow interrupted.");
}

/// One call ends all children, and an array of which nothing has started.
#[test]
fn ctrl_c_ends_arrays() {
    let lab = Lab::new("blocks.py");
    let stack = Stack::start(&[]);
    let more = ["--max-workers", "40"];
    let mut command = command(&lab, &stack, json!({"WIDTH": "40"}), &more);
    command.env("FERROFLOW_ARRAY_MIN", "8");
    let running = start_by(&lab, &command);
    // Whichever they are: they fill the stack, and which siblings come first is a matter of their preparation.
    wait_for("tasks to block", || {
        assert!(alive(running.pid()), "{}", running.output());
        (0..40).filter(|index| is_blocking(&lab, *index)).count() >= 2
    });
    running.signal_group(Signal::SIGINT);
    let finished = running.wait();
    let states = stack.jobs(&run_id(&lab));
    // Siblings that are prepared too late for one array go out in another.
    let arrays = states.len() - 1;
    assert!((1..=5).contains(&arrays), "{states:?}");
    let left = |state: &String| !["SUCCEEDED", "FAILED"].contains(&state.as_str());
    assert!(!states.values().any(left), "{states:?}\n{}", finished.all());
    finished.exited(1).says("Workflow interrupted.");
    let history = fs::read_to_string(stack.folder().join("history.jsonl")).expect("a history");
    let calls = history.matches("\"TerminateJob\"").count();
    assert!(
        (1..=4 * arrays).contains(&calls),
        "{calls} calls for {arrays} arrays"
    );
}

/// Nobody tells the jobs anything: they look at the lease.
#[test]
fn jobs_end_by_themselves_when_the_launcher_was_killed() {
    let lab = Lab::new("blocks.py");
    let stack = Stack::start(&[]);
    let mut command = command(&lab, &stack, json!({}), &[]);
    command.env("FERROFLOW_LEASE", "10s");
    let run = Blocked::of(lab, stack, command, 2);
    for process in run.processes.last().into_iter().chain([&run.running.pid()]) {
        let _ = kill(Pid::from_raw(*process), Signal::SIGKILL);
    }
    run.ends_with_its_jobs().ended_by(Signal::SIGKILL);
}

/// The splits that wait for a worker are not submitted once others were killed.
#[test]
fn upstreams_kill_ends_the_run() {
    let run = Blocked::start_with(&["--max-workers", "1"]);
    let id = run_id(&run.lab);
    run.upstream(&["batch", "kill", "--run-id", &id]).exited(0);
    run.ends_with(1, 1).exited(1).says("was cancelled");
}
