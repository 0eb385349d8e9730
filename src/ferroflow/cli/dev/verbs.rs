//! The verbs of `ferroflow dev`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;

use super::{check_history, down, env, serve, status, up};

/// The embedded stack: AWS Batch, S3 and CloudWatch Logs on this machine, for flows without an AWS account.
///
/// Jobs are processes of this machine; their image is not used. The stack is in a folder, whose state survives a restart.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ferroflow dev up                          starts it
  eval \"$(ferroflow dev env)\"               lets any client in this shell use it
  ferroflow flow.py run --with batch
  ferroflow dev down                        stops it")]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Starts the stack, unless it is up
    #[command(after_help = UP)]
    Up(up::Args),
    /// Stops the stack and its jobs; what it has stored stays
    #[command(after_help = DOWN)]
    Down(down::Args),
    /// Tells whether the stack is up, and what its queues hold
    #[command(after_help = STATUS)]
    Status(status::Args),
    /// Prints shell commands that let any client use the stack
    #[command(after_help = ENV)]
    Env(env::Args),
    /// Holds what has happened on the stack against what a launch promises
    #[command(after_help = CHECK_HISTORY)]
    CheckHistory(check_history::Args),
    /// The stack itself; started by `up`.
    #[command(hide = true)]
    Serve(serve::Args),
}

const UP: &str = "\
Examples:
  ferroflow dev up
  ferroflow dev up --dir /tmp/stack --port 8500
  ferroflow dev up --foreground             until Ctrl-C

Exit codes: 0 when the stack is up, whoever started it; 1 when it could not be started.";

const DOWN: &str = "\
Exit codes: 0 when no stack is up any more; 1 when it does not end.";

const STATUS: &str = "\
Exit codes: 0 when the stack is up; 1 when it is down, or does not answer.";

const ENV: &str = "\
Examples:
  eval \"$(ferroflow dev env)\"
  eval \"$(ferroflow dev env --dir /tmp/stack)\"

Exit codes: 0; 1 when no stack is up.";

const CHECK_HISTORY: &str = "\
Examples:
  ferroflow dev check-history
  ferroflow dev check-history --max-workers 16 --failures train=3
  ferroflow dev check-history /tmp/stack/history.jsonl

Exit codes: 0 when every promise was kept; 1 when one was broken, each told in a line, or when there is no history.";

pub(crate) fn run(args: Args) -> Result<ExitCode> {
    match args.verb {
        Verb::Up(args) => up::run(args),
        Verb::Down(args) => down::run(&args),
        Verb::Status(args) => status::run(&args),
        Verb::Env(args) => env::run(&args),
        Verb::CheckHistory(args) => check_history::run(args),
        Verb::Serve(args) => serve::run(args),
    }
}
