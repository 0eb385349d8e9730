//! What the user sees of a run.

mod console;
mod task_log;

pub(crate) use console::{Console, Tone};
pub(crate) use task_log::{LogLine, TaskLog};
