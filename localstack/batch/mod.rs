//! The AWS Batch API. Jobs are processes of this machine.

mod admission;
mod cancel_job;
mod container;
#[cfg(test)]
mod core_tests;
mod create_compute_environment;
mod create_job_queue;
mod delete_compute_environment;
mod delete_job_queue;
mod dependencies;
mod deregister_job_definition;
mod describe_compute_environments;
mod describe_job_definitions;
mod describe_job_queues;
mod describe_jobs;
mod event;
mod first_resources;
mod get_job_queue_snapshot;
mod instance_types;
mod job;
mod lifecycle;
mod list_jobs;
mod names;
mod operation;
mod outcome;
mod past;
mod process;
mod recover;
mod register_job_definition;
mod request;
mod resource;
mod resource_events;
mod retry;
mod run;
mod schedule;
mod scheduling_policies;
mod service;
mod shapes;
mod simulated;
mod state;
mod submit_job;
mod substitution;
mod tags;
mod terminate_job;
mod update_compute_environment;
mod update_job_queue;

use std::fmt::Debug;

pub(crate) use operation::has_operation;
pub use request::Asked;
pub use service::Batch;

/// What the ECS agent does for a task: hands it credentials and metadata. The server implements it.
pub trait JobCredentials: Send + Sync + Debug {
    /// Variables by which a job finds its credentials and its metadata: `AWS_CONTAINER_CREDENTIALS_FULL_URI`,
    /// `AWS_CONTAINER_AUTHORIZATION_TOKEN`, `ECS_CONTAINER_METADATA_URI_V4`. They hold until `revoke`.
    /// `task` names one start of the job.
    fn issue(&self, task: &str, job_id: &str, role_arn: Option<&str>) -> Vec<(String, String)>;
    /// Ends what `issue` began, if it began anything.
    fn revoke(&self, task: &str);
}
