//! The verbs of `ferroflow dev`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;

use super::{down, env, serve, status, up};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Starts the stack, unless it is up.
    Up(up::Args),
    /// Stops the stack and its jobs. What it has stored stays.
    Down(down::Args),
    /// Tells whether the stack is up, and what its queues hold. Exits with 1 when it is down.
    Status(status::Args),
    /// Prints shell commands that let any client use the stack: eval "$(ferroflow dev env)".
    Env(env::Args),
    /// The stack itself; started by `up`.
    #[command(hide = true)]
    Serve(serve::Args),
}

pub(crate) fn run(args: Args) -> Result<ExitCode> {
    match args.verb {
        Verb::Up(args) => up::run(args),
        Verb::Down(args) => down::run(&args),
        Verb::Status(args) => status::run(&args),
        Verb::Env(args) => env::run(&args),
        Verb::Serve(args) => serve::run(args),
    }
}
