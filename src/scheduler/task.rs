//! Tasks: everything that was ever launched.

use std::ops::{Index, IndexMut};

use model::{Attempt, StepName, TaskKey};

use crate::{Outcome, frames::Position, steps::StepIx};

/// One task. Tasks of a wide run are many, so this stays small.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) step: StepIx,
    pub(crate) position: Position,
    pub(crate) inputs: Inputs,
    pub(crate) state: TaskState,
    /// The attempt that runs, is about to run, or was the last.
    pub(crate) attempt: Attempt,
    /// How many attempts before it were lost with their infrastructure.
    pub(crate) lost: u32,
    /// Whether the one before it was, and this one is at no cost to `@retry`.
    pub(crate) free: bool,
}

/// Whose artifacts a task starts from.
#[derive(Debug)]
pub(crate) enum Inputs {
    /// Those of the `_parameters` task, which is not one of the scheduler's.
    Params,
    One(TaskKey),
    Joined(Box<[TaskKey]>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TaskState {
    /// The attempt is in flight.
    Launched,
    /// The attempt waits for a timer.
    Backoff,
    /// The attempt waits for a slot.
    Relaunch,
    /// The attempt was the last, and succeeded.
    Succeeded,
    /// The attempt did not succeed; the last one, unless it is about to be followed by another.
    Failed,
}

/// All tasks of a run, by their keys.
#[derive(Debug)]
pub(crate) struct Tasks(Vec<Task>);

impl TaskState {
    /// The state that an attempt leaves its task in.
    pub(crate) fn after(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Succeeded(_) => Self::Succeeded,
            Outcome::Failed(_) | Outcome::Lost { .. } => Self::Failed,
        }
    }
}

impl Inputs {
    pub(crate) fn keys(&self) -> &[TaskKey] {
        match self {
            Self::Params => &[],
            Self::One(key) => std::slice::from_ref(key),
            Self::Joined(keys) => keys,
        }
    }
}

impl Tasks {
    pub(crate) fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds a task whose first attempt is launched.
    pub(crate) fn add(&mut self, step: StepIx, position: Position, inputs: Inputs) -> TaskKey {
        let key = u32::try_from(self.0.len()).expect("2^32 tasks do not fit in memory");
        self.0.push(Task {
            step,
            position,
            inputs,
            state: TaskState::Launched,
            attempt: Attempt::default(),
            lost: 0,
            free: false,
        });
        TaskKey(key)
    }

    /// All of them, in the order in which they came into being.
    pub(crate) fn all(&self) -> impl Iterator<Item = (TaskKey, &Task)> {
        (0..).map(TaskKey).zip(&self.0)
    }

    /// Whether a task is in this state, with this attempt.
    pub(crate) fn has(&self, key: TaskKey, attempt: Attempt, state: TaskState) -> bool {
        self.0
            .get(key.0 as usize)
            .is_some_and(|task| task.attempt == attempt && task.state == state)
    }
}

impl Index<TaskKey> for Tasks {
    type Output = Task;

    fn index(&self, key: TaskKey) -> &Task {
        &self.0[key.0 as usize]
    }
}

impl IndexMut<TaskKey> for Tasks {
    fn index_mut(&mut self, key: TaskKey) -> &mut Task {
        &mut self.0[key.0 as usize]
    }
}

/// What there is to know about a task in order to launch it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskView<'a> {
    /// Its step.
    pub step: &'a StepName,
    /// `--split-index`: its item, if the step before it is a foreach split.
    pub split_index: Option<u64>,
    /// `--input-paths`: the tasks whose artifacts it starts from. None for the first task of a
    /// run, whose input is the `_parameters` task. A join has them in the order of the split's
    /// branches, or of the foreach's items.
    pub inputs: &'a [TaskKey],
    /// `--retry-count`: the attempt that runs, is about to run, or was the last.
    pub attempt: Attempt,
    /// `--max-user-code-retries`: retries of `@retry`, and one more for each attempt lost with
    /// its infrastructure, so that `@retry` and `@catch` see what they would have seen.
    pub max_user_code_retries: u32,
    /// Whether the attempt only repeats one that was lost with its infrastructure: no retry, and
    /// launched without a wait.
    pub free: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_is_small() {
        assert!(size_of::<Task>() <= 56, "{}", size_of::<Task>());
    }
}
