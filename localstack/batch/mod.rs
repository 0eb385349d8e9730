//! The AWS Batch API. Jobs are processes of this machine.

mod operation;
mod service;

use std::fmt::Debug;

pub use service::Batch;

/// What the ECS agent does for a task: hands it credentials and metadata. The server implements it.
pub trait JobCredentials: Send + Sync + Debug {
    /// Variables by which a job finds its credentials and its metadata: `AWS_CONTAINER_CREDENTIALS_FULL_URI`,
    /// `AWS_CONTAINER_AUTHORIZATION_TOKEN`, `ECS_CONTAINER_METADATA_URI_V4`. They hold until `revoke`.
    fn issue(&self, job_id: &str, role_arn: Option<&str>) -> Vec<(String, String)>;
    /// Ends what `issue` began.
    fn revoke(&self, job_id: &str);
}
