//! What the scheduler is told.

use model::{Attempt, TaskKey, Transition};
use serde::{Deserialize, Serialize};

/// Something that happened. Events may arrive twice or too late; what does not concern the
/// attempt that is in flight changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// The run starts: its first step may be launched.
    Begun,
    /// An attempt is over.
    TaskEnded {
        /// The task.
        task: TaskKey,
        /// Which attempt of it.
        attempt: Attempt,
        /// How it ended.
        outcome: Outcome,
    },
    /// The submission itself was refused for good. Upstream's trampoline exits with 202 then
    /// (metaflow/plugins/aws/batch/batch_cli.py, `step`), so the task is dropped while other
    /// branches go on.
    LaunchRefused {
        /// The task.
        task: TaskKey,
        /// Which attempt of it.
        attempt: Attempt,
    },
    /// The flow host raised an exception while it prepared the attempt: the run fails.
    LaunchFailed {
        /// The task.
        task: TaskKey,
        /// Which attempt of it.
        attempt: Attempt,
    },
    /// The time of a [`Wake`](crate::Command::Wake) has come.
    Due(TimerId),
    /// The user wants the run to stop.
    Interrupted,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// It succeeded, and says what comes next.
    Succeeded(Transition),
    /// It failed, by the task's own doing.
    Failed(FailureClass),
    /// It was lost with the infrastructure below it, or for an unknown reason.
    Lost {
        /// How many attempts of a task may end so, or in any other lost way, at no cost to
        /// `@retry`.
        free: u32,
    },
}

/// Whether a failed attempt may be followed by another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum FailureClass {
    /// It may, as far as `@retry` and `@catch` allow.
    User,
    /// It may not: exit code 202. The task is dropped, and the rest of the run goes on
    /// (metaflow/runtime.py, `_poll_workers`).
    NoRetry,
    /// It may not, because somebody ended it on purpose: the run fails, as it does upstream when
    /// a job without retries left is terminated.
    Cancelled,
}

/// Names a wake-up: the delayed launch of one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TimerId {
    /// The task that waits.
    pub task: TaskKey,
    /// The attempt that it waits to launch.
    pub attempt: Attempt,
}
