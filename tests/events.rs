//! `ferroflow --json`: events for programs, and failures told by cause.

#![cfg(target_os = "linux")]

mod harness;

use std::process::Command;

use harness::{
    FERROFLOW,
    events::Events,
    lab::{Finished, Lab, Launcher},
};

/// The flow runs, and not by the engine.
#[test]
fn a_run_that_is_handed_back_has_one_event() {
    let lab = Lab::new("custom_ends.py");
    let no_engine = [("FERROFLOW", "auto"), ("FERROFLOW_PATIENCE", "long")];
    let finished = run(&lab, &no_engine).exited(0);
    let event: serde_json::Value = serde_json::from_str(&finished.stdout).expect("one event");
    assert_eq!(event["version"], 1);
    assert_eq!(event["event"], "run_handed_back");
    let reason = event["reason"].as_str().expect("a text");
    assert!(
        reason.contains("exited with status 1 before the first task"),
        "{reason}"
    );
    assert!(finished.stderr.contains("Done!"), "{}", finished.stderr);
}

/// A run of the lab's flow whose standard output is for programs.
fn run(lab: &Lab, variables: &[(&str, &str)]) -> Finished {
    let plain = lab.command(Launcher::Ferroflow, &["run"]);
    let mut command = Command::new(FERROFLOW);
    command
        .arg("--json")
        .args(plain.get_args())
        .current_dir(lab.path());
    for (name, value) in plain.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.envs(variables.iter().copied());
    lab.start(command).wait()
}

#[test]
fn events_tell_all_attempts_and_nothing_else_is_among_them() {
    let lab = Lab::new("retry.py");
    let finished = run(&lab, &[]).exited(0);
    let events = Events::parse(&finished.stdout);
    events.add_up();
    let first = &events.0[0];
    assert_eq!(first["flow"], "RetryFlow");
    assert_eq!(first["max_workers"], 16);
    assert!(
        first["metaflow"]
            .as_str()
            .is_some_and(|v| v.starts_with("2."))
    );
    let run = first["run"].as_str().expect("a run id");

    let end = events.end();
    assert_eq!(end["state"], "done");
    let counts = serde_json::json!({"tasks": 7, "started": 12, "succeeded": 7, "failed": 5});
    assert_eq!(end["counts"], counts);
    // Another attempt has mended each of them.
    assert_eq!(end["failures"], serde_json::json!([]));
    assert_eq!(events.of("task_retried").len(), 5);

    let failed = events.of("task_failed");
    let raises = failed.iter().find(|event| event["step"] == "raises");
    let raises = raises.expect("the first attempt of `raises` fails");
    let task = raises["task"].as_str().expect("a pathspec");
    assert!(
        task.starts_with(&format!("RetryFlow/{run}/raises/")),
        "{task}"
    );
    assert_eq!(raises["class"], "user error");
    assert_eq!(raises["cause"], "The task failed with exit code 1");
    let log = raises["log"].as_array().expect("lines");
    let last = log.last().and_then(|line| line.as_str());
    assert_eq!(last, Some("ValueError: attempt 0 shall fail"), "{log:?}");
    let dies = failed.iter().find(|event| event["step"] == "dies");
    let cause = &dies.expect("the first attempt of `dies` fails")["cause"];
    assert_eq!(cause, "The task was ended by signal 9, SIGKILL");

    // What is for people is as ever.
    for text in [
        "Workflow starting",
        "Task is starting (retry).",
        "attempt 2",
        "Done!",
    ] {
        assert!(
            finished.stderr.contains(text),
            "{text}\n{}",
            finished.stderr
        );
    }
}

#[test]
fn tasks_that_fail_for_one_reason_are_told_together() {
    let lab = Lab::new("bad_items.py");
    let finished = run(&lab, &[]).exited(1);
    let events = Events::parse(&finished.stdout);
    events.add_up();
    let end = events.end();
    assert_eq!(end["state"], "failed");
    assert_eq!(end["error"], "the last step was not reached");
    let [group] = end["failures"].as_array().expect("a list").as_slice() else {
        panic!("{end}");
    };
    assert_eq!(group["tasks"], 4);
    assert_eq!(group["step"], "work");
    assert_eq!(group["class"], "user error");
    let log: Vec<_> = (group["log"].as_array().expect("lines").iter())
        .map(|line| line.as_str().expect("text"))
        .collect();
    let [.., before, last] = &log[..] else {
        panic!("{log:?}");
    };
    assert!(before.starts_with("looking at item "), "{log:?}");
    assert!(last.ends_with(" has no label"), "{log:?}");

    let first = group["first"].as_str().expect("a pathspec");
    let lines = finished.run_lines();
    let head = format!("4 tasks of step work failed: user error. The first is {first}.");
    let at = lines.iter().position(|line| {
        // The id of the run has been taken out of the line.
        let (before, after) = head.split_at(head.find("BadItemsFlow/").expect("a pathspec"));
        line.starts_with(before) && line.ends_with(&after[after.find("/work/").expect("a step")..])
    });
    let at = at.unwrap_or_else(|| panic!("{head}\n{lines:#?}"));
    assert_eq!(lines[at + 1], "    The task failed with exit code 202.");
    assert_eq!(lines[at + 2], format!("    {}", log[0]));
}
