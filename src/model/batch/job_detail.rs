//! What Batch says of a job (Batch API reference, JobDetail).

use std::{convert::Infallible, fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// Id of a job: a UUID, with `:index` behind it for a child of an array job.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct JobId(Arc<str>);

impl JobId {
    /// Wraps what Batch or a container said.
    pub fn new(id: impl AsRef<str>) -> Self {
        Self(id.as_ref().into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Of an array job: the id of a child.
    #[must_use]
    pub fn child(&self, index: u32) -> Self {
        Self::new(format!("{self}:{index}"))
    }

    /// Of a child of an array job: the array.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        let (parent, _) = self.0.split_once(':')?;
        Some(Self::new(parent))
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// State of a job.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum JobStatus {
    /// Accepted.
    Submitted,
    /// Waits for dependencies; array parents are so for most of their lives.
    Pending,
    /// Waits for capacity.
    Runnable,
    /// Has a host; its image is being pulled.
    Starting,
    /// Its container runs.
    Running,
    /// Ended with exit code 0.
    Succeeded,
    /// Ended otherwise.
    Failed,
    /// A state that is not known here.
    Unknown(String),
}

impl JobStatus {
    /// Whether it stays so.
    pub fn is_terminal(&self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed)
    }

    /// The state as Batch spells it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Submitted => "SUBMITTED",
            Self::Pending => "PENDING",
            Self::Runnable => "RUNNABLE",
            Self::Starting => "STARTING",
            Self::Running => "RUNNING",
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
            Self::Unknown(other) => other,
        }
    }
}

impl fmt::Display for JobStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for JobStatus {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text {
            "SUBMITTED" => Self::Submitted,
            "PENDING" => Self::Pending,
            "RUNNABLE" => Self::Runnable,
            "STARTING" => Self::Starting,
            "RUNNING" => Self::Running,
            "SUCCEEDED" => Self::Succeeded,
            "FAILED" => Self::Failed,
            other => Self::Unknown(other.to_owned()),
        })
    }
}

/// A job, as far as Ferroflow asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobDetail {
    /// Its id.
    pub id: JobId,
    /// Its name.
    pub name: String,
    /// Its state.
    pub status: JobStatus,
    /// Why it is in that state.
    pub status_reason: Option<String>,
    /// What the container runtime says of the last attempt's end.
    pub container_reason: Option<String>,
    /// Exit code of the last attempt's container.
    pub exit_code: Option<i32>,
    /// Log stream of the last attempt in CloudWatch Logs; known once it runs.
    pub log_stream: Option<String>,
    /// Whether somebody terminated it.
    pub is_terminated: bool,
    /// Whether somebody cancelled it.
    pub is_cancelled: bool,
    /// When it was submitted.
    pub created_at: Option<Timestamp>,
    /// When its container started.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub stopped_at: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_spelled_as_batch_spells_them() {
        for text in [
            "SUBMITTED",
            "PENDING",
            "RUNNABLE",
            "STARTING",
            "RUNNING",
            "SUCCEEDED",
            "FAILED",
            "HIBERNATING",
        ] {
            let status: JobStatus = text.parse().unwrap();
            assert_eq!(status.to_string(), text);
            assert_eq!(
                status.is_terminal(),
                ["SUCCEEDED", "FAILED"].contains(&text)
            );
        }
    }
}
