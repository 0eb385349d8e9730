//! Runs one task inside a container.
//!
//! The launcher leaves a spec in the datastore and names it in the job's environment; this crate
//! reads it, claims the launch, unpacks the code, runs the step, keeps its logs in the datastore
//! and says at last how it ended. The order of these acts is in [`run`](run::run). It does not
//! decide anything about retries and never talks to AWS Batch.
//!
//! [`main`] is the whole program, called by `ferroflow bootstrap`; [`entrypoint`] is that of the
//! `ferroflow-bootstrap` binary, which may also be the ENTRYPOINT of an image.

mod bytecode;
mod capture;
mod claim;
mod clock;
mod command;
mod console;
mod credentials;
mod entrypoint;
mod environment;
mod extract;
mod failure;
mod files;
mod gpu;
mod http;
mod install;
mod interpreter;
mod interrupts;
mod lease;
mod log;
mod lookout;
mod metadata;
mod order;
mod outcome;
mod package;
mod platform;
mod process;
mod program;
mod retry;
mod run;
mod s3;
mod s3_address;
mod s3_error;
mod settings;
mod sigv4;
mod spec_pointer;
mod store;
mod stub;
mod task_environment;
mod upload;
mod usage;
mod work_dir;

pub use console::Console;
pub use entrypoint::entrypoint;
pub use environment::Environment;
pub use extract::{ExtractError, extract};
pub use interrupts::Interrupts;
pub use program::main;
pub use run::{Container, run};
pub use settings::Settings;
pub use stub::{ENTRY_COMMAND, STUB, variable};
