//! A stack of its own for each test.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use localstack::{
    ApiError, Clock, Context,
    batch::{Asked, Batch, JobCredentials},
    faults::{Fault, Faults, Rule},
    history::History,
    logs::Logs,
};
use serde_json::{Value, json};

/// Long enough for a loaded machine; nothing waits that long where all is well.
const PATIENCE: Duration = Duration::from_mins(1);
pub(crate) const QUEUE: &str = "ferroflow-dev";

/// Says for whom it was asked.
#[derive(Debug)]
struct Role;

impl JobCredentials for Role {
    fn issue(&self, _: &str, job_id: &str, role_arn: Option<&str>) -> Vec<(String, String)> {
        let of = format!("{job_id}|{}", role_arn.unwrap_or("none"));
        vec![("AWS_CONTAINER_AUTHORIZATION_TOKEN".to_owned(), of)]
    }

    fn revoke(&self, _: &str) {}
}

/// Goes with the last stack in it, or is somebody else's.
#[derive(Clone)]
enum Folder {
    Own(Arc<tempfile::TempDir>),
    Other(PathBuf),
}

impl Folder {
    fn path(&self) -> &Path {
        match self {
            Self::Own(folder) => folder.path(),
            Self::Other(folder) => folder,
        }
    }
}

pub(crate) struct Stack {
    pub(crate) batch: Arc<Batch>,
    pub(crate) logs: Logs,
    folder: Folder,
    speed: f64,
}

impl Stack {
    pub(crate) fn new() -> Self {
        Self::with(1.0, json!([]), false)
    }

    pub(crate) fn with_faults(rules: Value) -> Self {
        Self::with(1.0, rules, false)
    }

    pub(crate) fn with(speed: f64, rules: Value, strict: bool) -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        Self::open(Folder::Own(folder), speed, rules, strict)
    }

    /// A stack in a folder that stays.
    pub(crate) fn at(folder: &Path) -> Self {
        Self::open(Folder::Other(folder.to_owned()), 1.0, json!([]), false)
    }

    fn open(folder: Folder, speed: f64, rules: Value, strict: bool) -> Self {
        let rules: Vec<Rule> = serde_json::from_value(rules).unwrap();
        let context = Arc::new(Context {
            folder: folder.path().to_owned(),
            endpoint: "http://127.0.0.1:1".to_owned(),
            region: "eu-west-1".to_owned(),
            account: "123456789012".to_owned(),
            clock: Clock::new(speed),
            history: History::open(&folder.path().join("history.jsonl")).unwrap(),
            faults: Faults::new(rules),
            python: None,
            strict,
        });
        let batch = Batch::open(Arc::clone(&context), Arc::new(Role)).unwrap();
        let logs = Logs::open(context).unwrap();
        Self {
            batch,
            logs,
            folder,
            speed,
        }
    }

    /// The next stack in the same folder, with this one stopped.
    pub(crate) async fn restarted(self) -> Self {
        self.batch.stop().await;
        self.abandoned()
    }

    /// The next stack in the same folder.
    pub(crate) fn abandoned(self) -> Self {
        let (folder, speed) = (self.folder.clone(), self.speed);
        drop(self);
        Self::open(folder, speed, json!([]), false)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) async fn call(&self, operation: &str, request: Value) -> Result<Value, ApiError> {
        self.batch
            .call(operation, request.to_string().as_bytes())
            .await
    }

    /// A call that something goes wrong with.
    pub(crate) async fn call_under(&self, operation: &str, request: Value, fault: Fault) -> Value {
        let asked = Asked {
            fault: Some(fault),
            ..Asked::default()
        };
        let body = request.to_string();
        let reply = self.batch.call_by(operation, body.as_bytes(), asked).await;
        reply.unwrap()
    }

    /// What the history says of a kind.
    pub(crate) fn history(&self, kind: &str) -> Vec<Value> {
        let text = std::fs::read_to_string(self.path("history.jsonl")).unwrap();
        let lines = text
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        let mut lines: Vec<_> = lines.filter(|line| line["kind"] == kind).collect();
        lines.iter_mut().map(|line| line["detail"].take()).collect()
    }

    pub(crate) async fn ok(&self, operation: &str, request: Value) -> Value {
        self.call(operation, request).await.unwrap()
    }

    pub(crate) async fn refused(&self, operation: &str, request: Value) -> String {
        let error = self.call(operation, request).await.unwrap_err();
        assert_eq!(error.status, 400, "{error}");
        error.message
    }

    /// A definition `shell` whose command is `sh -c SCRIPT`.
    pub(crate) async fn define(&self, name: &str, script: &str) {
        let request = json!({"jobDefinitionName": name, "type": "container",
            "containerProperties": {"image": "python:3.11", "command": ["sh", "-c", script],
                "resourceRequirements": requirements(1, 64)}});
        self.ok("RegisterJobDefinition", request).await;
    }

    /// Submits; `more` is added to the request.
    pub(crate) async fn submit(&self, definition: &str, more: Value) -> String {
        let mut request =
            json!({"jobName": definition, "jobQueue": QUEUE, "jobDefinition": definition});
        request
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let reply = self.ok("SubmitJob", request).await;
        reply["jobId"].as_str().unwrap().to_owned()
    }

    /// Runs a script to its end.
    pub(crate) async fn run(&self, script: &str, more: Value) -> Value {
        let name = format!("job-{}", script.len());
        self.define(&name, script).await;
        let id = self.submit(&name, more).await;
        self.ended(&id).await
    }

    pub(crate) async fn job(&self, id: &str) -> Value {
        let reply = self.ok("DescribeJobs", json!({"jobs": [id]})).await;
        reply["jobs"][0].clone()
    }

    /// Waits until a job is such.
    pub(crate) async fn until(&self, id: &str, what: impl Fn(&Value) -> bool) -> Value {
        let start = std::time::Instant::now();
        loop {
            let job = self.job(id).await;
            if what(&job) {
                return job;
            }
            assert!(start.elapsed() < PATIENCE, "{job:#}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub(crate) async fn until_status(&self, id: &str, status: &str) -> Value {
        self.until(id, |job| job["status"] == status).await
    }

    pub(crate) async fn ended(&self, id: &str) -> Value {
        self.until(id, |job| {
            job["status"] == "SUCCEEDED" || job["status"] == "FAILED"
        })
        .await
    }

    /// What a job printed, by the stream that it names.
    pub(crate) async fn printed(&self, job: &Value) -> Vec<String> {
        let request = json!({"logGroupName": "/aws/batch/job", "logStreamName": job["container"]["logStreamName"], "startFromHead": true});
        let reply = self
            .logs
            .call("GetLogEvents", request.to_string().as_bytes())
            .await
            .unwrap();
        let events = reply["events"].as_array().unwrap().iter();
        events
            .map(|event| event["message"].as_str().unwrap().to_owned())
            .collect()
    }
}

pub(crate) fn requirements(vcpus: u32, memory: u32) -> Value {
    json!([{"type": "VCPU", "value": vcpus.to_string()}, {"type": "MEMORY", "value": memory.to_string()}])
}

/// Waits for something else.
pub(crate) async fn eventually(what: impl Fn() -> bool) {
    let start = std::time::Instant::now();
    while !what() {
        assert!(start.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
