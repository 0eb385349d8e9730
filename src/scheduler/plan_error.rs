//! Why a plan cannot be run.

use model::StepName;

/// What is wrong with a plan. Upstream's linter refuses such flows before they get here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The graph names a step that it does not have.
    #[error("the graph names step `{step}`, which is not among its steps")]
    UnknownStep {
        /// The name.
        step: StepName,
    },
    /// The graph has two steps of one name.
    #[error("the graph has two steps named `{step}`")]
    DuplicateStep {
        /// The name.
        step: StepName,
    },
    /// The plan does not say what a step's decorators decided.
    #[error("the plan has nothing about the decorators of step `{step}`")]
    NoStepPlan {
        /// The step.
        step: StepName,
    },
    /// A join without a split to join.
    #[error("step `{step}` joins, but no split leads to it")]
    JoinWithoutSplit {
        /// The join.
        step: StepName,
    },
    /// A foreach that leads straight to a join.
    #[error("no step lies between the foreach of step `{step}` and its join")]
    EmptyForeach {
        /// The step that splits.
        step: StepName,
    },
    /// Two paths to one step have opened a different number of splits.
    #[error("step `{to}` is not inside the splits that are open after step `{from}`")]
    Unbalanced {
        /// A step.
        from: StepName,
        /// A successor of it.
        to: StepName,
    },
    /// The first or the last step lies inside a split.
    #[error("step `{step}`, an end of the flow, lies inside a split")]
    SplitAtEnds {
        /// The step.
        step: StepName,
    },
    /// `--max-workers` is zero.
    #[error("no task can ever start: the maximum number of workers is zero")]
    NoWorkers,
}
