//! AWS Batch: one file per API action, all behind [`Client`].
//!
//! Each action has its own token bucket (`rate.rs`) in one budget (`budget.rs`). Reads are tried again when that may help; SubmitJob never is, because
//! a lost reply may have made a job, and TerminateJob by its caller, who does so until the job has ended.

mod budget;
mod client;
mod describe_jobs;
mod error;
mod inspect_queue;
mod job_definition;
mod job_queue;
mod list_jobs;
mod rate;
mod register_job_definition;
mod retry;
mod submit_job;
mod terminate_job;
mod waiting;

pub use budget::{CallsPerSecond, CallsPerSecondError, Hold};
pub use client::Client;
pub use describe_jobs::Described;
pub use error::{BatchError, BatchErrorKind};
pub use inspect_queue::QueueState;
pub use job_queue::{JobQueue, QueueError, QueueLookup};
pub use list_jobs::JobSummary;
pub use submit_job::SubmitError;
