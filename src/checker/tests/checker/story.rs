//! Histories made by hand: a launcher, its jobs and what they write, step by step.

use std::{fmt::Write as _, time::Duration};

use checker::{Expectations, Finding, History, Promise, check};
use serde_json::{Value, json};

pub(crate) const ROOT: &str = "metaflow/";
const FOLDER: &str = "metaflow/.ferroflow/F/17";

/// Grows by lines. A second passes between two of them, unless somebody says otherwise.
#[derive(Clone)]
pub(crate) struct Story {
    text: String,
    at: i64,
    seq: u64,
    launcher: &'static str,
}

/// One launch of an attempt of the task `17/work/<task>`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Launch {
    pub(crate) task: u32,
    pub(crate) attempt: u32,
    pub(crate) number: u32,
}

pub(crate) const fn launch(task: u32, attempt: u32, number: u32) -> Launch {
    Launch {
        task,
        attempt,
        number,
    }
}

impl Launch {
    fn claim(self) -> String {
        let Self {
            task,
            attempt,
            number,
        } = self;
        format!("{FOLDER}/claim/work/{task}/{attempt}.{number}")
    }
}

/// A job, and where its outcome comes.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) of: Launch,
    pub(crate) name: String,
    pub(crate) id: String,
    pub(crate) seq: u64,
}

impl Story {
    pub(crate) fn new() -> Self {
        Self {
            text: String::new(),
            at: 1_000_000,
            seq: 0,
            launcher: "a",
        }
    }

    /// Another launcher goes on.
    pub(crate) fn by(&mut self, launcher: &'static str) -> &mut Self {
        self.launcher = launcher;
        self
    }

    pub(crate) fn passes(&mut self, time: Duration) {
        self.at += time.as_millis() as i64;
    }

    /// The number of the next line.
    pub(crate) fn next(&self) -> usize {
        self.text.lines().count() + 1
    }

    pub(crate) fn line(&mut self, kind: &str, detail: Value) -> usize {
        let number = self.next();
        self.at += 1000;
        let line = json!({"at": self.at, "kind": kind, "detail": detail});
        writeln!(self.text, "{line}").unwrap();
        number
    }

    fn me(&self) -> Value {
        json!({"key": "AKIA", "agent": "aws-sdk-rust", "app": self.launcher})
    }

    /// A call of the launcher's.
    pub(crate) fn call(&mut self, operation: &str, subject: &str) -> usize {
        let began = self.at + 900;
        self.call_at(operation, subject, began)
    }

    pub(crate) fn call_at(&mut self, operation: &str, subject: &str, began: i64) -> usize {
        let detail = json!({
            "service": "batch", "operation": operation, "subject": subject, "status": 200, "outcome": "ok",
            "began": began, "by": self.me(),
        });
        self.line("call", detail)
    }

    pub(crate) fn now(&self) -> i64 {
        self.at
    }

    pub(crate) fn write(&mut self, key: &str, head: Value, by: Value) -> usize {
        let kind = if self.text.contains(&format!("\"key\":\"{key}\"")) {
            "object.replaced"
        } else {
            "object.created"
        };
        let detail =
            json!({"bucket": "b", "key": key, "etag": "e", "size": 1, "head": head, "by": by});
        self.line(kind, detail)
    }

    /// A record of the chain, for these launches.
    pub(crate) fn record(&mut self, launches: &[Launch]) -> Vec<Job> {
        let seq = self.seq;
        self.seq += 1;
        self.record_as(seq, launches)
    }

    pub(crate) fn record_as(&mut self, seq: u64, launches: &[Launch]) -> Vec<Job> {
        let jobs = (0..).zip(launches).map(|(index, of): (u64, _)| Job {
            of: *of,
            name: format!("u-F-17-work-{}-{}-L{seq}-{index:08x}", of.task, of.attempt),
            id: format!("job-{seq}-{index}"),
            seq,
        });
        let jobs: Vec<_> = jobs.collect();
        let submissions: Vec<_> = jobs
            .iter()
            .enumerate()
            .map(|(index, job)| {
                json!({"job_name": job.name, "queue": "q", "definition": "d:1", "members": [{
                    "key": 1, "task": format!("17/work/{}", job.of.task), "attempt": job.of.attempt,
                    "launch": job.of.number, "index": index, "offset": 0, "length": 1, "sha256": "00",
                }]})
            })
            .collect();
        let head = json!({
            "version": 1, "seq": seq, "holder": format!("holder-{}", self.launcher), "at": 1, "submissions": submissions,
        });
        let me = self.me();
        self.write(&format!("{FOLDER}/launch/{seq:08}"), head, me);
        jobs
    }

    pub(crate) fn submit(&mut self, job: &Job) -> usize {
        self.submit_array(job, None)
    }

    pub(crate) fn submit_array(&mut self, job: &Job, size: Option<u32>) -> usize {
        let detail = json!({
            "jobId": job.id, "jobName": job.name, "jobQueue": "q", "jobDefinition": "d:1", "size": size, "by": self.me(),
        });
        let line = self.line("job.submitted", detail);
        self.call("SubmitJob", &job.name);
        line
    }

    /// A container of the job; `start` tells two apart.
    pub(crate) fn start(&mut self, job: &Job, start: &str) -> usize {
        let detail = json!({"jobId": job.id, "attempt": 1, "task": task(job, start), "pid": 1, "command": []});
        self.line("process.started", detail)
    }

    pub(crate) fn claim(&mut self, job: &Job, start: &str) -> usize {
        let head = json!({"kind": "claimed", "nonce": nonce(job, start), "job": job.id});
        self.write(&job.of.claim(), head, container(job, start))
    }

    pub(crate) fn revoke(&mut self, job: &Job) -> usize {
        let me = self.me();
        let head = json!({"kind": "revoked", "nonce": format!("revoked-{}", self.next())});
        self.write(&job.of.claim(), head, me)
    }

    /// What a task leaves behind that has run to its end.
    pub(crate) fn done(&mut self, job: &Job, start: &str) -> usize {
        let key = format!(
            "{ROOT}F/17/work/{}/{}.DONE.lock",
            job.of.task, job.of.attempt
        );
        self.write(&key, Value::Null, container(job, start))
    }

    pub(crate) fn outcome(&mut self, job: &Job, start: &str, ended: Value) -> usize {
        let usage = json!({"peak_memory": 0, "cpu_seconds": 0.0, "claimed_at": 1, "started_at": 1, "ended_at": 1});
        let head = json!({
            "version": 1, "attempt": job.of.attempt, "launch": job.of.number, "nonce": nonce(job, start), "job": job.id,
            "ended": ended, "oom_kills": 0, "usage": usage, "data_json_sha256": null,
        });
        let key = format!("{FOLDER}/outcome/{:08}/{}", job.seq, job.of.task);
        self.write(&key, head, container(job, start))
    }

    pub(crate) fn exits(&mut self, job: &Job, code: i32) -> usize {
        self.outcome(
            job,
            "",
            json!({"kind": "exited", "code": code, "stopped": null}),
        )
    }

    pub(crate) fn end_process(&mut self, job: &Job, start: &str) -> usize {
        let detail = json!({"jobId": job.id, "attempt": 1, "task": task(job, start), "pid": 1, "exitCode": 0});
        self.line("process.ended", detail)
    }

    pub(crate) fn end(&mut self, job: &Job, status: &str) -> usize {
        let detail = json!({"jobId": job.id, "jobName": job.name, "index": null, "status": status});
        self.line("job.ended", detail)
    }

    pub(crate) fn lease(&mut self, state: &str) -> usize {
        let me = self.me();
        let head = json!({"holder": format!("holder-{}", self.launcher), "state": state});
        self.write(&format!("{FOLDER}/lease"), head, me)
    }

    /// A launch with a container that claims it.
    pub(crate) fn begin(&mut self, of: Launch) -> Job {
        let [job] = <[Job; 1]>::try_from(self.record(&[of])).unwrap();
        self.submit(&job);
        self.start(&job, "");
        self.claim(&job, "");
        job
    }

    /// Its end, well or not.
    pub(crate) fn finish(&mut self, job: &Job, code: i32) {
        self.done(job, "");
        self.exits(job, code);
        self.end_process(job, "");
        self.end(job, if code == 0 { "SUCCEEDED" } else { "FAILED" });
    }

    /// Its end by the loss of its host.
    pub(crate) fn lose(&mut self, job: &Job) {
        self.end_process(job, "");
        self.end(job, "FAILED");
    }

    pub(crate) fn run(&mut self, of: Launch, code: i32) -> Job {
        let job = self.begin(of);
        self.finish(&job, code);
        job
    }

    pub(crate) fn findings(&self, expectations: &Expectations) -> Vec<Finding> {
        check(&History::parse(&self.text).unwrap(), expectations)
    }

    /// Panics if anything is found.
    #[track_caller]
    pub(crate) fn is_good(&self) {
        self.is_good_with(&Expectations::default());
    }

    #[track_caller]
    pub(crate) fn is_good_with(&self, expectations: &Expectations) {
        let findings = self.findings(expectations);
        assert_eq!(findings, [], "{}", self.text);
    }

    /// Panics unless this alone is found, shown by these lines.
    #[track_caller]
    pub(crate) fn breaks(&self, promise: Promise, lines: &[usize]) {
        self.breaks_with(&Expectations::default(), promise, lines);
    }

    #[track_caller]
    pub(crate) fn breaks_with(&self, expected: &Expectations, promise: Promise, lines: &[usize]) {
        let findings = self.findings(expected);
        let found: Vec<_> = findings
            .iter()
            .map(|finding| (finding.promise, finding.lines.clone()))
            .collect();
        assert_eq!(
            found,
            [(promise, lines.to_vec())],
            "{findings:#?}\n{}",
            self.text
        );
    }
}

fn task(job: &Job, start: &str) -> String {
    format!("task of {}{start}", job.id)
}

fn nonce(job: &Job, start: &str) -> String {
    format!("nonce of {}{start}", job.id)
}

pub(crate) fn container(job: &Job, start: &str) -> Value {
    json!({"key": format!("ASIA{}{start}", job.id), "agent": "ferroflow", "job": job.id, "task": task(job, start)})
}
