//! The CloudWatch Logs API, as far as logs of jobs need it: one group, a stream for each attempt of a job.

mod describe_log_groups;
mod describe_log_streams;
mod filter_log_events;
mod get_log_events;
mod service;
mod stream;

pub use service::Logs;
pub(crate) use service::has_operation;
pub(crate) use stream::{StreamWriter, copy_lines, stream_name};

/// Where AWS Batch puts the logs of jobs (user guide, "Using the awslogs log driver").
pub(crate) const GROUP: &str = "/aws/batch/job";
