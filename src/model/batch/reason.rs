//! Why a job ended, as far as Batch can tell. What the container itself wrote counts first; this
//! is for when it wrote nothing, and for naming the cause.
//!
//! Order of evidence: terminated or cancelled, then the job's status reason, then the container's
//! reason, then the exit code. The texts are those of the Batch user guide ("Job state and
//! reasons"), of the ECS developer guide ("Stopped tasks error messages") and of public reports.

mod explanation;
#[cfg(test)]
mod tests;
mod texts;

use super::{JobDetail, JobStatus};
use crate::exit_code::container;

/// SIGKILL and SIGTERM as exit codes of a container.
const KILLED: i32 = 137;
const TERMINATED: i32 = 143;

/// What sort of end it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EndKind {
    /// The host or its Spot capacity went away.
    HostLost,
    /// The container used more memory than it asked for.
    OutOfMemory,
    /// `attemptDurationSeconds` passed.
    Timeout,
    /// The image could not be pulled.
    Image {
        /// Whether another try may succeed.
        retryable: bool,
    },
    /// The container could not be created, started or inspected.
    ContainerRuntime {
        /// Whether another try may succeed.
        retryable: bool,
    },
    /// Roles, secrets, logs or overrides are wrong.
    Configuration,
    /// Somebody ended the job, or a rule of the queue did.
    Cancelled,
    /// Stub or bootstrap gave up before user code; the exit code says why.
    Bootstrap(i32),
    /// The container ended with this code.
    Exit(i32),
    /// There is no evidence.
    Unknown,
}

/// The end of a job, with its evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobEnd {
    kind: EndKind,
    status_reason: Option<String>,
    container_reason: Option<String>,
    exit_code: Option<i32>,
    log_stream: Option<String>,
}

impl JobEnd {
    /// The end of a job that DescribeJobs shows; meaningful for terminal jobs only.
    pub fn of(detail: &JobDetail) -> Self {
        let filled = |text: &Option<String>| text.clone().filter(|text| !text.trim().is_empty());
        let (status_reason, container_reason) = (
            filled(&detail.status_reason),
            filled(&detail.container_reason),
        );
        let kind = if detail.is_terminated || detail.is_cancelled {
            EndKind::Cancelled
        } else if detail.status == JobStatus::Succeeded {
            EndKind::Exit(detail.exit_code.unwrap_or(0))
        } else {
            let by_status = status_reason.as_deref().and_then(texts::of_status_reason);
            let by_container = || {
                container_reason
                    .as_deref()
                    .and_then(texts::of_container_reason)
            };
            by_status
                .or_else(by_container)
                .or_else(|| failed_to_start(status_reason.as_deref()))
                .unwrap_or_else(|| by_exit_code(detail.exit_code))
        };
        Self {
            kind,
            status_reason,
            container_reason,
            exit_code: detail.exit_code,
            log_stream: filled(&detail.log_stream),
        }
    }

    /// The end of a job that Batch does not show.
    pub fn unseen() -> Self {
        Self {
            kind: EndKind::Unknown,
            status_reason: None,
            container_reason: None,
            exit_code: None,
            log_stream: None,
        }
    }

    /// What sort of end it was.
    pub fn kind(&self) -> EndKind {
        self.kind
    }

    /// Exit code of the container, where there was one.
    pub fn exit_code(&self) -> Option<i32> {
        self.exit_code
    }

    /// Whether the host went away.
    pub fn is_host_lost(&self) -> bool {
        self.kind == EndKind::HostLost
    }

    /// Whether somebody ended it.
    pub fn is_cancelled(&self) -> bool {
        self.kind == EndKind::Cancelled
    }

    /// Whether the same job may well succeed when it is submitted again, provided that user code
    /// has not begun.
    pub fn is_retryable(&self) -> bool {
        matches!(
            self.kind,
            EndKind::HostLost
                | EndKind::Image { retryable: true }
                | EndKind::ContainerRuntime { retryable: true }
                | EndKind::Bootstrap(container::BOOTSTRAP_FETCH | container::BOOTSTRAP_FAILED)
        )
    }

    /// One sentence that names what happened, the evidence and what to do about it.
    pub fn explanation(&self) -> String {
        explanation::of(self)
    }
}

/// No container, and nobody says why.
fn failed_to_start(status_reason: Option<&str>) -> Option<EndKind> {
    status_reason
        .is_some_and(|reason| reason.starts_with("Task failed to start"))
        .then_some(EndKind::ContainerRuntime { retryable: true })
}

fn by_exit_code(code: Option<i32>) -> EndKind {
    match code {
        Some(code @ container::NO_BOOTSTRAP..=container::BOOTSTRAP_FAILED) => {
            EndKind::Bootstrap(code)
        }
        // A kill of unknown origin is not out of memory until somebody says so.
        None | Some(KILLED | TERMINATED) => EndKind::Unknown,
        Some(code) => EndKind::Exit(code),
    }
}
