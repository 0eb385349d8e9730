//! Durations and switches that tests change.

use std::{path::PathBuf, time::Duration};

/// How long the bootstrap waits for what.
#[derive(Debug, Clone)]
pub struct Settings {
    /// From asking the step to stop to killing it. AWS Batch kills the container 30 s after its
    /// SIGTERM ("Job timeouts").
    pub grace: Duration,
    /// From asking the step to stop to the second upload of its logs.
    pub late_flush: Duration,
    /// From a SIGTERM to the moment when nothing more is tried.
    pub last_call: Duration,
    /// How long a request is repeated while the store throttles.
    pub throttle_budget: Duration,
    /// How long a request is repeated after other errors that may pass.
    pub error_budget: Duration,
    /// How long the container waits for an answer to whether its run still wants the task. Without one it goes on.
    pub look_patience: Duration,
    /// Address that `AWS_CONTAINER_CREDENTIALS_RELATIVE_URI` is relative to.
    pub container_credentials: String,
    /// Address of the instance metadata service.
    pub instance_metadata: String,
    /// Where a task's folder is made when neither the working directory nor `TMPDIR` will do.
    pub last_resort: PathBuf,
    /// Between two questions about the GPUs' memory. Each costs a process.
    pub gpu_interval: Duration,
    /// Whether children that are not ours are reaped: the duty of a process with id 1.
    pub reap_orphans: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            grace: Duration::from_secs(25),
            late_flush: Duration::from_secs(20),
            last_call: Duration::from_secs(28),
            throttle_budget: Duration::from_mins(5),
            error_budget: Duration::from_mins(1),
            look_patience: Duration::from_secs(5),
            container_credentials: "http://169.254.170.2".into(),
            instance_metadata: "http://169.254.169.254".into(),
            last_resort: PathBuf::from("/tmp"),
            gpu_interval: Duration::from_secs(5),
            reap_orphans: false,
        }
    }
}
