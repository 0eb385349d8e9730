//! A run on an embedded stack where things go wrong, and what the stack tells of it afterwards.

use std::{fs, path::PathBuf, process::Command};

use checker::{Expectations, Finding, History, Promise, check};
use serde_json::{Value, json};

use super::{
    FERROFLOW,
    lab::{Finished, Lab, Launcher},
    stack::Stack,
    wait_for,
};

/// A flow with a foreach `work`, on a stack where things go wrong.
pub(crate) struct Story {
    pub(crate) lab: Lab,
    pub(crate) stack: Stack,
    pub(crate) run: String,
}

impl Story {
    /// Panics unless the run ends well, and keeps what launches promise.
    pub(crate) fn of(flow: &str, more: &[&str], rules: &[Value]) -> Self {
        Self::with(&[], flow, more, rules)
    }

    /// The same, with more variables in the launcher's environment.
    pub(crate) fn with(
        variables: &[(&str, &str)],
        flow: &str,
        more: &[&str],
        rules: &[Value],
    ) -> Self {
        let (story, finished) = Self::ending(variables, flow, more, rules);
        finished.exited(0).says("Done!");
        story
    }

    /// The same for a run that may end in any way.
    pub(crate) fn ending(
        variables: &[(&str, &str)],
        flow: &str,
        more: &[&str],
        rules: &[Value],
    ) -> (Self, Finished) {
        let lab = Lab::new(flow);
        let stack = Stack::with_faults(rules, &[]);
        let vars = json!({"TEST_SHARED": lab.path().join("shared")});
        let vars = format!("environment:vars={vars}");
        let args = ["run", "--with", "batch", "--with", &vars];
        let args = [&args[..], &["--run-id-file", "run-id"], more].concat();
        let mut command = lab.command(Launcher::Ferroflow, &args);
        // By this, the history tells the launcher from other programs of its kind.
        command
            .envs(stack.environment())
            .env("AWS_SDK_UA_APP_ID", "launcher")
            .envs(variables.iter().copied());
        let finished = lab.start(command).wait();
        let run = fs::read_to_string(lab.path().join("run-id")).expect("a run id");
        (Self { lab, stack, run }, finished)
    }

    /// The attempts in which a task's code has begun, by its index.
    pub(crate) fn begun(&self, index: usize) -> String {
        let marks = self.lab.shared(&format!("begun-{index}"));
        fs::read_to_string(marks).expect("the task has begun")
    }

    /// Panics unless the history has nothing against the run. A launcher need not wait until Batch knows of a success:
    /// the last jobs end a little later.
    pub(crate) fn kept_its_promises(&self, expectations: &Expectations) {
        let mut findings = Vec::new();
        let check = |findings: &mut Vec<Finding>| {
            let text = fs::read_to_string(self.path_of_history()).expect("a history");
            let history = History::parse(&text).expect("lines of a history");
            *findings = check(&history, expectations);
            findings.iter().all(|f| f.promise != Promise::Terminal)
        };
        wait_for("all jobs to end", || check(&mut findings));
        let findings: Vec<_> = findings.iter().map(ToString::to_string).collect();
        assert!(findings.is_empty(), "{findings:#?}");
    }

    pub(crate) fn path_of_history(&self) -> PathBuf {
        self.stack.folder().join("history.jsonl")
    }

    /// What `ferroflow status` tells of the run, with more arguments.
    pub(crate) fn status(&self, flow: &str, args: &[&str]) -> String {
        let output = Command::new(FERROFLOW)
            .args(["status", &format!("{flow}/{}", self.run)])
            .args(args)
            .current_dir(self.lab.path())
            .envs(self.stack.environment())
            .output()
            .expect("ferroflow starts");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The sizes of the jobs that were submitted for a step, one by one: 1 is a plain job.
    pub(crate) fn sizes(&self, step: &str) -> Vec<u64> {
        let part = format!("-{step}-");
        let is_of_step = |job: &Value| job["jobName"].as_str().is_some_and(|n| n.contains(&part));
        let mut submitted = self.history("job.submitted");
        submitted.retain(is_of_step);
        let size = |job: &Value| job["size"].as_u64().unwrap_or(1);
        submitted.iter().map(size).collect()
    }

    /// What the stack's history says of a kind.
    pub(crate) fn history(&self, kind: &str) -> Vec<Value> {
        self.stack.history(kind)
    }
}
