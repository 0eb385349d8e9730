//! Local compute on real processes.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use compute::{
    host::protocol::EnvironmentChange,
    local::{LocalCompute, LocalEvent, Spec},
};
use model::{Attempt, TaskKey, layout::Stream};
#[cfg(target_os = "linux")]
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::signal::Signal;
use tokio::sync::mpsc;

const DEADLINE: Duration = Duration::from_secs(20);

fn shell(script: &str) -> Spec {
    Spec {
        task: TaskKey(7),
        attempt: Attempt(1),
        argv: ["sh", "-c", script].map(str::to_owned).to_vec(),
        env: EnvironmentChange::default(),
        cwd: "/".to_owned(),
        fork: false,
    }
}

struct Told {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    return_code: i32,
}

async fn run(spec: Spec) -> Told {
    let (sender, mut events) = mpsc::channel(4);
    let mut local = LocalCompute::new(sender, None);
    local.launch(&spec).unwrap();
    finish(&mut events).await
}

async fn finish(events: &mut mpsc::Receiver<LocalEvent>) -> Told {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    loop {
        let event = tokio::time::timeout(DEADLINE, events.recv())
            .await
            .unwrap()
            .unwrap();
        match event {
            LocalEvent::Line {
                stream: Stream::Stdout,
                line,
                ..
            } => stdout.extend(line),
            LocalEvent::Line {
                stream: Stream::Stderr,
                line,
                ..
            } => stderr.extend(line),
            LocalEvent::Ended {
                task,
                attempt,
                return_code,
            } => {
                assert_eq!((task, attempt), (TaskKey(7), Attempt(1)));
                return Told {
                    stdout,
                    stderr,
                    return_code,
                };
            }
        }
    }
}

/// Whoever started this process has the limit that it was started with.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_engine_may_open_more_files_and_its_processes_as_many_as_ever() {
    let told = run(shell("ulimit -S -n")).await;
    let parent = std::os::unix::process::parent_id();
    let limits = std::fs::read_to_string(format!("/proc/{parent}/limits")).unwrap();
    let line = limits.lines().find(|l| l.starts_with("Max open files"));
    let at_start = line.unwrap().split_whitespace().nth(3).unwrap();
    assert_eq!(String::from_utf8(told.stdout).unwrap().trim(), at_start);
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    assert_eq!(soft, hard);
}

#[tokio::test]
async fn both_streams_and_the_exit_code_are_told() {
    let told = run(shell("echo out; printf 'no newline' >&2; exit 3")).await;
    assert_eq!(told.stdout, b"out\n");
    assert_eq!(told.stderr, b"no newline");
    assert_eq!(told.return_code, 3);
}

#[tokio::test]
async fn a_signal_is_a_negative_code() {
    assert_eq!(run(shell("kill -SEGV $$")).await.return_code, -11);
}

#[tokio::test]
async fn nothing_is_lost_of_a_large_output() {
    let told = run(shell(
        "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done",
    ))
    .await;
    assert_eq!(told.stdout.split_inclusive(|b| *b == b'\n').count(), 20_000);
    assert!(told.stdout.ends_with(b"line 19999\n"));
}

#[tokio::test]
async fn what_a_process_left_behind_says_belongs_to_the_task() {
    let told = run(shell("(sleep 0.3; echo late) & echo done")).await;
    assert_eq!(told.stdout, b"done\nlate\n");
}

#[tokio::test]
async fn nobody_waits_for_a_process_left_behind_once_all_are_killed() {
    let (sender, mut events) = mpsc::channel(4);
    let mut local = LocalCompute::new(sender, None);
    local.launch(&shell("setsid sleep 60 & echo done")).unwrap();
    let first = tokio::time::timeout(DEADLINE, events.recv()).await;
    assert!(matches!(first, Ok(Some(LocalEvent::Line { .. }))));
    local.signal_all(Signal::SIGKILL);
    finish(&mut events).await;
}

#[tokio::test]
async fn the_environment_is_changed_as_asked() {
    let mut spec = shell("echo ${GIVEN-none} ${PATH-none}");
    spec.env.set.insert("GIVEN".to_owned(), "yes".to_owned());
    spec.env.unset.push("PATH".to_owned());
    spec.argv[0] = "/bin/sh".to_owned();
    assert!(run(spec).await.stdout.starts_with(b"yes "));
}

#[tokio::test]
async fn signals_reach_the_whole_group() {
    let (sender, mut events) = mpsc::channel(4);
    let mut local = LocalCompute::new(sender, None);
    local
        .launch(&shell("sh -c 'echo up; sleep 30'; echo not reached"))
        .unwrap();
    let first = tokio::time::timeout(DEADLINE, events.recv())
        .await
        .unwrap()
        .unwrap();
    assert!(matches!(first, LocalEvent::Line { .. }));
    assert_eq!(local.running().count(), 1);
    local.signal_all(Signal::SIGKILL);
    let told = finish(&mut events).await;
    assert_eq!(told.return_code, -9);
    assert!(told.stdout.is_empty());
}

#[tokio::test]
async fn a_program_that_is_missing_is_an_error() {
    let (sender, _events) = mpsc::channel(4);
    let mut spec = shell("");
    spec.argv = vec!["/no/such/program".to_owned()];
    assert!(LocalCompute::new(sender, None).launch(&spec).is_err());
}
