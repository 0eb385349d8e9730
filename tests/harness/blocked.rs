//! A run of `blocks.py` on an embedded stack, whose jobs block until a test lets them go or ends them.

use std::{collections::BTreeMap, fs, time::Duration};

use checker::LeaseTimes;
use serde_json::{Value, json};

use super::{
    lab::{Lab, Launcher, Running},
    processes::{alive, engine_of},
    stack::Stack,
    story::Story,
    wait_for,
};

/// The shortest lease that there is: after so long without a launcher, tasks end.
pub(crate) const SHORT_LEASE: (&str, &str) = ("FERROFLOW_LEASE", "10s");

/// When a launcher counts as gone by it.
pub(crate) const SHORT_LEASE_TIMES: LeaseTimes = LeaseTimes {
    lapse: Duration::from_secs(10),
    cadence: Duration::from_secs(2),
};

/// What the run is like.
pub(crate) struct Setup<'a> {
    /// From how many siblings on array jobs are made.
    pub(crate) array_min: &'a str,
    /// Of jobs; then only those that block are jobs. Else all steps are.
    pub(crate) processors: Option<usize>,
    /// How many tasks there are that block.
    pub(crate) width: usize,
    /// How many of them do so when the test begins.
    pub(crate) blocking: usize,
    /// More variables of the launcher.
    pub(crate) environment: &'a [(&'a str, &'a str)],
    /// More arguments of `run`.
    pub(crate) arguments: &'a [&'a str],
    /// Rules of the stack.
    pub(crate) faults: &'a [Value],
    /// How the launcher takes signals, in words of `env`. Whoever runs the tests in the background has made them ignore some.
    pub(crate) signals: &'a [&'a str],
}

impl Default for Setup<'_> {
    fn default() -> Self {
        Self {
            array_min: "off",
            processors: None,
            width: 2,
            blocking: 2,
            environment: &[],
            arguments: &[],
            faults: &[],
            signals: &["--default-signal"],
        }
    }
}

/// Such a run, with jobs that block.
pub(crate) struct Blocked {
    /// Of its own: jobs of two runs that wait for each other's processors would block for ever.
    pub(crate) stack: Stack,
    pub(crate) lab: Lab,
    pub(crate) running: Running,
    pub(crate) engine: i32,
    /// The processes of tasks that block.
    pub(crate) tasks: Vec<i32>,
    /// The launcher's, beside what a lab gives each.
    environment: BTreeMap<String, String>,
}

impl Blocked {
    pub(crate) fn start(setup: &Setup<'_>) -> Self {
        let lab = Lab::new("blocks.py");
        let stack = Stack::with_faults(setup.faults, &[]);
        let vars =
            json!({"TEST_SHARED": lab.path().join("shared"), "WIDTH": setup.width.to_string()});
        let vars = format!("environment:vars={vars}");
        let place: &[&str] = match setup.processors {
            Some(_) => &[],
            None => &["--with", "batch", "--with", &vars],
        };
        let args = ["run", "--run-id-file", "run-id"];
        let args = [&args, place, setup.arguments].concat();
        let mut environment = stack.environment();
        environment.insert("WIDTH".to_owned(), setup.width.to_string());
        environment.insert("FERROFLOW_ARRAY_MIN".to_owned(), setup.array_min.to_owned());
        if let Some(processors) = setup.processors {
            environment.insert("BATCH_CPUS".to_owned(), processors.to_string());
        }
        for (name, value) in setup.environment {
            environment.insert((*name).to_owned(), (*value).to_owned());
        }
        // By the application id the history tells the launcher from other programs of its kind.
        let mut command = lab.command(Launcher::Ferroflow, &args);
        command
            .envs(&environment)
            .env("AWS_SDK_UA_APP_ID", "launcher");
        let running = lab.start(lab.through("env", setup.signals, &command));
        let marks = || (0..setup.width).map(|index| format!("task-{index}"));
        let blocking = || marks().filter(|mark| lab.shared(mark).exists());
        let mut engine = None;
        wait_for("the jobs to block", || {
            engine = engine.or_else(|| engine_of(running.pid()));
            let blocked = blocking().count() >= setup.blocking;
            assert!(blocked || alive(running.pid()), "{}", running.output());
            blocked && engine.is_some()
        });
        Self {
            engine: engine.expect("a run by Ferroflow has an engine"),
            tasks: blocking().map(|mark| lab.shared_pid(&mark)).collect(),
            stack,
            lab,
            running,
            environment,
        }
    }

    /// One of Ferroflow's verbs about the run, with what its launcher had in the environment.
    pub(crate) fn verb(&self, verb: &str) -> Running {
        self.verb_with(verb, &[])
    }

    /// The same, with more arguments.
    pub(crate) fn verb_with(&self, verb: &str, more: &[&str]) -> Running {
        let run = self.run();
        let mut command = self.lab.verb(&[&[verb, &run], more].concat());
        command
            .envs(&self.environment)
            .env("AWS_SDK_UA_APP_ID", "second-launcher");
        self.lab.start(command)
    }

    /// The run's id.
    pub(crate) fn id(&self) -> String {
        let id = fs::read_to_string(self.lab.path().join("run-id")).expect("the run has an id");
        id.trim().to_owned()
    }

    /// Flow and run.
    pub(crate) fn run(&self) -> String {
        format!("BlocksFlow/{}", self.id())
    }

    /// Lets the tasks go that block, and those to come.
    pub(crate) fn release(&self) {
        fs::write(self.lab.shared("release"), "").expect("the tasks can be let go");
    }

    /// What is left to be told when the launcher has ended.
    pub(crate) fn into_story(self) -> (Story, Running) {
        let run = self.id();
        let Self {
            stack,
            lab,
            running,
            ..
        } = self;
        (Story { lab, stack, run }, running)
    }
}
