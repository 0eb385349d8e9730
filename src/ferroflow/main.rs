//! `ferroflow`: runs unmodified Metaflow flows.

mod advice;
mod apart;
mod batch;
mod bootstraps;
mod cli;
mod disk;
mod doctor;
mod drive;
mod duration;
mod engine;
mod failpoint;
mod host_files;
mod interpreter;
mod metaflow_config;
mod report;
mod stored_run;
mod trouble;
mod why;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run(std::env::args_os().collect())
}
