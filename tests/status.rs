//! `ferroflow status`: what it tells of runs.

#![cfg(target_os = "linux")]

mod harness;

use std::{
    ffi::OsStr,
    fs,
    os::unix::ffi::OsStrExt,
    path::Path,
    process::{Command, Output},
};

use harness::{
    FERROFLOW,
    lab::{Lab, Launcher},
    processes::{alive, engine_of},
    remove_variables, wait_for,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

fn status(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(FERROFLOW);
    remove_variables(&mut command, &["METAFLOW_"]);
    command
        .arg("status")
        .args(args)
        .current_dir(folder)
        .env("METAFLOW_HOME", folder.join("home/metaflowconfig"))
        .env("NOT_UTF_8", OsStr::from_bytes(b"\xff"))
        .output()
        .expect("ferroflow starts")
}

#[track_caller]
fn told(folder: &Path, args: &[&str]) -> String {
    let output = status(folder, args);
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    assert!(output.status.success(), "{args:?}\n{text}");
    text
}

/// The error with which it fails.
#[track_caller]
fn refused(folder: &Path, args: &[&str], code: i32) -> String {
    let output = status(folder, args);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{args:?}\n{text}");
    assert!(output.stdout.is_empty());
    text
}

fn run_of(lab: &Lab, flow: &str) -> String {
    let run = fs::read_to_string(lab.path().join("run-id")).expect("the run has an id");
    format!("{flow}/{}", run.trim())
}

#[test]
fn a_run_is_told_from_its_beginning_to_the_death_of_its_launcher() {
    let lab = Lab::new("blocks.py");
    let command = lab.command(Launcher::Ferroflow, &["run", "--run-id-file", "run-id"]);
    let running = lab.start(command);
    wait_for("both tasks to block", || {
        ["task-0", "task-1"]
            .iter()
            .all(|name| lab.shared(name).exists())
    });
    let engine = engine_of(running.pid()).expect("the run has an engine");
    let run = run_of(&lab, "BlocksFlow");
    let text = told(lab.path(), &[&run]);
    assert!(text.starts_with(&run), "{text}");
    assert!(text.contains("state:     running\n"), "{text}");
    assert!(text.contains("so far:    "), "{text}");
    assert!(text.contains(&format!("process {engine} on ")), "{text}");
    assert!(text.contains("(this machine)"), "{text}");

    kill(Pid::from_raw(engine), Signal::SIGKILL).expect("the engine is there");
    wait_for("the engine to be gone", || !alive(engine));
    running.wait().exited(1);
    let text = told(lab.path(), &[&run]);
    assert!(
        text.contains("running, but its launcher is gone\n"),
        "{text}"
    );
    assert!(text.contains("last word: "), "{text}");
    assert!(text.contains("hint: "), "{text}");
    let json: serde_json::Value =
        serde_json::from_str(&told(lab.path(), &[&run, "--json"])).expect("JSON");
    assert_eq!(json["launcher_alive"], false);
    assert_eq!(json["duration_ms"], serde_json::Value::Null);
}

#[test]
fn a_run_that_has_ended_is_told_with_reasons_and_counts() {
    let lab = Lab::new("start_foreach.py");
    let mut command = lab.command(Launcher::Ferroflow, &["run", "--run-id-file", "run-id"]);
    command.env("FERROFLOW_FORK", "off");
    lab.start(command).wait().exited(0);
    let run = run_of(&lab, "StartForeachFlow");
    let text = told(lab.path(), &[&run, "-v"]);
    for line in [
        "state:     done",
        "took:      ",
        "attempts:  6: 6 with fresh interpreters",
        "     6  FERROFLOW_FORK=off",
        "versions:  ferroflow ",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    let work: Vec<_> = text
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|words| words.get(1..) == Some(&["3", "3", "3", "0"]))
        .collect();
    assert_eq!(work.len(), 1, "{text}");

    let table = told(lab.path(), &[]);
    assert!(table.starts_with("RUN "), "{table}");
    assert!(
        table
            .lines()
            .nth(1)
            .is_some_and(|row| row.starts_with(&run)),
        "{table}"
    );
    let below = lab.path().join("home");
    assert_eq!(told(&below, &["StartForeachFlow"]), table);
    let elsewhere = harness::temporary::folder();
    let settings = elsewhere.path().join("home/metaflowconfig");
    fs::create_dir_all(&settings).expect("a folder");
    let config = serde_json::json!({ "METAFLOW_DATASTORE_SYSROOT_LOCAL": lab.path() });
    fs::write(settings.join("config.json"), config.to_string()).expect("a file");
    assert_eq!(told(elsewhere.path(), &[]), table);
    let json: serde_json::Value =
        serde_json::from_str(&told(lab.path(), &["--json"])).expect("JSON");
    assert_eq!(json[0]["state"], "done");
    assert_eq!(json[0]["steps"][0]["tasks"], 1);
    assert!(json[0]["duration_ms"].as_u64().is_some_and(|ms| ms > 0));

    let error = refused(lab.path(), &["StartForeachFlow/1"], 1);
    assert!(
        error.contains("no record of run StartForeachFlow/1 in the datastore `"),
        "{error}"
    );
    assert!(error.contains("\nhint: "), "{error}");
}

#[test]
fn what_cannot_be_told_is_an_error_that_says_why() {
    let folder = harness::temporary::folder();
    let here = folder.path();
    assert!(refused(here, &[], 1).contains("there is no .metaflow folder in `"));
    assert!(refused(here, &["A/1/start/2"], 1).contains("names no run"));
    assert!(refused(here, &["--datastore", "s3"], 1).contains("METAFLOW_DATASTORE_SYSROOT_S3"));
    assert!(refused(here, &["--datastore", "azure"], 2).contains("possible values: local, s3"));
    fs::create_dir_all(here.join(".metaflow/.ferroflow/A/1")).expect("a folder");
    assert!(refused(here, &["A"], 1).contains("no record of a run of A"));
    fs::write(here.join(".metaflow/.ferroflow/A/1/run.json"), "{").expect("a file");
    assert!(refused(here, &["A/1"], 1).contains("`.ferroflow/A/1/run.json` cannot be read: "));
}
