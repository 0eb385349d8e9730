//! AWS Batch in Ferroflow's words: what upstream's `@batch` options ask for, job definitions, job
//! requests, and what DescribeJobs says of a job. Nothing here names the SDK; `src/aws/batch`
//! turns these into calls. Why a job failed: [`crate::failure`].

pub mod definition;
pub(crate) mod fargate;
pub mod job;
pub mod job_detail;
pub mod job_name;
mod more_memory;
pub mod options;
pub mod overrides;
mod python;
pub mod queue;
pub mod resources;
pub mod terminate_reason;
pub mod time_limit;

pub use definition::{Entry, JobDefinition, Platform, Warning};
pub use job::{JobRequest, Share};
pub use job_detail::{JobDetail, JobId, JobStatus};
pub use job_name::{JobNameParts, is_job_name, job_name};
pub use more_memory::more_memory;
pub use options::{OptionError, Options};
pub use overrides::{added_bytes, spec_variables};
pub use queue::{ComputeEnvironment, Queue, Standing};
pub use resources::Resources;
pub use time_limit::{TimeLimit, TooShort};
