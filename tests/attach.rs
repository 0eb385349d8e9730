//! `ferroflow attach`: the launcher dies at each boundary of a launch, and another one brings the run to its end. No task runs
//! twice in one attempt, no job is left, and upstream's Client sees one run like any other.

#![cfg(target_os = "linux")]

mod harness;

use std::{fs, process::Command};

use checker::Expectations;
use harness::{
    lab::{Finished, Lab, Launcher},
    processes::{alive, engine_of},
    python,
    stack::Stack,
    story::Story,
    wait_for,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::json;

/// What upstream's Client makes of the run: how it ended, the tasks of each step, and a value that came out.
const CLIENT: &str = "
import json, sys
from metaflow import Run, namespace
namespace(None)
run = Run(sys.argv[1])
tasks = {step.id: len(list(step)) for step in run}
print(json.dumps([run.successful, tasks, run['end'].task['values'].data]))
";

/// A run of `halfway.py` whose launcher dies at this place (src/ferroflow/failpoint.rs).
struct Left {
    lab: Lab,
    stack: Stack,
}

impl Left {
    fn at(place: &str) -> Self {
        let left = Self {
            lab: Lab::new("halfway.py"),
            stack: Stack::start(&[]),
        };
        let mut command = left.run();
        command.env("FERROFLOW_FAILPOINT", place);
        let finished = left.lab.start(command).wait();
        assert!(!finished.status.success(), "{place}: {}", finished.all());
        left
    }

    fn run(&self) -> Command {
        let args = ["run", "--word", "hello", "--run-id-file", "run-id"];
        let mut command = self.lab.command(Launcher::Ferroflow, &args);
        command
            .envs(self.stack.environment())
            .env("AWS_SDK_UA_APP_ID", "launcher");
        command
    }

    fn id(&self) -> String {
        let id = fs::read_to_string(self.lab.path().join("run-id")).expect("the run has an id");
        format!("HalfwayFlow/{}", id.trim())
    }

    fn attach_with(&self, more: &[&str]) -> Command {
        let id = self.id();
        let args = [&["attach", &id][..], more].concat();
        let mut command = self.lab.verb(&args);
        command
            .envs(self.stack.environment())
            .env("AWS_SDK_UA_APP_ID", "second-launcher");
        command
    }

    fn attach(&self) -> Finished {
        self.lab.start(self.attach_with(&[])).wait()
    }

    /// The attempts in which a task's code has begun.
    fn begun(&self, task: &str) -> Vec<String> {
        let marks = fs::read_to_string(self.lab.shared(&format!("begun-{task}")));
        let marks = marks.unwrap_or_default();
        marks.lines().map(str::to_owned).collect()
    }

    /// Panics unless the run is whole, and its jobs have kept their promises.
    fn assert_whole(self) {
        let output = Command::new(python::with_metaflow())
            .args(["-c", CLIENT, &self.id()])
            .current_dir(self.lab.path())
            .envs(self.stack.environment())
            .env("METAFLOW_USER", "tester")
            .env("HOME", self.lab.path().join("home"))
            .output()
            .expect("python starts");
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        let tasks = json!({"start": 1, "work": 2, "join": 1, "end": 1});
        let told: serde_json::Value = serde_json::from_str(&told)
            .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
        assert_eq!(told, json!([true, tasks, ["hello-0", "hello-1"]]));
        for work in ["0", "1"] {
            assert_eq!(self.begun(work), ["0"], "work {work}");
        }
        for local in ["start", "join", "end"] {
            let begun = self.begun(local);
            assert!(
                begun == ["0"] || begun == ["1"] || begun == ["0", "1"],
                "{local}: {begun:?}"
            );
        }
        let run = self.id();
        let Self { lab, stack } = self;
        Story { lab, stack, run }.kept_its_promises(&Expectations::default());
    }
}

macro_rules! boundaries {
    ($($name:ident: $place:literal)*) => {$(
        #[test]
        fn $name() {
            let left = Left::at($place);
            left.attach().exited(0).says("Attached:").says("Done!");
            left.assert_whole();
        }
    )*};
}

boundaries! {
    before_the_launch_record: "record:2"
    after_the_launch_record: "recorded:2"
    after_one_job_was_submitted: "submitted"
    after_a_job_id_was_noted: "noted"
    after_a_job_was_judged: "judged"
    after_a_job_was_settled: "settled:2"
    when_a_task_was_made: "prepared:3"
    when_a_local_task_was_about_to_start: "local-recorded:2"
    when_a_local_task_had_ended: "local-ended:2"
    when_the_last_task_had_ended: "settled:5"
}

/// Before its first job a run has nothing that outlives the launcher.
#[test]
fn a_run_without_jobs_is_resumed() {
    let left = Left::at("leased");
    left.attach()
        .exited(1)
        .says("has no job on AWS Batch in this datastore")
        .says("is resumed, not attached");
}

/// A second launcher takes the run from one that is asleep. Awake again, that one does nothing more.
#[test]
fn a_launcher_that_slept_leaves_the_run_to_the_other() {
    let left = Left {
        lab: Lab::new("halfway.py"),
        stack: Stack::start(&[]),
    };
    let mut command = left.run();
    command.env("FERROFLOW_LEASE", "10s");
    let first = left.lab.start(command);
    wait_for("a task to begin on Batch", || {
        assert!(alive(first.pid()), "{}", first.output());
        !left.begun("0").is_empty()
    });
    let engine = engine_of(first.pid()).expect("a run by Ferroflow has an engine");
    kill(Pid::from_raw(engine), Signal::SIGSTOP).expect("the engine is there");
    left.attach()
        .exited(1)
        .says("which is alive")
        .says("--take-over");
    let second = left.lab.start(left.attach_with(&["--take-over"]));
    second.wait().exited(0).says("Done!");
    kill(Pid::from_raw(engine), Signal::SIGCONT).expect("the engine is there");
    first
        .wait()
        .exited(1)
        .says("this launcher no longer drives the run");
    left.attach().exited(1).says("has ended (done)");
    left.assert_whole();
}
