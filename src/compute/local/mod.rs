//! Attempts as processes of this machine: forked by the run's fork server where that will do, else a fresh interpreter
//! each. Whatever starts the process, its life is told by the same [`LocalEvent`]s.

mod attempt;
mod fork_server;
mod open_files;
mod platform;

pub use attempt::{LocalCompute, LocalEvent, Process, Spec};
pub use fork_server::ForkServer;
