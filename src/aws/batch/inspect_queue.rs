//! A queue and its compute environments as `ferroflow doctor` and `ferroflow why` look at them.

use aws_sdk_batch::types::{
    CeState, CeStatus, ComputeEnvironmentDetail, ComputeResource, CrAllocationStrategy,
    JobQueueDetail, JqState, JqStatus,
};
use model::batch::{ComputeEnvironment, Queue, Standing};

use super::{BatchError, Client, QueueError, job_queue::platform};

/// A queue, and what it runs jobs on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueState {
    /// The queue.
    pub queue: Queue,
    /// Its compute environments, in their order.
    pub environments: Vec<ComputeEnvironment>,
}

impl Client {
    /// The queue of this name, or the one that jobs without a name go to. Asks once, without a
    /// second try.
    pub async fn inspect_queue(&self, name: Option<&str>) -> Result<QueueState, QueueError> {
        let detail = match name {
            Some(name) => self.named_queue(name).await?,
            None => self.first_queue().await?,
        };
        let queue = queue(&detail);
        let environments = self.environments_of(&queue).await?;
        Ok(QueueState {
            queue,
            environments,
        })
    }

    /// The compute environments of a queue, in their order; those that are not there, too.
    pub(super) async fn environments_of(
        &self,
        queue: &Queue,
    ) -> Result<Vec<ComputeEnvironment>, BatchError> {
        // Without names, Batch would describe all that there are.
        if queue.environments.is_empty() {
            return Ok(Vec::new());
        }
        let found = self.compute_environments(&queue.environments).await?;
        let names = queue.environments.iter();
        Ok(names.map(|name| environment(name, &found)).collect())
    }
}

pub(super) fn queue(detail: &JobQueueDetail) -> Queue {
    let named = detail.compute_environment_order().iter();
    let mut names: Vec<_> = named
        .filter_map(|entry| Some((entry.order()?, entry.compute_environment()?.to_owned())))
        .collect();
    names.sort();
    Queue {
        name: detail.job_queue_name().unwrap_or_default().to_owned(),
        standing: Standing {
            state: detail
                .state()
                .map(|state| JqState::as_str(state).to_owned()),
            status: detail
                .status()
                .map(|status| JqStatus::as_str(status).to_owned()),
            reason: detail.status_reason().map(str::to_owned),
        },
        environments: names.into_iter().map(|(_, name)| name).collect(),
        has_scheduling_policy: detail.scheduling_policy_arn().is_some(),
    }
}

/// The environment that an order names by its name or its ARN.
fn environment(named: &str, all: &[ComputeEnvironmentDetail]) -> ComputeEnvironment {
    let is_it = |one: &&ComputeEnvironmentDetail| {
        [
            one.compute_environment_arn(),
            one.compute_environment_name(),
        ]
        .contains(&Some(named))
    };
    let Some(found) = all.iter().find(is_it) else {
        return ComputeEnvironment::missing(named);
    };
    let resources = found.compute_resources();
    let number = |number: Option<i32>| number.and_then(|number| u64::try_from(number).ok());
    ComputeEnvironment {
        name: found.compute_environment_name().unwrap_or(named).to_owned(),
        standing: Some(Standing {
            state: found.state().map(|state| CeState::as_str(state).to_owned()),
            status: found
                .status()
                .map(|status| CeStatus::as_str(status).to_owned()),
            reason: found.status_reason().map(str::to_owned),
        }),
        platform: platform(found),
        max_vcpus: number(resources.and_then(ComputeResource::maxv_cpus)),
        desired_vcpus: number(resources.and_then(ComputeResource::desiredv_cpus)),
        instance_types: resources
            .map(|resources| resources.instance_types().to_vec())
            .unwrap_or_default(),
        bid_percentage: number(resources.and_then(ComputeResource::bid_percentage)),
        allocation_strategy: resources
            .and_then(|resources| resources.allocation_strategy())
            .map(|strategy| CrAllocationStrategy::as_str(strategy).to_owned()),
    }
}
