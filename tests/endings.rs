//! How a run ends before its time: Ctrl-C, signals, the death of the host or of the engine. Nothing may survive it.

#![cfg(target_os = "linux")]

mod harness;

use std::{fs, process::Command, time::Duration};

use harness::{
    lab::{Lab, Launcher, Running},
    processes::{alive, engine_of, parent_of},
    wait_for,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// A run of `blocks.py` with both of its tasks blocking.
struct Blocked {
    lab: Lab,
    running: Running,
    tasks: [i32; 2],
    engine: Option<i32>,
}

impl Blocked {
    fn start(launcher: Launcher) -> Self {
        Self::start_with(launcher, |_| {})
    }

    fn start_with(launcher: Launcher, change: impl FnOnce(&mut Command)) -> Self {
        let lab = Lab::new("blocks.py");
        let mut command = lab.command(launcher, &["run", "--run-id-file", "run-id"]);
        change(&mut command);
        // Whoever runs the tests in the background has made them ignore SIGINT.
        let running = lab.start(lab.through("env", &["--default-signal"], &command));
        wait_for("both tasks to block", || {
            ["task-0", "task-1"]
                .iter()
                .all(|name| lab.shared(name).exists())
        });
        let tasks = ["task-0", "task-1"].map(|name| lab.shared_pid(name));
        let engine = engine_of(running.pid());
        assert_eq!(
            engine.is_some(),
            launcher == Launcher::Ferroflow,
            "{}",
            running.output()
        );
        Self {
            lab,
            running,
            tasks,
            engine,
        }
    }

    fn engine(&self) -> i32 {
        self.engine.expect("a run by Ferroflow has an engine")
    }

    /// Waits until tasks and engine are gone, whoever ends them.
    fn all_gone(tasks: [i32; 2], engine: Option<i32>) {
        wait_for("tasks and engine to end", || {
            tasks.iter().chain(engine.as_ref()).all(|&pid| !alive(pid))
        });
    }
}

fn send(pid: i32, signal: Signal) {
    kill(Pid::from_raw(pid), signal).expect("the process is there");
}

#[test]
fn ctrl_c_reads_as_with_upstream() {
    let [upstream, ferroflow] = [Launcher::Upstream, Launcher::Ferroflow].map(|launcher| {
        let run = Blocked::start(launcher);
        run.running.signal_group(Signal::SIGINT);
        let ended = run.running.wait().exited(1);
        Blocked::all_gone(run.tasks, run.engine);
        ended
            .says("Workflow interrupted.")
            .says("[KILLED BY ORCHESTRATOR]")
            .says("Aborted!")
    });
    assert_eq!(upstream.run_lines(), ferroflow.run_lines());
}

/// Tasks that do not listen are killed after five seconds.
#[test]
fn ctrl_c_ends_tasks_that_ignore_it() {
    let [upstream, ferroflow] = [Launcher::Upstream, Launcher::Ferroflow].map(|launcher| {
        let run = Blocked::start_with(launcher, |c| {
            c.env("IGNORE_SIGNALS", "1");
        });
        run.running.signal_group(Signal::SIGINT);
        let ended = run.running.wait().exited(1);
        Blocked::all_gone(run.tasks, run.engine);
        ended.says("Killing 2 remaining tasks")
    });
    assert_eq!(upstream.run_lines(), ferroflow.run_lines());
}

/// As `kill -INT` from a script: only the launcher hears of it.
#[test]
fn an_interrupt_of_the_host_alone_ends_the_tasks() {
    let run = Blocked::start(Launcher::Ferroflow);
    send(run.running.pid(), Signal::SIGINT);
    run.running.wait().exited(1).says("Workflow interrupted.");
    Blocked::all_gone(run.tasks, run.engine);
}

/// The tasks that wait to be made, one after the other, are not waited for, and not made either.
#[test]
fn sigterm_does_not_wait_for_a_slow_metadata_service() {
    let lab = Lab::new("watched_host.py");
    let mut command = lab.command(Launcher::Ferroflow, &["run"]);
    command.env("SLOW_METADATA", "1");
    let running = lab.start(command);
    let made = || fs::read_dir(lab.path().join("shared")).map_or(0, Iterator::count);
    wait_for("the first of twelve tasks", || made() > 0);
    send(running.pid(), Signal::SIGTERM);
    let ended = running.wait().ended_by(Signal::SIGTERM);
    ended.says("Workflow interrupted.");
    assert!(made() < 6, "{} of 12 tasks were made", made());
}

/// The kernel kills what the fork server had started; what is tried again gets fresh interpreters.
#[test]
fn the_run_outlives_its_fork_server() {
    let run = Blocked::start_with(Launcher::Ferroflow, |c| {
        c.args(["--with", "retry:minutes_between_retries=0"]);
    });
    let server = parent_of(run.tasks[0]).expect("a task has a parent");
    assert_ne!(server, run.engine());
    send(server, Signal::SIGKILL);
    Blocked::all_gone(run.tasks, None);
    fs::write(run.lab.shared("release"), "").expect("the tasks can be let go");
    let ended = run.running.wait().exited(0);
    ended.says("Task is starting (retry).").says("Done!");
    let record = run.lab.run_record("BlocksFlow");
    assert_eq!(record["attempts"]["forked"], 3, "{record}");
    assert_eq!(record["attempts"]["fresh"], 4, "{record}");
    let reason = "the fork server did not start it";
    assert_eq!(record["fresh_because"][reason], 4, "{record}");
}

/// Upstream leaves its tasks running after a SIGTERM.
#[test]
fn sigterm_ends_the_run_and_its_tasks() {
    let run = Blocked::start(Launcher::Ferroflow);
    send(run.running.pid(), Signal::SIGTERM);
    run.running.wait().ended_by(Signal::SIGTERM);
    Blocked::all_gone(run.tasks, run.engine);
}

#[test]
fn sigterm_ends_tasks_that_ignore_it() {
    let run = Blocked::start_with(Launcher::Ferroflow, |c| {
        c.env("IGNORE_SIGNALS", "1");
    });
    send(run.running.pid(), Signal::SIGTERM);
    run.running.wait().ended_by(Signal::SIGTERM);
    Blocked::all_gone(run.tasks, run.engine);
}

/// What `docker stop` ends in, and what the kernel does when memory is short.
#[test]
fn the_death_of_the_host_ends_engine_and_tasks() {
    let run = Blocked::start(Launcher::Ferroflow);
    send(run.running.pid(), Signal::SIGKILL);
    run.running.wait().ended_by(Signal::SIGKILL);
    Blocked::all_gone(run.tasks, run.engine);
}

#[test]
fn the_death_of_the_engine_ends_the_run_and_its_tasks() {
    let run = Blocked::start(Launcher::Ferroflow);
    send(run.engine(), Signal::SIGKILL);
    let ended = run.running.wait().exited(1);
    ended
        .says("The Ferroflow engine ended before the run")
        .says("resume --origin-run-id");
    Blocked::all_gone(run.tasks, run.engine);
}

/// What was done before the host died is not done again.
#[test]
fn upstream_resumes_a_run_whose_host_died() {
    let run = Blocked::start(Launcher::Ferroflow);
    send(run.running.pid(), Signal::SIGKILL);
    run.running.wait().ended_by(Signal::SIGKILL);
    Blocked::all_gone(run.tasks, run.engine);
    fs::write(run.lab.shared("release"), "").expect("the tasks are released");
    let origin = fs::read_to_string(run.lab.path().join("run-id")).expect("the run has an id");
    let resumed = run.lab.run(
        Launcher::Upstream,
        &["resume", "--origin-run-id", origin.trim()],
    );
    resumed
        .exited(0)
        .says("Cloning previously run task")
        .says("Done!");
}

/// The second Ctrl-C does not wait for tasks that ignore the first.
#[test]
fn a_second_ctrl_c_leaves_at_once() {
    let run = Blocked::start_with(Launcher::Ferroflow, |c| {
        c.env("IGNORE_SIGNALS", "1");
    });
    run.running.signal_group(Signal::SIGINT);
    wait_for("the first to be noticed", || {
        run.running.output().contains("Workflow interrupted.")
    });
    run.running.signal_group(Signal::SIGINT);
    let ended = run.running.wait_within(Duration::from_mins(1));
    assert!(!ended.status.success(), "{}", ended.all());
    Blocked::all_gone(run.tasks, run.engine);
}
