//! `ferroflow engine --fd N`: the scheduler of one run, which the flow host starts.

use std::{os::fd::RawFd, process::ExitCode};

use anyhow::Result;

use crate::engine;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Number of the inherited socket to the flow host.
    #[arg(long)]
    fd: RawFd,

    /// Number of the inherited socket to the process that forks tasks.
    #[arg(long)]
    fork_fd: Option<RawFd>,

    /// Number of the inherited stream for events.
    #[arg(long)]
    events_fd: Option<RawFd>,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    engine::run(args.fd, args.fork_fd, args.events_fd)
}
