//! `ferroflow doctor`.

use std::process::ExitCode;

use anyhow::{Context, Result};
use model::exit_code;

use super::say;
use crate::doctor;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print JSON: `values` and `findings`.
    #[arg(long)]
    json: bool,
}

/// Exits with 1 when there is a problem.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start an event loop")?;
    let report = runtime.block_on(doctor::examine());
    // A question that nobody answers must not keep the program.
    runtime.shutdown_background();
    if args.json {
        say::line(serde_json::to_string_pretty(&report)?)?;
    } else {
        say::line(report.text())?;
    }
    let code = if report.problems() == 0 {
        0
    } else {
        exit_code::FAILURE
    };
    Ok(ExitCode::from(code as u8))
}
