//! Which queue a job goes to, and what hosts the queue has.

use aws_sdk_batch::types::{
    CeState, CeStatus, ComputeEnvironmentDetail, CrType, JobQueueDetail, JqState, JqStatus,
};
use model::batch::Platform;

use super::{BatchError, Client};

/// A queue, as far as it decides about jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobQueue {
    /// Its name or ARN, as it goes into SubmitJob.
    pub name: String,
    /// What hosts it has.
    pub platform: Platform,
    /// Whether jobs need a share identifier.
    pub has_scheduling_policy: bool,
    /// Why jobs will wait: its only compute environment, when that is not enabled and valid.
    pub idle: Option<String>,
}

/// How a queue is looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum QueueLookup {
    /// By DescribeJobQueues and DescribeComputeEnvironments.
    #[default]
    Describe,
    /// Not at all: METAFLOW_AWS_SANDBOX_ENABLED, where these calls are not allowed and hosts are
    /// EC2's.
    Sandbox,
}

/// Why there is no queue. Upstream's texts, where it has any
/// (metaflow/plugins/aws/batch/batch.py, `launch_job`, and batch_client.py).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueueError {
    /// There is no queue of this name.
    #[error("AWS Batch Job Queue {0} not found.")]
    NotFound(String),
    /// No queue was named, and there is none to take.
    #[error(
        "Unable to launch AWS Batch job. No job queue  specified and no valid & enabled queue \
         found."
    )]
    NoQueue,
    /// The queue can run nothing.
    #[error("the AWS Batch job queue {0} has no compute environment")]
    NoComputeEnvironment(String),
    /// A call failed.
    #[error(transparent)]
    Call(#[from] BatchError),
}

impl QueueError {
    /// Whether the same question may well be answered a little later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Call(error) if error.is_transient())
    }
}

impl Client {
    /// The queue of this name or ARN; without one, the first that is enabled and valid. Asked
    /// once per client and name.
    pub async fn job_queue(
        &self,
        name: Option<&str>,
        lookup: QueueLookup,
    ) -> Result<JobQueue, QueueError> {
        let asked = name.map(str::to_owned);
        let known = self.known().queues.get(&asked).cloned();
        if let Some(queue) = known {
            return Ok(queue);
        }
        let queue = match (name, lookup) {
            (Some(name), QueueLookup::Sandbox) => JobQueue {
                name: name.to_owned(),
                platform: Platform::Ec2,
                has_scheduling_policy: false,
                idle: None,
            },
            (Some(name), QueueLookup::Describe) => {
                let detail = self.named_queue(name).await?;
                self.described_queue(name.to_owned(), &detail).await?
            }
            (None, _) => {
                let detail = self.first_queue().await?;
                let name = detail.job_queue_name().unwrap_or_default().to_owned();
                self.described_queue(name, &detail).await?
            }
        };
        self.known().queues.insert(asked, queue.clone());
        Ok(queue)
    }

    pub(super) async fn named_queue(&self, name: &str) -> Result<JobQueueDetail, QueueError> {
        let answer = self
            .repeatable("DescribeJobQueues", &self.limits.setup, async || {
                Ok(self
                    .sdk
                    .describe_job_queues()
                    .job_queues(name)
                    .send()
                    .await?)
            })
            .await?;
        let queue = answer.job_queues.unwrap_or_default().into_iter().next();
        queue.ok_or_else(|| QueueError::NotFound(name.to_owned()))
    }

    pub(super) async fn first_queue(&self) -> Result<JobQueueDetail, QueueError> {
        let mut token = None;
        loop {
            let page = self
                .repeatable("DescribeJobQueues", &self.limits.setup, async || {
                    let call = self.sdk.describe_job_queues().set_next_token(token.clone());
                    Ok(call.send().await?)
                })
                .await?;
            token = page.next_token().map(str::to_owned);
            let mut queues = page.job_queues.unwrap_or_default().into_iter();
            let usable = |queue: &JobQueueDetail| {
                queue.state() == Some(&JqState::Enabled) && queue.status() == Some(&JqStatus::Valid)
            };
            match queues.find(usable) {
                Some(queue) => return Ok(queue),
                None if token.is_none() => return Err(QueueError::NoQueue),
                None => {}
            }
        }
    }

    /// The compute environments of these names or ARNs, in the order of the answer.
    pub(super) async fn compute_environments(
        &self,
        names: &[String],
    ) -> Result<Vec<ComputeEnvironmentDetail>, BatchError> {
        let answer = self
            .repeatable(
                "DescribeComputeEnvironments",
                &self.limits.setup,
                async || {
                    let call = self.sdk.describe_compute_environments();
                    let call = call.set_compute_environments(Some(names.to_vec()));
                    Ok(call.send().await?)
                },
            )
            .await?;
        Ok(answer.compute_environments.unwrap_or_default())
    }

    async fn described_queue(
        &self,
        name: String,
        detail: &JobQueueDetail,
    ) -> Result<JobQueue, QueueError> {
        // Upstream takes the first as listed, too.
        let first = detail.compute_environment_order().first();
        let Some(environment) = first.and_then(|first| first.compute_environment()) else {
            return Err(QueueError::NoComputeEnvironment(name));
        };
        let answer = self.compute_environments(&[environment.to_owned()]).await?;
        let Some(environment) = answer.first() else {
            return Err(QueueError::NoComputeEnvironment(name));
        };
        Ok(JobQueue {
            name,
            platform: platform(environment),
            has_scheduling_policy: detail.scheduling_policy_arn().is_some(),
            idle: match detail.compute_environment_order() {
                [_] => idle(environment),
                _ => None,
            },
        })
    }
}

/// What hosts a compute environment has.
pub(super) fn platform(environment: &ComputeEnvironmentDetail) -> Platform {
    let resources = environment.compute_resources();
    let kind = resources.and_then(|resources| resources.r#type());
    Platform::from_compute_type(kind.map(CrType::as_str))
}

/// An answer without state and status says nothing.
fn idle(environment: &ComputeEnvironmentDetail) -> Option<String> {
    let state = environment.state().map_or("ENABLED", CeState::as_str);
    let status = environment.status().map_or("VALID", CeStatus::as_str);
    if state == "ENABLED" && status != "INVALID" {
        return None;
    }
    let name = environment.compute_environment_name().unwrap_or_default();
    Some(format!("{name} is {state} and {status}"))
}
