//! What a run was made of: the events and dispatches that another process repeats to get where the first one was.

use model::{Attempt, TaskKey, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{Command, Event, Run, TimerId, task::TaskState};

/// One call of the core that changed something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Turn {
    /// [`Run::handle`].
    Event {
        /// Its time.
        at: Timestamp,
        /// Its event.
        event: Event,
    },
    /// [`Run::dispatch`]. One that launched nothing has changed nothing, and need not be kept.
    Dispatch {
        /// Its time.
        at: Timestamp,
    },
}

impl Run {
    /// Does again what was done then. The same turns in the same order give the same commands.
    pub fn repeat(&mut self, turn: Turn, out: &mut Vec<Command>) {
        match turn {
            Turn::Event { at, event } => self.handle(at, event, out),
            Turn::Dispatch { at } => self.dispatch(at, out),
        }
    }

    /// The attempts that were launched and have not ended, in the order of their tasks.
    pub fn launched(&self) -> impl Iterator<Item = (TaskKey, Attempt)> + '_ {
        self.in_state(TaskState::Launched)
    }

    /// The attempts that wait for their time.
    pub fn waiting(&self) -> impl Iterator<Item = TimerId> + '_ {
        let waiting = self.in_state(TaskState::Backoff);
        waiting.map(|(task, attempt)| TimerId { task, attempt })
    }

    fn in_state(&self, state: TaskState) -> impl Iterator<Item = (TaskKey, Attempt)> + '_ {
        self.tasks
            .all()
            .filter(move |(_, task)| task.state == state)
            .map(|(key, task)| (key, task.attempt))
    }
}
