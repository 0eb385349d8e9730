//! What tasks used: told to upstream's Client and by `ferroflow report`, and what follows when memory was too little.

mod harness;

use std::{fs, path::Path, process::Command};

use harness::{
    FERROFLOW,
    lab::{Finished, Lab, Launcher},
    python, remove_variables,
    stack::Stack,
    tests_folder,
};
use serde_json::Value;

/// What the standard output of a program says in JSON.
#[track_caller]
fn json(command: &mut Command) -> Value {
    let text = told(command);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

#[track_caller]
fn told(command: &mut Command) -> String {
    let output = command.output().expect("it starts");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs a flow on the stack that tests share.
fn run(lab: &Lab, args: &[&str], variables: &[(&str, &str)]) -> Finished {
    let args = [&["run", "--run-id-file", "run-id"], args].concat();
    let mut command = lab.command(Launcher::Ferroflow, &args);
    command
        .envs(Stack::shared().environment())
        .envs(variables.iter().copied());
    lab.start(command).wait()
}

fn run_of(lab: &Lab, flow: &str) -> String {
    let run = fs::read_to_string(lab.path().join("run-id")).expect("the run has an id");
    format!("{flow}/{}", run.trim())
}

/// What upstream's Client tells of a task.
fn client(lab: &Lab, task: &str) -> Value {
    let mut command = Command::new(python::with_metaflow());
    command
        .arg(tests_folder().join("stack/usage.py"))
        .arg(task)
        .current_dir(lab.path())
        .env("METAFLOW_USER", "tester")
        .envs(Stack::shared().environment());
    json(&mut command)
}

/// From another folder, where only the datastore's address is known.
fn report(elsewhere: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(FERROFLOW);
    remove_variables(&mut command, &["METAFLOW_", "FERROFLOW", "AWS_"]);
    command
        .arg("report")
        .args(args)
        .args(["--datastore", "s3"])
        .current_dir(elsewhere)
        .envs(Stack::shared().variables());
    command
}

/// How much a text says that an attempt used of the 600 MB that it had asked for.
#[track_caller]
fn used(text: &str) -> u32 {
    let (before, _) = text
        .split_once(" of 600 MB): try @resources(memory=1200).")
        .unwrap_or_else(|| panic!("{text}"));
    let figure = before.rsplit(' ').next().unwrap_or_default();
    figure
        .replace(',', "")
        .parse()
        .unwrap_or_else(|_| panic!("{figure:?} in {text}"))
}

fn number(value: &Value) -> f64 {
    let number = value.as_str().and_then(|text| text.parse().ok());
    number.unwrap_or_else(|| panic!("{value} is no number"))
}

/// The first attempt is killed for its use of memory, the second has half as much again.
#[test]
fn a_task_that_ran_out_of_memory_is_told_of_and_gets_more() {
    let lab = Lab::new("hungry.py");
    let retries = [("FERROFLOW_OOM_RETRIES", "1")];
    let finished = run(&lab, &["--with", "batch:memory=600"], &retries).exited(0);
    let finished = finished
        .says("The task ran out of memory (OutOfMemoryError: ")
        .says("An attempt ran out of 600 MB of memory: this one asks for 900 MB (FERROFLOW_OOM_RETRIES).")
        .says("held 600");
    let mb = used(&finished.all());
    assert!((300..=1200).contains(&mb), "{mb} MB used");
    let run = run_of(&lab, "HungryFlow");
    let path = finished.all();
    let path = path.split(['[', ' ']).find(|word| word.contains("/only/"));
    let task = path
        .and_then(|path| path.rsplit('/').next())
        .expect("a task");

    let seen = client(&lab, &format!("{run}/only/{task}"));
    let attempts = seen["attempts"].as_array().expect("attempts");
    assert_eq!(attempts.len(), 2, "{seen:#}");
    let stderr = attempts[0]["stderr"].as_str().expect("text");
    assert_eq!(used(stderr), mb, "{seen:#}");
    let stdout = attempts[1]["stdout"].as_str().expect("text");
    assert!(
        stdout.contains("asks for 900 MB") && stdout.contains("held 600"),
        "{seen:#}"
    );
    // The first may have been killed before it held all.
    for attempt in attempts {
        let metadata = &attempt["metadata"];
        assert!(
            number(&metadata["ferroflow-peak-memory-mb"]) >= 300.0,
            "{seen:#}"
        );
        assert!(number(&metadata["ferroflow-cpu-seconds"]) > 0.0, "{seen:#}");
        assert!(
            number(&metadata["ferroflow-wall-seconds"]) > 0.0,
            "{seen:#}"
        );
    }
    assert_eq!(seen["latest"], attempts[1]["metadata"]);

    let elsewhere = harness::temporary::folder();
    let document = json(&mut report(elsewhere.path(), &[&run, "--json"]));
    assert_eq!(document["state"], "done");
    let step = &document["steps"][0];
    assert_eq!(step["step"], "only");
    assert_eq!((&step["tasks"], &step["attempts"]), (&1.into(), &2.into()));
    assert_eq!(step["failed"], 1);
    let batch = &step["batch"];
    assert_eq!(batch["launches"], 2);
    assert_eq!(batch["without_end"], 0);
    assert_eq!(batch["asked"]["memory_mb"]["min"], 600.0);
    assert_eq!(batch["asked"]["memory_mb"]["max"], 900.0);
    assert_eq!(batch["asked"]["vcpus"]["max"], 1.0);
    let peak = number(&attempts[1]["metadata"]["ferroflow-peak-memory-mb"]);
    let highest = batch["peak_memory_mb"]["max"].as_f64().expect("a number");
    assert!(highest >= peak, "{document:#}");
    for name in [
        "mean_cpu_seconds",
        "cores_used",
        "wall_seconds",
        "vcpu_hours",
        "gb_hours",
    ] {
        let figure = batch[name].as_f64();
        assert!(
            figure.is_some_and(|figure| figure > 0.0),
            "{name}\n{document:#}"
        );
    }
    let failure = &document["failures"][0];
    assert_eq!(
        (&failure["step"], &failure["count"]),
        (&"only".into(), &1.into())
    );
    assert_eq!(failure["class"], "out of memory");

    let text = told(&mut report(elsewhere.path(), &[&run]));
    assert!(text.starts_with(&format!("{run}: done, took ")), "{text}");
    assert!(text.contains("  600-900  "), "{text}");
    let line = text
        .lines()
        .find(|line| line.contains("1 only, out of memory: "));
    let line = line.unwrap_or_else(|| panic!("{text}"));
    assert_eq!(used(line), mb, "{text}");
}

/// It runs once, and nothing is told of what it used.
#[test]
fn without_being_asked_for_nothing_is_repeated_or_added() {
    let lab = Lab::new("hungry.py");
    let variables = [("FERROFLOW_USAGE", "off")];
    let finished = run(&lab, &["--with", "batch:memory=600"], &variables).exited(1);
    let finished = finished
        .says(" of 600 MB): try @resources")
        .does_not_say("asks for");
    let path = finished.all();
    let path = path.split(['[', ' ']).find(|word| word.contains("/only/"));
    let task = path
        .and_then(|path| path.rsplit('/').next())
        .expect("a task");
    let run = run_of(&lab, "HungryFlow");
    let seen = client(&lab, &format!("{run}/only/{task}"));
    assert_eq!(
        seen["attempts"].as_array().map(Vec::len),
        Some(1),
        "{seen:#}"
    );
    assert_eq!(seen["latest"], serde_json::json!({}));
}

#[test]
fn of_a_run_without_jobs_the_counts_are_told() {
    let lab = Lab::new("single_step.py");
    let args = ["run", "--run-id-file", "run-id"];
    lab.run(Launcher::Ferroflow, &args).exited(0);
    let run = run_of(&lab, "SingleStepFlow");
    let report = |args: &[&str]| {
        let mut command = Command::new(FERROFLOW);
        remove_variables(&mut command, &["METAFLOW_", "FERROFLOW", "AWS_"]);
        command
            .arg("report")
            .args(args)
            .current_dir(lab.path())
            .env("METAFLOW_HOME", lab.path().join("home/metaflowconfig"));
        command
    };
    let text = told(&mut report(&[&run]));
    let words: Vec<_> = text.split_whitespace().collect();
    assert!(
        words.windows(4).any(|row| row == ["only", "1", "1", "0"]),
        "{text}"
    );
    assert!(text.contains("\nno job on AWS Batch: "), "{text}");
    let document = json(&mut report(&[&run, "--json"]));
    assert_eq!(document["steps"][0]["batch"], Value::Null);

    for (wanted, why) in [
        (
            "SingleStepFlow/1",
            "no record of run SingleStepFlow/1 in the datastore `",
        ),
        ("SingleStepFlow", "`SingleStepFlow` names no run\nhint: "),
    ] {
        let output = report(&[wanted]).output().expect("it starts");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.contains(why), "{error}");
    }
}
