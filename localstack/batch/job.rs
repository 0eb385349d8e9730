//! Jobs, as the core keeps them. What all children of an array share is kept once, in their [`Submission`].

use std::{borrow::Cow, collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::retry::RetryStrategy;

/// A reason, mostly one of AWS's fixed texts.
pub(super) type Text = Cow<'static, str>;

/// The states of AWS Batch, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum JobStatus {
    Submitted,
    Pending,
    Runnable,
    Starting,
    Running,
    Succeeded,
    Failed,
}

impl JobStatus {
    pub(super) const ALL: [Self; 7] = [
        Self::Submitted,
        Self::Pending,
        Self::Runnable,
        Self::Starting,
        Self::Running,
        Self::Succeeded,
        Self::Failed,
    ];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Submitted => "SUBMITTED",
            Self::Pending => "PENDING",
            Self::Runnable => "RUNNABLE",
            Self::Starting => "STARTING",
            Self::Running => "RUNNING",
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
        }
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == name)
    }

    pub(super) fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed)
    }
}

/// A job: a submission, or a child of an array.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct JobKey {
    /// Number of the submission, counted from 0.
    pub(super) submission: u64,
    /// Index of a child.
    pub(super) index: Option<u32>,
}

/// One SubmitJob.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Submission {
    pub(super) spec: Spec,
    pub(super) body: Body,
    /// How many jobs that all of it depends on are not done yet.
    pub(super) unmet: u32,
    /// Who waits for it.
    pub(super) dependents: Vec<Dependent>,
}

/// What was submitted, with names resolved.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Spec {
    pub(super) id: String,
    pub(super) name: String,
    /// Name of the queue.
    pub(super) queue: String,
    pub(super) definition: DefinitionKey,
    /// Of definition and request.
    pub(super) parameters: BTreeMap<String, String>,
    pub(super) overrides: Map<String, Value>,
    pub(super) retry: RetryStrategy,
    pub(super) timeout_seconds: Option<u32>,
    pub(super) depends_on: Vec<Dependency>,
    pub(super) size: Option<u32>,
    pub(super) tags: BTreeMap<String, String>,
    pub(super) propagate_tags: bool,
    pub(super) share: Option<String>,
    pub(super) priority: Option<i64>,
    pub(super) needs: Needs,
    /// The override is too long for ECS, which finds that out late.
    pub(super) overlong: bool,
}

/// Name and revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct DefinitionKey {
    pub(super) name: String,
    pub(super) revision: u32,
}

impl fmt::Display for DefinitionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, self.revision)
    }
}

/// What a job takes of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Needs {
    pub(super) milli_vcpus: u64,
    pub(super) memory_mib: u64,
    pub(super) gpus: u64,
}

impl Needs {
    pub(super) fn add(&mut self, other: Self) {
        self.milli_vcpus += other.milli_vcpus;
        self.memory_mib += other.memory_mib;
        self.gpus += other.gpus;
    }

    pub(super) fn subtract(&mut self, other: Self) {
        self.milli_vcpus = self.milli_vcpus.saturating_sub(other.milli_vcpus);
        self.memory_mib = self.memory_mib.saturating_sub(other.memory_mib);
        self.gpus = self.gpus.saturating_sub(other.gpus);
    }

    pub(super) fn fits_in(self, room: Self) -> bool {
        self.milli_vcpus <= room.milli_vcpus
            && self.memory_mib <= room.memory_mib
            && self.gpus <= room.gpus
    }
}

/// An entry of `dependsOn`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Dependency {
    /// The other job; none for `SEQUENTIAL`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) job: Option<String>,
    pub(super) kind: DependencyKind,
}

/// How children are tied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum DependencyKind {
    /// All of this waits for all of that.
    Whole,
    /// Child n waits for child n.
    NToN,
    /// Child n waits for child n - 1.
    Sequential,
}

/// Somebody who waits.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Dependent {
    pub(super) submission: u64,
    pub(super) kind: DependencyKind,
    /// The child that is waited for, if not the whole.
    pub(super) of_index: Option<u32>,
}

/// A plain job, or an array.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Body {
    Plain(Job),
    Array {
        parent: Job,
        children: Vec<Job>,
        /// Children per status, in the order of [`JobStatus::ALL`].
        counts: [u32; 7],
        updated_at: i64,
    },
}

/// What changes of a job.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Job {
    pub(super) phase: Phase,
    pub(super) created_at: i64,
    pub(super) attempts: Vec<Attempt>,
    pub(super) status_reason: Option<Text>,
    pub(super) stop: Option<Stop>,
}

/// Where a job is, and what it has only there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Phase {
    Submitted,
    /// `unmet` counts what this child alone waits for.
    Pending {
        unmet: u32,
    },
    Runnable,
    Starting,
    Running {
        started_at: i64,
    },
    Succeeded {
        stopped_at: i64,
    },
    Failed {
        stopped_at: i64,
    },
}

/// A finished attempt.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Attempt {
    pub(super) started_at: Option<i64>,
    pub(super) stopped_at: i64,
    pub(super) status_reason: Text,
    pub(super) reason: Option<Text>,
    pub(super) exit_code: Option<i32>,
}

/// Somebody asked for its end.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Stop {
    pub(super) kind: StopKind,
    pub(super) reason: String,
}

/// By which operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum StopKind {
    Cancel,
    Terminate,
}

impl Job {
    pub(super) fn new(phase: Phase, created_at: i64) -> Self {
        Self {
            phase,
            created_at,
            attempts: Vec::new(),
            status_reason: None,
            stop: None,
        }
    }

    pub(super) fn status(&self) -> JobStatus {
        self.phase.status()
    }

    /// The number of the attempt that is running or comes next, counted from 1.
    pub(super) fn attempt(&self) -> u32 {
        self.attempts.len() as u32 + 1
    }
}

impl Phase {
    pub(super) fn status(self) -> JobStatus {
        match self {
            Self::Submitted => JobStatus::Submitted,
            Self::Pending { .. } => JobStatus::Pending,
            Self::Runnable => JobStatus::Runnable,
            Self::Starting => JobStatus::Starting,
            Self::Running { .. } => JobStatus::Running,
            Self::Succeeded { .. } => JobStatus::Succeeded,
            Self::Failed { .. } => JobStatus::Failed,
        }
    }
}

impl Submission {
    /// The job, the parent or the child.
    pub(super) fn job(&self, index: Option<u32>) -> Option<&Job> {
        match (&self.body, index) {
            (Body::Plain(job) | Body::Array { parent: job, .. }, None) => Some(job),
            (Body::Array { children, .. }, Some(index)) => children.get(index as usize),
            (Body::Plain(_), Some(_)) => None,
        }
    }

    /// The job or the parent.
    pub(super) fn whole(&self) -> &Job {
        match &self.body {
            Body::Plain(job) | Body::Array { parent: job, .. } => job,
        }
    }

    pub(super) fn whole_mut(&mut self) -> &mut Job {
        match &mut self.body {
            Body::Plain(job) | Body::Array { parent: job, .. } => job,
        }
    }

    /// Id of the job or the child.
    pub(super) fn id(&self, index: Option<u32>) -> String {
        match index {
            None => self.spec.id.clone(),
            Some(index) => format!("{}:{index}", self.spec.id),
        }
    }
}
