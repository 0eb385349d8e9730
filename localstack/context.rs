//! What all services of one stack share.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::{
    Clock,
    faults::{Event, Faults, Fired},
    history::History,
};

/// The stack that a service belongs to. Services keep it in an `Arc`.
#[derive(Debug)]
pub struct Context {
    /// The stack's folder; each service has a folder of its own in it, named after the service.
    pub folder: PathBuf,
    /// Where the stack listens, like `http://127.0.0.1:4573`.
    pub endpoint: String,
    /// Region in ARNs and in jobs' environment.
    pub region: String,
    /// Account id in ARNs, twelve digits.
    pub account: String,
    /// All durations and timestamps come from here.
    pub clock: Clock,
    /// Every call, effect, process start and process end goes here.
    pub history: History,
    /// What is to go wrong.
    pub faults: Faults,
    /// The interpreter that is first on the PATH of jobs that name none.
    pub python: Option<PathBuf>,
    /// A job larger than the machine waits for ever, as on AWS, instead of running alone with a warning.
    pub strict: bool,
}

impl Context {
    /// Writes down that something has happened.
    pub(crate) fn record(&self, kind: &str, detail: Value) {
        self.history.record(self.clock.now_ms(), kind, detail);
    }

    /// Says what goes wrong with a call or the start of a job, and writes that down.
    pub(crate) fn fire(&self, event: Event<'_>) -> Option<Fired> {
        let fired = self.faults.fire(event)?;
        let detail = json!({
            "rule": fired.rule,
            "nth": fired.nth,
            "fault": fired.fault,
            "operation": event.operation,
            "subject": event.subject,
            "index": event.index,
        });
        self.record("fault", detail);
        Some(fired)
    }

    /// An ARN in this stack's account and region, e.g. `arn("batch", "job-queue/default")`.
    pub fn arn(&self, service: &str, resource: &str) -> String {
        format!(
            "arn:aws:{service}:{}:{}:{resource}",
            self.region, self.account
        )
    }
}
