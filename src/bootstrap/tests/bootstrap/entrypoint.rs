//! The program as the entrypoint of an image: it gets a job's command as its arguments.

use std::process::{Command, Output};

use sha2::{Digest, Sha256};

use crate::fixture::Fixture;

const PROGRAM: &str = env!("CARGO_BIN_EXE_ferroflow-bootstrap");

/// A container of a task that says `from the step`, and whose job names a bootstrap by its hash.
fn container(sha256: &str) -> Fixture {
    let mut fixture = Fixture::new("echo from the step; exit 9");
    fixture.set(bootstrap::variable::STUB, "print('from the stub')");
    let digests = format!(r#"{{"{}": "{sha256}"}}"#, std::env::consts::ARCH);
    fixture.set(bootstrap::variable::SHA256, &digests);
    fixture.publish();
    fixture
}

fn run(fixture: &Fixture, command: &[&str]) -> Output {
    Command::new(PROGRAM)
        .args(command)
        .env_clear()
        .envs(&fixture.variables)
        .current_dir(fixture.work())
        .output()
        .unwrap()
}

fn of_this_program() -> String {
    hex::encode(Sha256::digest(std::fs::read(PROGRAM).unwrap()))
}

#[test]
fn the_bootstrap_that_the_job_asks_for_takes_over() {
    let fixture = container(&of_this_program());
    let output = run(&fixture, &bootstrap::ENTRY_COMMAND);
    assert_eq!(output.status.code(), Some(9), "{output:?}");
    assert_eq!(fixture.output(), ["from the step"]);
}

#[test]
fn the_bootstrap_of_another_launcher_is_fetched() {
    let fixture = container("00");
    let output = run(&fixture, &bootstrap::ENTRY_COMMAND);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(output.stdout, b"from the stub\n");
    assert_eq!(fixture.claim(), None);
}

#[test]
fn a_command_without_a_task_is_run() {
    let mut fixture = container(&of_this_program());
    fixture.unset("FERROFLOW_SPEC");
    let output = run(
        &fixture,
        &["sh", "-c", "echo \"$0 $1\"; exit 3", "a b", "c"],
    );
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert_eq!(output.stdout, b"a b c\n");
}

#[test]
fn a_command_that_is_not_there_is_named() {
    let fixture = Fixture::new("");
    let output = run(&fixture, &["no-such-program"]);
    assert_eq!(output.status.code(), Some(127), "{output:?}");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("`no-such-program`"), "{stderr}");
}

#[test]
fn without_a_command_it_says_what_it_is_for() {
    let fixture = Fixture::new("");
    let output = run(&fixture, &[]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        stderr.contains("started by jobs of `ferroflow`"),
        "{stderr}"
    );
}
