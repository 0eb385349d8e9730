//! Jobs as processes: how they start, what they are given, how they are watched and ended.

mod environment;
mod interpreter;
mod memory;
mod platform;
mod start;
mod starter;
mod table;
mod watched;

pub(super) use interpreter::Interpreters;
pub(super) use memory::MemoryWatch;
pub(super) use platform::machine;
pub(super) use start::{StartError, start};
pub(super) use starter::Starter;
pub(super) use table::sweep;
pub(super) use watched::{Ended, Job, Killed};
