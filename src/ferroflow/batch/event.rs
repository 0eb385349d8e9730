//! What the driver hands over to Batch, and what it is told.

use compute::host::BatchTask;
use model::{
    Attempt, TaskKey, TaskPath,
    batch::JobStatus,
    failure::{Class, Explanation},
    layout::Stream,
};
use scheduler::Outcome;

use super::fence::Fenced;

/// An attempt that belongs on Batch.
#[derive(Debug)]
pub(crate) struct Launch {
    pub(crate) task: TaskKey,
    pub(crate) path: TaskPath,
    pub(crate) attempt: Attempt,
    pub(crate) command: BatchTask,
}

/// What Batch has to say.
#[derive(Debug)]
pub(crate) enum BatchEvent {
    /// Something became of an attempt.
    Attempt {
        task: TaskKey,
        attempt: Attempt,
        what: What,
    },
    /// The run cannot go on.
    Broken(anyhow::Error),
    /// The run is somebody else's.
    Fenced(Fenced),
    /// The run was cancelled from elsewhere.
    Cancelled,
}

/// What becomes of an attempt.
#[derive(Debug)]
pub(crate) enum What {
    /// Its job has an id.
    Submitted { job: String },
    /// Its job is in this state; each is told once.
    Status(JobStatus),
    /// Something the user should read; it also goes into the launcher's log of the attempt.
    Said(String),
    /// Lines of the task's own log, each with its newline.
    Lines { stream: Stream, lines: Vec<Vec<u8>> },
    /// The submission was refused; nothing has run.
    Refused(String),
    /// It has ended, and all its lines were told.
    Ended(Ended),
}

/// How an attempt ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) outcome: Outcome,
    /// What went wrong; nothing after a success.
    pub(crate) failure: Option<Failure>,
}

/// What went wrong in an attempt.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) class: Class,
    pub(crate) explanation: Explanation,
}
