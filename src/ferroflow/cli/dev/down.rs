//! `ferroflow dev down`: stops the stack and waits until it has ended.

use std::{
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use nix::{
    errno::Errno,
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::folder::Dir;
use crate::cli::say;

/// For jobs to end; Batch gives them 30 seconds after SIGTERM.
const PATIENCE: Duration = Duration::from_secs(45);
const PAUSE: Duration = Duration::from_millis(10);

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    dir: Dir,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let folder = args.dir.folder()?;
    let Some(server) = folder.server()? else {
        say::line(format_args!(
            "the stack in {} is not up",
            folder.path().display()
        ))?;
        return Ok(ExitCode::SUCCESS);
    };
    match kill(Pid::from_raw(server), Signal::SIGTERM) {
        Ok(()) | Err(Errno::ESRCH) => {}
        Err(error) => {
            return Err(error).with_context(|| format!("cannot stop process {server}"));
        }
    }
    let limit = Instant::now() + PATIENCE;
    while folder.server()? == Some(server) {
        if Instant::now() > limit {
            bail!(
                "process {server} does not end\nhint: its log is `{}`",
                folder.log().display()
            );
        }
        thread::sleep(PAUSE);
    }
    say::line(format_args!(
        "the stack in {} has stopped",
        folder.path().display()
    ))?;
    Ok(ExitCode::SUCCESS)
}
