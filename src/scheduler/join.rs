//! A join waits for what its split started.

use model::TaskKey;

use crate::{Run, frames::Position, steps::StepIx, task::Inputs};

impl Run {
    /// Counts a task that is ready for a join, and makes the join ready with the last one.
    ///
    /// A join waits for as many tasks as its split started, not for as many as there are steps
    /// before it: a switch gives a branch several ends, of which one is reached
    /// (metaflow/runtime.py, `_queue_task_join`). Upstream looks for all of them each time that one
    /// arrives and hands over those of a split in a random order; here each takes its own slot, and
    /// the inputs are in the order of the branches.
    pub(crate) fn arrive_at(&mut self, join: StepIx, position: Position, task: TaskKey) {
        if let Some(joined) = self.frames.arrive(position, join, task) {
            self.enqueue(join, joined.outside, Inputs::Joined(joined.inputs));
        }
    }
}
