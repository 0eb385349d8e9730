//! `ferroflow attach`: the launcher dies at each boundary of a launch, and another one brings the run to its end. No task runs
//! twice in one attempt, no job is left, and upstream's Client sees one run like any other.

#![cfg(target_os = "linux")]

mod harness;

use std::{collections::BTreeSet, fs, process::Command};

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
use serde_json::{Value, json};

/// What upstream's Client makes of the run: how it ended, the tasks of each step, and a value that came out.
const CLIENT: &str = "
import json, sys
from metaflow import Run, namespace
namespace(None)
run = Run(sys.argv[1])
tasks = {step.id: len(list(step)) for step in run}
print(json.dumps([run.successful, tasks, run['end'].task['values'].data]))
";

/// Of which task each task of a resumed run is a clone, and whether it has the artifacts of that.
const CLONES: &str = "
import json, sys
from metaflow import Run, Task, namespace
namespace(None)
run = Run(sys.argv[1])
def artifacts(task):
    return {a.id: repr(a.data) for a in task if a.id in ('items', 'value', 'values', 'word')}
clones = {}
for step in run:
    for task in step:
        of = task.origin_pathspec
        same = of is None or artifacts(task) == artifacts(Task(of))
        clones.setdefault(step.id, []).append([of, task.successful and same])
print(json.dumps({step: sorted(of, key=str) for step, of in clones.items()}))
";

/// The tasks of a run.
const TASKS: &str = "
import json, sys
from metaflow import Run, namespace
namespace(None)
run = Run(sys.argv[1])
print(json.dumps([run.finished and run.successful, {step.id: sorted(task.pathspec for task in step) for step in run}]))
";

/// A run of `halfway.py` whose launcher dies at this place (src/ferroflow/failpoint.rs).
struct Left {
    lab: Lab,
    stack: Stack,
}

impl Left {
    /// A stack where these things go wrong, and no run yet.
    fn on(rules: &[Value]) -> Self {
        Self {
            lab: Lab::new("halfway.py"),
            stack: Stack::with_faults(rules, &[]),
        }
    }

    fn at(place: &str) -> Self {
        let left = Self::on(&[]);
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

    /// What a program about a run prints, by upstream's Client.
    fn client(&self, program: &str, run: &str) -> Value {
        let output = Command::new(python::with_metaflow())
            .args(["-c", program, run])
            .current_dir(self.lab.path())
            .envs(self.stack.environment())
            .env("METAFLOW_USER", "tester")
            .env("HOME", self.lab.path().join("home"))
            .output()
            .expect("python starts");
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)))
    }

    /// Panics unless the run is whole, and its jobs have kept their promises.
    fn assert_whole(self) {
        let told = self.client(CLIENT, &self.id());
        let tasks = json!({"start": 1, "work": 2, "join": 1, "end": 1});
        assert_eq!(told, json!([true, tasks, ["hello-0", "hello-1"]]));
        for work in ["0", "1"] {
            assert_eq!(self.begun(work), ["0"], "work {work}");
        }
        for local in ["start", "join", "end"] {
            let begun = self.begun(local);
            let attempts: BTreeSet<_> = begun.iter().collect();
            assert!(
                !begun.is_empty() && attempts.len() == begun.len(),
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

/// The host was killed, too, after the folder of a task and before what makes it one for upstream.
#[test]
fn a_task_that_was_half_made_is_made_whole() {
    let left = Left::at("record:2");
    let id = left.id();
    let tasks = left.lab.path().join(".metaflow").join(id).join("work");
    let mut half_made = 0;
    for task in fs::read_dir(tasks).expect("the step has tasks") {
        let own = task.expect("an entry").path().join("_meta/_self.json");
        half_made += usize::from(fs::remove_file(own).is_ok());
    }
    assert_eq!(half_made, 2);
    left.attach().exited(0).says("Attached:").says("Done!");
    left.assert_whole();
}

/// A task of this machine dies with each launcher, at no cost: it has no `@retry`.
#[test]
fn launchers_die_time_and_again() {
    let left = Left::at("local-recorded:2");
    for _ in 0..3 {
        let mut attach = left.attach_with(&[]);
        attach.env("FERROFLOW_FAILPOINT", "local-recorded");
        let finished = left.lab.start(attach).wait();
        assert!(!finished.status.success(), "{}", finished.all());
    }
    left.attach().exited(0).says("Attached:").says("Done!");
    assert_eq!(left.begun("join"), ["4"]);
    left.assert_whole();
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
    let left = Left::on(&[]);
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

/// Launchers were killed twice, the third one saw the run fail in its last step. Whoever resumes it, all but that step is cloned.
#[test]
fn a_run_of_three_launchers_that_failed_is_resumed() {
    let left = Left::on(&[]);
    fs::write(left.lab.shared("broken"), "").expect("a file");
    let killed = |mut command: Command, place: &str| {
        command.env("FERROFLOW_FAILPOINT", place);
        let killed = left.lab.start(command).wait();
        assert!(!killed.status.success(), "{place}: {}", killed.all());
        killed
    };
    killed(left.run(), "submitted");
    killed(left.attach_with(&[]), "judged").says("Attached:");
    let failed = left.attach().exited(1);
    failed.says("Attached:").says("the last step is broken");
    let origin = left.id();
    let told = left.client(TASKS, &origin);
    let (successful, tasks) = (&told[0], &told[1]);
    assert_eq!(successful, false, "{told}");
    let clones = |step: &str| {
        let tasks = tasks[step].as_array().expect("a step");
        Value::Array(tasks.iter().map(|task| json!([task, true])).collect())
    };
    let clones: Value = ["start", "work", "join"]
        .map(|step| (step, clones(step)))
        .into_iter()
        .collect();
    let marks = |left: &Left| ["start", "0", "1", "join"].map(|task| left.begun(task));
    let begun = marks(&left);
    assert_eq!(begun[1..3], [["0"], ["0"]], "work ran once");

    fs::remove_file(left.lab.shared("broken")).expect("the file is there");
    for (launcher, wish) in [(Launcher::Upstream, "off"), (Launcher::Ferroflow, "auto")] {
        let id = origin.trim_start_matches("HalfwayFlow/");
        let args = ["resume", "--origin-run-id", id, "--run-id-file", "run-id"];
        let mut command = left.lab.command(launcher, &args);
        command
            .envs(left.stack.environment())
            .env("FERROFLOW", wish);
        left.lab.start(command).wait().exited(0).says("Done!");
        let resumed = left.id();
        assert_ne!(resumed, origin);
        let told = left.client(CLIENT, &resumed);
        let counts = json!({"start": 1, "work": 2, "join": 1, "end": 1});
        assert_eq!(told, json!([true, counts, ["hello-0", "hello-1"]]));
        let mut told = left.client(CLONES, &resumed);
        let end = told.as_object_mut().and_then(|steps| steps.remove("end"));
        assert_eq!(end, Some(json!([[null, true]])), "{launcher:?}");
        assert_eq!(told, clones, "{launcher:?}");
        assert_eq!(marks(&left), begun, "{launcher:?}: nothing ran again");
    }
}

/// The launcher before lives, and renews its lease between the other's look at it and its write: the chain decides.
#[test]
fn a_lease_is_taken_from_a_launcher_that_renews_it() {
    let slow = json!({"operation": "PutObject", "subject": "/lease", "client": "second-launcher", "fault": {"delay": 4}});
    let waits = json!({"operation": "StartJob", "times": 2, "fault": {"delay": 20}});
    let left = Left::on(&[slow, waits]);
    let mut command = left.run();
    command.env("FERROFLOW_LEASE", "10s");
    let first = left.lab.start(command);
    wait_for("both jobs to be submitted", || {
        assert!(alive(first.pid()), "{}", first.output());
        left.stack.history("job.submitted").len() == 2
    });
    let mut attach = left.attach_with(&["--take-over"]);
    attach.env("FERROFLOW_LEASE", "10s");
    left.lab.start(attach).wait().exited(0).says("Done!");
    first
        .wait()
        .exited(1)
        .says("this launcher no longer drives the run");
    let refused = left.stack.history("s3.call").into_iter().filter(|call| {
        let key = call["key"].as_str().unwrap_or_default();
        call["status"] == 412 && key.ends_with("/lease") && call["by"]["app"] == "second-launcher"
    });
    assert!(refused.count() > 0, "the lease was not renewed in between");
    left.assert_whole();
}

/// It writes a record between the other's look at the chain and its own first record.
#[test]
fn a_chain_is_taken_from_a_launcher_that_goes_on() {
    let slow = json!({"operation": "GetObject", "subject": "/launch/", "client": "second-launcher", "times": 3, "fault": {"delay": 5}});
    let left = Left::on(&[slow]);
    let first = left.lab.start(left.run());
    wait_for("both tasks to begin on Batch", || {
        assert!(alive(first.pid()), "{}", first.output());
        !left.begun("0").is_empty() && !left.begun("1").is_empty()
    });
    let engine = engine_of(first.pid()).expect("a run by Ferroflow has an engine");
    kill(Pid::from_raw(engine), Signal::SIGSTOP).expect("the engine is there");
    wait_for("both jobs to end", || {
        left.stack.history("job.ended").len() == 2
    });
    let second = left.lab.start(left.attach_with(&["--take-over"]));
    // The verb has read the last record, and the engine reads both.
    wait_for("the chain to be read", || {
        left.stack.history("fault").len() >= 2
    });
    kill(Pid::from_raw(engine), Signal::SIGCONT).expect("the engine is there");
    second.wait().exited(0).says("Done!");
    first.wait();
    let records = left.stack.history("object.created");
    let records = records.iter().filter(|made| {
        let key = made["key"].as_str().unwrap_or_default();
        key.contains("/launch/")
    });
    let taken = records.map(|made| made["head"]["taken_from"].is_string());
    let taken: Vec<_> = taken.collect();
    let place = taken.iter().position(|taken| *taken);
    assert!(place >= Some(3), "no record came in between: {taken:?}");
    left.assert_whole();
}
