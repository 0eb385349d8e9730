//! SubmitJob. The only caller of the SDK's.

use aws_sdk_batch::types::{
    ArrayProperties, ContainerOverrides, JobTimeout, KeyValuePair, ResourceRequirement,
    ResourceType, RetryStrategy,
};
use model::batch::{JobId, JobRequest, Resources};

use super::Client;
use crate::failure::{Failure, FailureKind};

const ACTION: &str = "SubmitJob";

/// Why there is no job id. SubmitJob has no idempotency token and is never repeated here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// Batch will not take the job; no job was made.
    #[error("AWS Batch refused the job: {0}")]
    Refused(String),
    /// No job was made, and the same request may be made later: too many calls.
    #[error("AWS Batch takes no more jobs at the moment")]
    Throttled,
    /// No job was made, and the same request may be made later: Batch cannot be reached, or the
    /// credentials have just expired.
    #[error("{0}")]
    NotSent(String),
    /// A job may have been made.
    #[error("AWS Batch gave no answer: {0}")]
    Unknown(String),
}

impl Client {
    /// Waits until a job may be submitted. Whoever has lost interest meanwhile just stops waiting.
    pub async fn may_submit(&self) {
        self.limits.admit(&self.limits.submit).await;
    }

    /// Submits a job, once, and at once: see [`Client::may_submit`].
    pub async fn submit_job(&self, request: &JobRequest) -> Result<JobId, SubmitError> {
        let (share, priority) = match &request.share {
            Some(share) => (Some(share.identifier.clone()), share.priority),
            None => (None, None),
        };
        let call = self
            .sdk
            .submit_job()
            .job_name(&request.name)
            .job_queue(&request.queue)
            .job_definition(&request.definition)
            .set_parameters(Some(request.parameters.clone().into_iter().collect()))
            .set_tags(some_unless_empty(
                request.tags.clone().into_iter().collect(),
            ))
            .set_share_identifier(share)
            .set_scheduling_priority_override(priority)
            .retry_strategy(RetryStrategy::builder().attempts(1).build())
            .timeout(
                JobTimeout::builder()
                    .attempt_duration_seconds(request.timeout_seconds)
                    .build(),
            )
            .container_overrides(overrides(request))
            .set_array_properties(
                (request.array_size).map(|size| ArrayProperties::builder().size(size).build()),
            );
        let answer = call.send().await;
        if answer.is_ok() {
            self.limits.made(ACTION, &self.limits.submit, true);
        }
        match answer {
            // The SDK fills required members that an answer lacks with empty texts.
            Ok(answer) => match answer.job_id() {
                Some(id) if !id.is_empty() => Ok(JobId::new(id)),
                _ => Err(SubmitError::Unknown("the answer has no job id".to_owned())),
            },
            Err(error) => Err(self.submit_error(error.into())),
        }
    }

    fn submit_error(&self, failure: Failure) -> SubmitError {
        let Failure {
            kind,
            code,
            message,
            ..
        } = failure;
        let bucket = &self.limits.submit;
        if kind == FailureKind::Throttled {
            self.limits.throttled(ACTION, bucket);
        } else {
            self.limits.made(ACTION, bucket, false);
        }
        match kind {
            FailureKind::AccessDenied | FailureKind::NoCredentials | FailureKind::Refused => {
                SubmitError::Refused(format!("{code}: {message}"))
            }
            FailureKind::Throttled => SubmitError::Throttled,
            FailureKind::Stale | FailureKind::CredentialsUnavailable | FailureKind::Unreachable => {
                SubmitError::NotSent(format!("{code}: {message}"))
            }
            FailureKind::Unknown => SubmitError::Unknown(format!("{code}: {message}")),
        }
    }
}

fn some_unless_empty(
    tags: std::collections::HashMap<String, String>,
) -> Option<std::collections::HashMap<String, String>> {
    (!tags.is_empty()).then_some(tags)
}

fn overrides(request: &JobRequest) -> ContainerOverrides {
    let variable =
        |(name, value): &(String, String)| KeyValuePair::builder().name(name).value(value).build();
    ContainerOverrides::builder()
        .set_command(request.command.clone())
        .set_environment(Some(request.environment.iter().map(variable).collect()))
        .set_resource_requirements(Some(requirements(&request.resources)))
        .build()
}

fn requirements(resources: &Resources) -> Vec<ResourceRequirement> {
    let requirement = |kind, value: &str| {
        ResourceRequirement::builder()
            .r#type(kind)
            .value(value)
            .build()
    };
    let mut requirements = vec![
        requirement(ResourceType::Vcpu, &resources.vcpu),
        requirement(ResourceType::Memory, &resources.memory),
    ];
    if let Some(gpu) = &resources.gpu {
        requirements.push(requirement(ResourceType::Gpu, gpu));
    }
    requirements
}
