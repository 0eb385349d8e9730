//! Attempts as processes of this machine: a fresh interpreter each.
//!
//! This is the place where a fork server will answer for attempts that may be forked; whatever
//! starts the process, its life is told by the same [`LocalEvent`]s.

mod attempt;
mod open_files;
mod platform;

pub use attempt::{LocalCompute, LocalEvent, Process, Spec};
