//! A queue and its compute environments as `ferroflow doctor` looks at them.

use aws_sdk_batch::types::{
    CeState, CeStatus, ComputeEnvironmentDetail, JobQueueDetail, JqState, JqStatus,
};
use model::batch::Platform;

use super::{Client, QueueError, job_queue::platform};

/// A queue, and what it runs jobs on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueState {
    /// Its name.
    pub name: String,
    /// Why it takes no jobs or runs none, in AWS's words.
    pub trouble: Option<String>,
    /// Its compute environments, in their order.
    pub environments: Vec<EnvironmentState>,
}

/// A compute environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvironmentState {
    /// Its name.
    pub name: String,
    /// What hosts it has.
    pub platform: Platform,
    /// Why no job starts there, in AWS's words.
    pub trouble: Option<String>,
}

impl Client {
    /// The queue of this name, or the one that jobs without a name go to. Asks once, without a
    /// second try.
    pub async fn inspect_queue(&self, name: Option<&str>) -> Result<QueueState, QueueError> {
        let queue = match name {
            Some(name) => self.named_queue(name).await?,
            None => self.first_queue().await?,
        };
        let named = queue.compute_environment_order().iter();
        let mut names: Vec<_> = named
            .filter_map(|entry| Some((entry.order()?, entry.compute_environment()?.to_owned())))
            .collect();
        names.sort();
        let names: Vec<_> = names.into_iter().map(|(_, name)| name).collect();
        let found = self.compute_environments(&names).await?;
        Ok(QueueState {
            name: queue.job_queue_name().unwrap_or_default().to_owned(),
            trouble: trouble_of_queue(&queue),
            environments: names.iter().map(|name| environment(name, &found)).collect(),
        })
    }
}

fn trouble_of_queue(queue: &JobQueueDetail) -> Option<String> {
    let reason = queue.status_reason();
    let state = queue.state().filter(|state| **state != JqState::Enabled);
    let status = queue.status().filter(|status| **status != JqStatus::Valid);
    trouble(
        state.map(JqState::as_str),
        status.map(JqStatus::as_str),
        reason,
    )
}

/// The environment that an order names by its name or its ARN.
fn environment(named: &str, all: &[ComputeEnvironmentDetail]) -> EnvironmentState {
    let is_it = |one: &&ComputeEnvironmentDetail| {
        [
            one.compute_environment_arn(),
            one.compute_environment_name(),
        ]
        .contains(&Some(named))
    };
    let Some(found) = all.iter().find(is_it) else {
        return EnvironmentState {
            name: named.to_owned(),
            platform: Platform::from_compute_type(None),
            trouble: Some("it does not exist".to_owned()),
        };
    };
    let state = found.state().filter(|state| **state != CeState::Enabled);
    let status = found.status().filter(|status| **status != CeStatus::Valid);
    EnvironmentState {
        name: found.compute_environment_name().unwrap_or(named).to_owned(),
        platform: platform(found),
        trouble: trouble(
            state.map(CeState::as_str),
            status.map(CeStatus::as_str),
            found.status_reason(),
        ),
    }
}

fn trouble(state: Option<&str>, status: Option<&str>, reason: Option<&str>) -> Option<String> {
    let words: Vec<_> = [state, status].into_iter().flatten().collect();
    if words.is_empty() {
        return None;
    }
    let reason = reason
        .map(|reason| format!(": {reason}"))
        .unwrap_or_default();
    Some(format!("it is {}{reason}", words.join(" and ")))
}
