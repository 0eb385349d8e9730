//! `ferroflow attach` where more has changed than the launcher: tasks that a metadata service has made, another machine, work
//! that belongs on the launcher's machine, submissions that arrive late, memory that was raised, a run that was being ended.

#![cfg(target_os = "linux")]

mod harness;

use std::{collections::BTreeMap, fs, path::PathBuf, process::Command};

use checker::Expectations;
use harness::{
    blocked::{Blocked, Setup},
    lab::{Finished, Lab, Launcher, Running},
    metadata_service::MetadataService,
    processes::{alive, engine_of},
    python,
    stack::Stack,
    story::Story,
    tests_folder, wait_for,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};

/// How a run ended by upstream's Client, and how many tasks each step has.
const TASKS: &str = "
import json, sys
from metaflow import Run, namespace
namespace(None)
run = Run(sys.argv[1])
print(json.dumps([run.successful, {step.id: len(list(step)) for step in run}]))
";

/// A run and its surroundings.
struct Begun {
    lab: Lab,
    stack: Stack,
    /// Where the metadata is; on disk without one.
    service: Option<MetadataService>,
    class: &'static str,
    options: &'static [&'static str],
    variables: BTreeMap<String, String>,
}

impl Begun {
    /// With these faults of the stack's.
    fn new(file: &str, class: &'static str, faults: &[Value]) -> Self {
        Self {
            lab: Lab::new(file),
            stack: Stack::with_faults(faults, &[]),
            service: None,
            class,
            options: &[],
            variables: BTreeMap::new(),
        }
    }

    fn halfway(faults: &[Value]) -> Self {
        Self::new("halfway.py", "HalfwayFlow", faults)
    }

    fn with_service(mut self) -> Self {
        let service = MetadataService::start(0);
        for (name, value) in service.environment() {
            self = self.set(name, value);
        }
        self.service = Some(service);
        self
    }

    fn set(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    fn run(&self) -> Command {
        let args = [&["run", "--run-id-file", "run-id"], self.options].concat();
        let mut command = self.lab.command(Launcher::Ferroflow, &args);
        command
            .envs(self.stack.environment())
            .envs(&self.variables)
            .env("AWS_SDK_UA_APP_ID", "launcher");
        command
    }

    /// Runs it until its engine dies at this place (src/ferroflow/failpoint.rs).
    fn dies_at(&self, place: &str) {
        let mut command = self.run();
        command.env("FERROFLOW_FAILPOINT", place);
        let finished = self.lab.start(command).wait();
        finished
            .exited(1)
            .says("The Ferroflow engine ended before the run");
    }

    fn id(&self) -> String {
        let id = fs::read_to_string(self.lab.path().join("run-id")).expect("the run has an id");
        format!("{}/{}", self.class, id.trim())
    }

    fn verb(&self, verb: &str) -> Finished {
        let mut command = self.lab.verb(&[verb, &self.id()]);
        command
            .envs(self.stack.environment())
            .envs(&self.variables)
            .env("AWS_SDK_UA_APP_ID", "second-launcher");
        self.lab.start(command).wait()
    }

    fn python(&self, args: &[&str]) -> String {
        let output = Command::new(python::with_metaflow())
            .args(args)
            .current_dir(self.lab.path())
            .envs(self.stack.environment())
            .envs(&self.variables)
            .env("METAFLOW_USER", "tester")
            .env("HOME", self.lab.path().join("home"))
            .output()
            .expect("python starts");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{error}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn script(&self, name: &str, args: &[&str]) -> String {
        let path = tests_folder().join("stack").join(name);
        let path = path.to_string_lossy();
        self.python(&[&[&*path], args].concat())
    }

    fn tasks(&self) -> Value {
        serde_json::from_str(&self.python(&["-c", TASKS, &self.id()])).expect("JSON")
    }

    fn kept_its_promises(self) {
        let run = self.id();
        let Self { lab, stack, .. } = self;
        Story { lab, stack, run }.kept_its_promises(&Expectations::default());
    }
}

/// Numbers are the service's, and it takes none back: the next launcher uses them.
fn no_task_is_made_twice(place: &str) {
    let run = Begun::halfway(&[]).with_service();
    run.dies_at(place);
    run.verb("attach").exited(0).says("Attached:").says("Done!");
    let tasks = json!({"start": 1, "work": 2, "join": 1, "end": 1});
    assert_eq!(run.tasks(), json!([true, tasks]));
    run.kept_its_promises();
}

#[test]
fn siblings_that_the_metadata_service_has_made_are_used() {
    no_task_is_made_twice("record:2");
}

#[test]
fn a_join_that_the_metadata_service_has_made_is_used() {
    no_task_is_made_twice("prepared:3");
}

/// In a program that waits for the result. The launcher dies, the program is told, and the run is there to be gone on with.
#[test]
fn a_run_that_a_runner_has_begun_is_attached() {
    const BEGIN: &str = "
import os
from metaflow import Runner
with Runner('halfway.py', env={'FERROFLOW_FAILPOINT': 'submitted'}) as runner:
    run = runner.run(word='hello')
    print('RUN', run.run.pathspec, run.status)
";
    let run = Begun::halfway(&[]);
    fs::write(run.lab.path().join("begin.py"), BEGIN).expect("a program");
    let mut command = run.lab.verb(&["begin.py"]);
    command
        .envs(run.stack.environment())
        .env("AWS_SDK_UA_APP_ID", "launcher");
    let program = run.lab.start(command).wait().exited(0).says(" failed");
    let told = program
        .stdout
        .lines()
        .find_map(|line| line.strip_prefix("RUN HalfwayFlow/"));
    let id = told
        .and_then(|told| told.split(' ').next())
        .expect("the run's id");
    fs::write(run.lab.path().join("run-id"), id).expect("a file");
    run.verb("attach").exited(0).says("Attached:").says("Done!");
    assert_eq!(run.tasks()[0], true);
    run.kept_its_promises();
}

/// A module of the user's beside the flow.
fn words(lab: &Lab) -> PathBuf {
    let path = lab.path().join("rescued_words.py");
    fs::write(
        &path,
        "def fail():\n    raise ValueError('a bug of the user')\n",
    )
    .expect("a module");
    path
}

/// Neither the folder nor the machine of the first launcher is needed, once metadata and data are elsewhere.
#[test]
fn a_fallback_and_an_exit_hook_run_on_another_machine() {
    let run = Begun::new("rescued.py", "RescuedFlow", &[]).with_service();
    let words = words(&run.lab);
    run.dies_at("judged");
    for file in [words, run.lab.path().join("rescued.py")] {
        fs::remove_file(file).expect("the code is there");
    }
    run.script("opening.py", &[&run.id(), "host", "elsewhere.invalid"]);
    let attached = run.verb("attach").exited(0).says("Attached:").says("Done!");
    attached.says("the problem was: ");
    let hook = fs::read_to_string(run.lab.shared("hook")).expect("the hook has run");
    assert_eq!(hook.trim(), run.id());
    assert_eq!(
        run.tasks(),
        json!([true, {"start": 1, "work": 1, "end": 1}])
    );
    run.kept_its_promises();
}

/// It is refused at the start: nothing of the run has changed, and where it was begun it is attached.
#[test]
fn local_metadata_is_on_one_machine() {
    let run = Begun::halfway(&[]);
    run.dies_at("submitted");
    let host = run.python(&["-c", "import socket; print(socket.gethostname())"]);
    run.script("opening.py", &[&run.id(), "host", "elsewhere.invalid"]);
    run.verb("attach")
        .exited(1)
        .says("keeps its metadata on disk (--metadata local), on elsewhere.invalid, in `")
        .says("hint: attach it there");
    run.script("opening.py", &[&run.id(), "host", host.trim()]);
    run.verb("attach").exited(0).says("Done!");
    run.kept_its_promises();
}

#[test]
fn another_python_is_refused_by_the_steps_that_would_need_it() {
    let run = Begun::new("rescued.py", "RescuedFlow", &[]);
    words(&run.lab);
    run.dies_at("submitted");
    run.script("opening.py", &[&run.id(), "python", "3.1.4"]);
    run.verb("attach")
        .exited(1)
        .says("the run was begun with Python 3.1, and `")
        .says("steps start, end, and the fallback of step work (@catch) run on the launcher's machine");
    run.verb("kill").exited(0);
    run.kept_its_promises();
}

/// A run of `blocks.py` whose two jobs block, its launcher, and the processes of the tasks.
fn blocked(setup: Setup<'_>) -> (Begun, Running, Vec<i32>) {
    let Blocked {
        stack,
        lab,
        running,
        tasks,
        ..
    } = Blocked::start(&setup);
    let begun = Begun {
        lab,
        stack,
        service: None,
        class: "BlocksFlow",
        options: &[],
        variables: BTreeMap::new(),
    };
    (begun, running, tasks)
}

/// Killed after the lease was told, and before any job was: what was begun is brought to its end, and nothing is scheduled.
#[test]
fn a_run_that_was_being_cancelled_is_ended_and_not_attached() {
    let (run, running, tasks) = blocked(Setup {
        environment: &[("FERROFLOW_FAILPOINT", "cancelling")],
        ..Setup::default()
    });
    running.signal_group(Signal::SIGINT);
    let ended = running.wait();
    assert!(!ended.status.success(), "{}", ended.all());
    assert!(
        tasks.iter().all(|&pid| alive(pid)),
        "nobody has told the jobs"
    );
    let attached = run.verb("attach").exited(1).says("was cancelled");
    attached.says(&format!("`ferroflow kill {}`", run.id()));
    run.verb("kill").exited(0).says("2 jobs ended");
    wait_for("the tasks to end", || tasks.iter().all(|&pid| !alive(pid)));
    assert_eq!(run.tasks()[1]["join"], Value::Null);
    run.kept_its_promises();
}

/// TerminateJob is taken and comes too late. What was done is kept, and nothing follows from it.
#[test]
fn what_succeeds_while_the_run_is_cancelled_is_kept() {
    let late = json!({"operation": "TerminateJob", "times": 1000, "fault": "no_effect"});
    let (run, running, _) = blocked(Setup {
        faults: &[late],
        ..Setup::default()
    });
    running.signal_group(Signal::SIGINT);
    wait_for("the jobs to be told", || {
        !run.stack.history("fault").is_empty()
    });
    fs::write(run.lab.shared("release"), "").expect("the tasks can be let go");
    let ended = running.wait().exited(1).says("Workflow interrupted.");
    assert_eq!(
        ended
            .all()
            .matches("Task finished with exit code 0.")
            .count(),
        3,
        "{}",
        ended.all()
    );
    let tasks = json!({"start": 1, "block": 2});
    assert_eq!(run.tasks(), json!([false, tasks]));
    run.kept_its_promises();
}

/// Batch carries the call out when another launcher has given it up: the job finds its launch revoked.
#[test]
fn a_submission_that_arrives_after_the_takeover_runs_nothing() {
    let late = json!({"operation": "SubmitJob", "subject": "-work-", "fault": {"delay": 30}});
    let run = Begun::halfway(&[late]);
    let running = run.lab.start(run.run());
    wait_for("the call to be under way", || {
        assert!(alive(running.pid()), "{}", running.output());
        !run.stack.history("fault").is_empty()
    });
    let engine = engine_of(running.pid()).expect("a run by Ferroflow has an engine");
    for pid in [engine, running.pid()] {
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
    wait_for("the launcher to be gone", || !alive(engine));
    drop(running);
    run.verb("attach").exited(0).says("Done!");
    wait_for("the late job to end", || {
        let ended = run.stack.history("job.ended");
        ended.iter().any(|job| job["exitCode"] == 113)
    });
    for work in ["0", "1"] {
        let marks = fs::read_to_string(run.lab.shared(&format!("begun-{work}")));
        assert_eq!(marks.expect("it has begun"), "0\n", "work {work}");
    }
    assert_eq!(run.stack.history("job.submitted").len(), 3);
    run.kept_its_promises();
}

/// The raise stands in the chain, in a record whose job was never submitted.
#[test]
fn memory_given_after_an_attempt_ran_out_of_it_is_given_again() {
    let mut run = Begun::new("hungry.py", "HungryFlow", &[]).set("FERROFLOW_OOM_RETRIES", "1");
    run.options = &["--with", "batch:memory=600"];
    run.dies_at("recorded:2");
    run.verb("attach").exited(0).says("held 600").says("Done!");
    let asked = run.script("memory.py", &["HungryFlow"]);
    assert_eq!(asked, "[600, 900]");
    run.kept_its_promises();
}
