//! Why Ferroflow ends jobs: what it tells TerminateJob, and what Batch then shows as their status
//! reason.

/// How all of them begin.
pub const PREFIX: &str = "ferroflow: ";

/// The run does not go on.
pub const CANCELLED: &str = "ferroflow: the run was cancelled";

/// Another job of the same launch holds the claim.
pub const TWIN: &str = "ferroflow: the task runs as another job";
