//! Why a run fails, in upstream's words.

use std::fmt;

use model::{Attempt, StepName, TaskKey};
use serde::{Deserialize, Serialize};

/// What failed a run. The text is the message that upstream raises its exception with
/// (metaflow/runtime.py), so that the flow host can raise the same; some of upstream's end in a
/// space.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum RunFailure {
    /// A task failed and has no attempt left. Upstream gives no message here, only the name of
    /// the task: see [`RunFailure::body`].
    #[error("Step *{step}* failed.")]
    TaskFailed {
        /// The task.
        task: TaskKey,
        /// Its step.
        step: StepName,
    },
    /// A foreach is wider than `--max-num-splits`.
    #[error(
        "Foreach in step *{step}* yielded {splits} child steps which is more than the current \
         maximum of {max} children. You can raise the maximum with the --max-num-splits option. "
    )]
    TooManySplits {
        /// The task that splits.
        task: TaskKey,
        /// Its step.
        step: StepName,
        /// The width it asked for.
        splits: u64,
        /// The width allowed.
        max: u32,
    },
    /// The task went on to other steps than the source code says.
    #[error(
        "Based on static analysis of the code, step *{step}* was expected to transition to \
         step(s) *{}*. However, when the code was executed, self.next() was called with *{}*. \
         Make sure there is only one unconditional self.next() call in the end of your step. ",
        Names(expected),
        Names(actual)
    )]
    WrongTransition {
        /// The step.
        step: StepName,
        /// What the graph says.
        expected: Vec<StepName>,
        /// What the task said.
        actual: Vec<StepName>,
    },
    /// A switch has to choose one step.
    #[error(
        "Switch step *{step}* should transition to exactly one step at runtime, but got: {}",
        Names(actual)
    )]
    SwitchCount {
        /// The step.
        step: StepName,
        /// What the task said.
        actual: Vec<StepName>,
    },
    /// A switch chose a step that is not among its cases.
    #[error(
        "Switch step *{step}* transitioned to unexpected step *{actual}*. Expected one of: {}",
        Names(expected)
    )]
    SwitchTarget {
        /// The step.
        step: StepName,
        /// What the graph says.
        expected: Vec<StepName>,
        /// What the task chose.
        actual: StepName,
    },
    /// A join is named together with another step.
    #[error(
        "Step *{step}* transitions to a join and another step. The join must be the only \
         transition."
    )]
    JoinWithOther {
        /// The step.
        step: StepName,
    },
    /// A foreach names more than one step.
    #[error(
        "Step *{step}* makes a foreach split but it defines multiple transitions. Specify only \
         one transition for foreach."
    )]
    ForeachWithOther {
        /// The step.
        step: StepName,
    },
    /// The next attempt would have a number that readers of the datastore ignore.
    #[error("Too many task attempts ({attempts})! MAX_ATTEMPTS exceeded.")]
    TooManyAttempts {
        /// The task.
        task: TaskKey,
        /// How many attempts there were.
        attempts: u32,
    },
    /// An unbounded foreach. The flow host hands such flows back to upstream's own scheduler
    /// before a run gets here.
    #[error(
        "Step *{step}* makes an unbounded foreach, which Ferroflow leaves to Metaflow's own \
         scheduler; this run should have been handed back to it. This is a bug, please report it."
    )]
    UnboundedForeach {
        /// The step.
        step: StepName,
    },
    /// The task made a foreach where the source code has none, or the other way round.
    #[error(
        "Step *{step}* made {made} when the code was executed, but static analysis of the code \
         says otherwise. Make sure that self.next() is called with a constant 'foreach' argument.",
        made = if *.foreach { "a foreach split" } else { "no foreach split" }
    )]
    FanoutMismatch {
        /// The step.
        step: StepName,
        /// Whether the task made a foreach.
        foreach: bool,
    },
    /// The flow host raised an exception while it prepared an attempt; the host knows it.
    #[error("The flow host could not launch attempt {attempt} of step *{step}*.")]
    Host {
        /// The task.
        task: TaskKey,
        /// Its step.
        step: StepName,
        /// The attempt.
        attempt: Attempt,
    },
}

/// Which exception of upstream a [`RunFailure`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum FailureKind {
    /// `TaskFailed`: something in the user's code.
    TaskFailed,
    /// `MetaflowInternalError`.
    Internal,
    /// Whatever the flow host raised.
    Host,
}

impl RunFailure {
    /// Which exception of upstream this is.
    pub fn kind(&self) -> FailureKind {
        match self {
            Self::TaskFailed { .. } | Self::TooManySplits { .. } => FailureKind::TaskFailed,
            Self::Host { .. } => FailureKind::Host,
            _ => FailureKind::Internal,
        }
    }

    /// The task that the failure is about, where upstream's exception names one.
    pub fn task(&self) -> Option<TaskKey> {
        match self {
            Self::TaskFailed { task, .. }
            | Self::TooManySplits { task, .. }
            | Self::TooManyAttempts { task, .. }
            | Self::Host { task, .. } => Some(*task),
            _ => None,
        }
    }

    /// The whole text of upstream's exception, given the id that the metadata provider gave to
    /// [`RunFailure::task`]: `TaskFailed` puts the task in front of its message.
    pub fn body(&self, task_id: impl fmt::Display) -> String {
        match self {
            Self::TaskFailed { step, .. } => format!("Step *{step}* (task-id {task_id}) failed."),
            Self::TooManySplits { step, .. } => {
                format!("Step *{step}* (task-id {task_id}) failed: {self}")
            }
            other => other.to_string(),
        }
    }
}

/// Upstream's text for [`RunOutcome::EndNotReached`](crate::RunOutcome::EndNotReached).
pub fn end_not_reached(end: &StepName) -> String {
    format!("The terminal step *{end}* was not successful by the end of flow.")
}

/// Step names, separated by commas.
struct Names<'a>(&'a [StepName]);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, name) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            name.fmt(f)?;
        }
        Ok(())
    }
}
