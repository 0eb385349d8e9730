//! What is looked at.

use std::fmt;

use crate::{
    Timestamp,
    batch::{ComputeEnvironment, JobDetail, JobId, JobStatus, Queue},
};

/// What a call has told, or why it has not.
pub type Seen<T> = Result<T, Unseen>;

/// A call that told nothing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unseen {
    /// The API action.
    pub action: &'static str,
    /// The service's name of the error.
    pub code: String,
    /// The service's explanation.
    pub message: String,
}

impl fmt::Display for Unseen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.action, self.code)
    }
}

/// A job, as far as it matters for its wait.
#[derive(Debug, Clone, PartialEq)]
pub struct WaitingJob {
    /// Its state, and what Batch says of it.
    pub detail: JobDetail,
    /// Name or ARN of its queue.
    pub queue: String,
    /// Its job definition, with its revision.
    pub definition: String,
    /// What it needs of a host.
    pub needs: Needs,
    /// How many children it has, and how many wait, if it is an array job.
    pub array: Option<ArrayCounts>,
    /// The jobs that must end first.
    pub depends_on: Vec<JobId>,
}

/// Children of an array job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArrayCounts {
    /// All of them.
    pub size: u32,
    /// Those in the state RUNNABLE.
    pub runnable: u32,
}

/// What a job needs of a host. None is what nobody says.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Needs {
    /// vCPUs; a fraction on Fargate.
    pub vcpus: Option<f64>,
    /// MiB.
    pub memory: Option<u64>,
    /// GPUs.
    pub gpus: u64,
}

/// What there is to see of a queue.
#[derive(Debug, Clone, PartialEq)]
pub struct QueueLook {
    /// The queue; none where Batch shows no such queue.
    pub queue: Seen<Option<Queue>>,
    /// Its compute environments, in their order.
    pub environments: Seen<Vec<ComputeEnvironment>>,
    /// Who waits in it.
    pub front: Seen<Front>,
}

/// Who waits in a queue.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Front {
    /// The RUNNABLE jobs, first come first, as far as Batch lists them: the first hundred.
    pub jobs: Vec<JobId>,
    /// vCPUs that jobs of the queue use at the moment; none where that was not to be seen.
    pub used_vcpus: Option<f64>,
    /// The first job, when it was looked at.
    pub head: Option<Head>,
}

/// The first job of a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Its id.
    pub id: JobId,
    /// Why it does not start, if Batch says so.
    pub status_reason: Option<String>,
}

/// All that is known of a job's wait.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// The job.
    pub job: &'a WaitingJob,
    /// Its queue; none where its state tells enough.
    pub look: Option<&'a QueueLook>,
    /// Whether its job definition is ACTIVE; none where Batch does not show it.
    pub definition: Option<&'a Seen<Option<bool>>>,
    /// The jobs that it waits for, as far as Batch shows them.
    pub dependencies: &'a [(JobId, JobStatus)],
    /// The time.
    pub now: Timestamp,
}

impl WaitingJob {
    /// A job of which nothing is known but its queue and its definition.
    pub fn unseen(queue: &str, definition: &str) -> Self {
        Self {
            detail: JobDetail {
                id: JobId::new(""),
                name: String::new(),
                status: JobStatus::Runnable,
                status_reason: None,
                container_reason: None,
                exit_code: None,
                log_stream: None,
                is_terminated: false,
                is_cancelled: false,
                created_at: None,
                started_at: None,
                stopped_at: None,
            },
            queue: queue.to_owned(),
            definition: definition.to_owned(),
            needs: Needs::default(),
            array: None,
            depends_on: Vec::new(),
        }
    }

    /// Whether it is [`WaitingJob::unseen`].
    pub fn is_unseen(&self) -> bool {
        self.detail.id.as_str().is_empty()
    }

    /// Whether it depends on its queue: it has no host, and waits for nothing else.
    pub fn is_in_line(&self) -> bool {
        match self.detail.status {
            JobStatus::Runnable | JobStatus::Unknown(_) => true,
            JobStatus::Pending => self.array.is_some_and(|array| array.runnable > 0),
            _ => false,
        }
    }
}

impl<'a> Evidence<'a> {
    /// Who waits in the queue, where that was to be seen.
    pub(super) fn front(&self) -> Option<&'a Front> {
        self.look?.front.as_ref().ok()
    }

    /// Milliseconds since the job was submitted, or last began to wait again.
    pub fn waited(&self) -> Option<u64> {
        let detail = &self.job.detail;
        let since = detail.stopped_at.or(detail.created_at)?;
        u64::try_from(self.now.0.saturating_sub(since.0)).ok()
    }
}
