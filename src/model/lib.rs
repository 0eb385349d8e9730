//! Vocabulary of Ferroflow: ids, the plan of a run, task outcomes, the layout of
//! Metaflow's datastore and the codecs that read what Metaflow writes.
//!
//! Nothing here does I/O, reads a clock or draws a random number; every other
//! crate may use it.

pub mod array_spec;
mod base64;
pub mod batch;
pub mod exit_code;
pub mod failure;
pub mod graph;
pub mod ids;
pub mod input_paths;
pub mod launch_record;
pub mod layout;
pub mod lease;
pub mod mflog;
pub mod opening;
pub mod pickle;
pub mod plan;
pub mod proxies;
pub mod run_record;
pub mod spec;
pub mod task_metadata;
pub mod transition;
pub mod waiting;

pub use graph::{Graph, Node, NodeKind};
pub use ids::{Attempt, FlowName, RunId, StepName, TaskId, TaskKey, TaskPath, Timestamp};
pub use plan::{Plan, StepPlan};
pub use transition::{Fanout, Transition};
