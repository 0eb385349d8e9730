//! What the user sees of a run.

mod console;
mod duration;
mod live;
mod region;
mod step_lines;
mod task_log;

pub(crate) use console::{Console, Tone};
pub(crate) use duration::in_words;
pub(crate) use live::{FRAME, Stderr};
pub(crate) use step_lines::StepLines;
pub(crate) use task_log::{LogLine, TaskLog};
