//! The command line. `ferroflow FLOW.py ARGS…` takes exactly the arguments of
//! `python FLOW.py ARGS…`, and `ferroflow -m MODULE ARGS…` those of `python -m MODULE ARGS…`;
//! everything else is a verb of Ferroflow's own.

mod dev;
mod doctor;
mod engine;
mod flow;
mod package;
mod say;
mod status;

use std::{
    ffi::{OsStr, OsString},
    io::{IsTerminal, Write},
    process::ExitCode,
};

use anyhow::{Result, anyhow};
use clap::{Parser, Subcommand, error::ContextKind};
use model::exit_code;
use tracing_subscriber::EnvFilter;

use crate::{advice, report};

/// Runs unmodified Metaflow flows, locally and on AWS Batch.
///
/// `ferroflow FLOW.py ARGS…` is `python FLOW.py ARGS…`, with the run in Ferroflow's hands;
/// `ferroflow -m MODULE ARGS…` is `python -m MODULE ARGS…`.
#[derive(Debug, Parser)]
#[command(name = "ferroflow", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Status(status::Args),
    /// The embedded stack: Batch and S3 on this machine, for flows without an AWS account.
    Dev(dev::Args),
    /// Shows the values that decide about runs, where they come from, and what is wrong with them.
    Doctor(doctor::Args),
    /// The scheduler of one run; started by the flow host.
    #[command(hide = true)]
    Engine(engine::Args),
    /// Runs one task of a Batch job that is a process of this machine.
    #[command(hide = true)]
    Bootstrap,
    /// Makes a code package; started by the flow host.
    #[command(hide = true)]
    Package,
}

/// Runs a command line; the result is the exit code of the process.
pub(crate) fn run(args: Vec<OsString>) -> ExitCode {
    if let Err(error) = start_tracing() {
        return failed(&error);
    }
    let after_name = args.get(1..).unwrap_or_default();
    let first = after_name.first().cloned();
    let outcome = if let Some((flow, rest)) = flow::Flow::leading(after_name) {
        flow::run(flow, rest)
    } else {
        match Cli::try_parse_from(args) {
            Ok(cli) => match cli.verb {
                Verb::Status(args) => status::run(&args),
                Verb::Dev(args) => dev::run(args),
                Verb::Doctor(args) => doctor::run(&args),
                Verb::Engine(args) => engine::run(&args),
                Verb::Bootstrap => Ok(ExitCode::from(bootstrap::main() as u8)),
                Verb::Package => package::run(),
            },
            Err(error) => return not_parsed(&error, first.as_deref()),
        }
    };
    outcome.unwrap_or_else(|error| failed(&error))
}

fn failed(error: &anyhow::Error) -> ExitCode {
    complain(&format!("ferroflow: {}", advice::explained(error)));
    ExitCode::from(exit_code::FAILURE as u8)
}

/// Help and version, or what is wrong with the command line, which begins with `first`.
fn not_parsed(error: &clap::Error, first: Option<&OsStr>) -> ExitCode {
    let printed = error.print();
    if error.use_stderr() {
        let wrong = error.get(ContextKind::InvalidSubcommand);
        if wrong.is_some_and(|wrong| first.is_some_and(|first| *wrong.to_string() == *first)) {
            complain("hint: the name of a flow's file ends in .py: ferroflow flow.py run");
        }
        return ExitCode::from(exit_code::USAGE as u8);
    }
    match printed {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&say::cannot(error)),
    }
}

/// A line on standard error; where nobody can be told, the exit code must do.
fn complain(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// What FERROFLOW_LOG asks for; errors alone without it.
fn start_tracing() -> Result<()> {
    let asked = std::env::var_os("FERROFLOW_LOG").filter(|text| !text.is_empty());
    let asked = asked.as_deref().map(OsStr::to_string_lossy);
    let filter = EnvFilter::try_new(asked.as_deref().unwrap_or("error")).map_err(|error| {
        let asked = asked.unwrap_or_default();
        anyhow!(
            "FERROFLOW_LOG is `{asked}`: {error}\nhint: use error, warn, info, debug or trace, or such words for parts of the program: info,aws=debug"
        )
    })?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| report::Stderr)
        .with_ansi(std::io::stderr().is_terminal() && !has_no_color())
        .init();
    Ok(())
}

/// <https://no-color.org>
fn has_no_color() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_tree_is_sound() {
        Cli::command().debug_assert();
    }
}
