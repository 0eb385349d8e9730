//! What a finished task says about what comes next.

use serde::{Deserialize, Serialize};

use crate::StepName;

/// The `_transition` of a successful task, with the width of its foreach.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transition {
    /// The steps that `self.next` named; empty at the end step.
    pub next: Vec<StepName>,
    /// Whether the one next step runs once or once per item.
    pub fanout: Fanout,
}

/// How often the next step runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fanout {
    /// Each next step runs once.
    One,
    /// The next step runs `splits` times (`_foreach_num_splits`).
    Foreach {
        /// Number of children.
        splits: u64,
    },
    /// An unbounded foreach: the number of children is not known to the scheduler.
    Unbounded,
}
