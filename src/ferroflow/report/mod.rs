//! What the user sees of a run.

mod console;
mod duration;
mod events;
mod failures;
mod last_lines;
mod live;
mod region;
mod step_lines;
mod task_log;

pub(crate) use console::{Console, Tone};
pub(crate) use duration::in_words;
pub(crate) use events::{Counts, Event, Events, FailedTasks, Of};
pub(crate) use failures::{Failure, Failures, in_groups};
pub(crate) use last_lines::LastLines;
pub(crate) use live::{FRAME, Stderr};
pub(crate) use step_lines::{InFlight, StepLines};
pub(crate) use task_log::{LogLine, TaskLog};
