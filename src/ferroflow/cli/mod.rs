//! The command line. `ferroflow FLOW.py ARGS…` takes exactly the arguments of
//! `python FLOW.py ARGS…`, and `ferroflow -m MODULE ARGS…` those of `python -m MODULE ARGS…`;
//! everything else is a verb of Ferroflow's own.

mod dev;
mod doctor;
mod engine;
mod flow;
mod package;

use std::{ffi::OsString, io::IsTerminal, process::ExitCode};

use clap::{Parser, Subcommand};
use model::exit_code;

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
    start_tracing();
    let after_name = args.get(1..).unwrap_or_default();
    let outcome = if let Some((flow, rest)) = flow::Flow::leading(after_name) {
        flow::run(flow, rest)
    } else {
        match Cli::try_parse_from(args) {
            Ok(cli) => match cli.verb {
                Verb::Dev(args) => dev::run(args),
                Verb::Doctor(args) => doctor::run(&args),
                Verb::Engine(args) => engine::run(&args),
                Verb::Bootstrap => Ok(ExitCode::from(bootstrap::main() as u8)),
                Verb::Package => package::run(),
            },
            Err(error) => {
                let _ = error.print();
                return if error.use_stderr() {
                    ExitCode::from(exit_code::USAGE as u8)
                } else {
                    ExitCode::SUCCESS
                };
            }
        }
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("ferroflow: {error:#}");
        ExitCode::from(exit_code::FAILURE as u8)
    })
}

fn start_tracing() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("FERROFLOW_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("error"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
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
