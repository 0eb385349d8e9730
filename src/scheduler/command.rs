//! What the scheduler asks for.

use model::{Attempt, TaskKey, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{RunFailure, TimerId};

/// Something that the driver has to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Launch attempts. Each of them holds a slot until an event says that it ended.
    Launch(Launch),
    /// Stop everything in flight. Said once, when the run fails or is interrupted; each attempt
    /// in flight still ends by its own event.
    Halt(HaltCause),
    /// Answer with [`Event::Due`](crate::Event::Due) when the time has come.
    Wake {
        /// What to answer with.
        timer: TimerId,
        /// When.
        at: Timestamp,
    },
    /// The run is over. Said once, as the last command, when nothing is in flight.
    Finish(RunOutcome),
}

/// Attempts to be launched together, in one place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Launch {
    /// Where they run.
    pub place: Place,
    /// The attempts, all of one step; at present always one.
    pub members: Vec<(TaskKey, Attempt)>,
}

/// Where an attempt runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Place {
    /// As a process on this machine.
    Local,
    /// As a job of AWS Batch.
    Batch,
}

/// Why everything in flight has to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum HaltCause {
    /// The run failed.
    Failed,
    /// The user interrupted it.
    Interrupted,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RunOutcome {
    /// The last step succeeded.
    Done,
    /// Nothing is left to do, but the last step did not succeed: a task was dropped on the way.
    /// [`end_not_reached`](crate::end_not_reached) is upstream's text for it.
    EndNotReached,
    /// Something failed the whole run.
    Failed(RunFailure),
    /// The user interrupted it.
    Interrupted,
}
