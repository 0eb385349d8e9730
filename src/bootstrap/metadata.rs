//! What the task used, told to Metaflow's metadata service: one request, once.
//!
//! With the local provider the launcher does it, because the metadata of the container has been packed by then.

use std::{collections::BTreeMap, time::Duration};

use model::{
    Timestamp,
    spec::{Ended, Stopped, TaskOutcome, TaskSpec},
    task_metadata::{self, Owner},
};

use crate::{environment::Environment, http::Http};

/// The task's end waits so long for it at most.
const PATIENCE: Duration = Duration::from_secs(5);

/// Variables of upstream's container (metaflow/plugins/aws/batch/batch.py).
const URL: &str = "METAFLOW_SERVICE_URL";
const HEADERS: &str = "METAFLOW_SERVICE_HEADERS";
const USER: &str = "METAFLOW_USER";

/// Registers what was used; the text says why not.
pub(crate) fn register(
    http: &Http,
    environment: &Environment,
    spec: &TaskSpec,
    outcome: &TaskOutcome,
    at: i64,
) -> Result<(), String> {
    let Some(service) = environment.text(URL).filter(|_| spec.registers_usage) else {
        return Ok(());
    };
    if is_in_a_hurry(outcome) {
        return Ok(());
    }
    let owner = Owner {
        flow: &spec.flow,
        task: &spec.task,
        attempt: spec.attempt,
        user: environment.text(USER).unwrap_or_default(),
    };
    let records = task_metadata::of_usage(outcome, owner, Timestamp(at));
    if records.is_empty() {
        return Ok(());
    }
    let body = serde_json::to_vec(&records).map_err(|error| error.to_string())?;
    let url = format!("{}{}", service.trim_end_matches('/'), path(spec));
    let mut request = http
        .agent(&url)
        .post(&url)
        .config()
        .timeout_global(Some(PATIENCE))
        .build()
        .header("content-type", "application/json");
    for (name, value) in headers(environment)? {
        request = request.header(name, value);
    }
    let answer = request.send(&body[..]).map_err(|error| error.to_string())?;
    if answer.status().is_success() {
        Ok(())
    } else {
        Err(format!("the metadata service answers {}", answer.status()))
    }
}

/// A container that was told to stop has seconds left, for its outcome.
fn is_in_a_hurry(outcome: &TaskOutcome) -> bool {
    let stopped = match &outcome.ended {
        Ended::Exited { stopped, .. } | Ended::Signaled { stopped, .. } => *stopped,
        Ended::NotStarted { .. } => None,
    };
    stopped == Some(Stopped::Terminated)
}

fn path(spec: &TaskSpec) -> String {
    let task = &spec.task;
    format!(
        "/flows/{}/runs/{}/steps/{}/tasks/{}/metadata",
        spec.flow, task.run, task.step, task.task
    )
}

/// They have the key, where there is one.
fn headers(environment: &Environment) -> Result<BTreeMap<String, String>, String> {
    environment.text(HEADERS).map_or_else(
        || Ok(BTreeMap::new()),
        |text| serde_json::from_str(text).map_err(|error| format!("{HEADERS}: {error}")),
    )
}
