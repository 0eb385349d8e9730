//! The command line. `ferroflow FLOW.py ARGS…` takes exactly the arguments of
//! `python FLOW.py ARGS…`, and `ferroflow -m MODULE ARGS…` those of `python -m MODULE ARGS…`;
//! everything else is a verb of Ferroflow's own. What stands before a flow is Ferroflow's, what
//! follows it Metaflow's.

mod attach;
mod completions;
mod dev;
mod doctor;
mod engine;
mod events;
mod flow;
#[cfg(test)]
mod help;
mod jobs;
mod kill;
mod package;
mod report;
mod say;
mod status;
mod verbose;
mod version;
mod why;

use std::{
    ffi::{OsStr, OsString},
    io::{IsTerminal, Write},
    process::ExitCode,
};

use anyhow::{Result, anyhow};
use clap::{
    CommandFactory, FromArgMatches, Parser, Subcommand,
    error::{ContextKind, ErrorKind},
};
use model::exit_code;
use tracing_subscriber::EnvFilter;

use crate::{advice, report::Stderr};

/// Runs unmodified Metaflow flows, locally and on AWS Batch.
///
/// `ferroflow FLOW.py ARGS…` is `python FLOW.py ARGS…`, with the run in Ferroflow's hands.
/// So is `ferroflow -m MODULE ARGS…`.
#[derive(Debug, Parser)]
#[command(
    name = "ferroflow",
    version,
    arg_required_else_help = true,
    override_usage = "ferroflow [-v] [--json] FLOW.py ARGS…\n       ferroflow [-v] [--json] -m MODULE ARGS…\n       ferroflow [-v] COMMAND",
    after_help = AFTER_HELP,
)]
struct Cli {
    #[command(flatten)]
    front: Front,
    #[command(subcommand)]
    verb: Verb,
}

/// What may stand in front of a flow.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, clap::Args)]
pub(crate) struct Front {
    /// Tells on standard error what is run: interpreter, program, extension, datastore; and what the engine does
    #[arg(short, long)]
    verbose: bool,
    /// Before a flow that is run: events on standard output, one JSON object per line; all else on standard error
    #[arg(long)]
    json: bool,
}

impl Front {
    /// The options that arguments begin with, and the rest.
    fn leading(args: &[OsString]) -> (Self, &[OsString]) {
        let (mut front, mut rest) = (Self::default(), args);
        while let Some((first, after)) = rest.split_first() {
            match first.to_str() {
                Some("-v" | "--verbose") => front.verbose = true,
                Some("--json") => front.json = true,
                _ => break,
            }
            rest = after;
        }
        (front, rest)
    }
}

const AFTER_HELP: &str = "\
Examples:
  ferroflow flow.py run                     every option and command of the flow is Metaflow's
  ferroflow flow.py run --with batch        on AWS Batch, or on the embedded stack
  ferroflow -v flow.py run                  the same, and what it is run with
  ferroflow --json flow.py run              events for programs
  ferroflow -m package.flow run             a flow that Python finds as a module
  ferroflow status                          how the latest runs stand
  ferroflow why MyFlow/1795629404190365     why its jobs are not running

Exit codes: those of Metaflow for a flow. Else 0; 1 for a failure; 2 for a wrong command line.

Variables:
  FERROFLOW=off|require      leaves all runs to Metaflow; makes it an error to leave one
  FERROFLOW_PYTHON           the interpreter for flows
  FERROFLOW_FORK=off         tasks on this machine get fresh interpreters
  FERROFLOW_PROGRESS=off     no lines about steps below the log on a terminal
  FERROFLOW_OOM_RETRIES=N    a task that ran out of memory goes out again with more, N times
  FERROFLOW_USAGE=off        what tasks used is not put into their metadata
  FERROFLOW_DEV              auto, always or never: when the embedded stack starts by itself
  FERROFLOW_LEASE            how long jobs go on without their launcher: 24h, or off
  FERROFLOW_WHY_AFTER        time in RUNNABLE after which a run says why jobs wait, or off
  FERROFLOW_JSON=1           as --json
  FERROFLOW_LOG              what the engine tells of itself, e.g. info
  NO_COLOR                   no colours";

#[derive(Debug, Subcommand)]
enum Verb {
    Status(status::Args),
    Attach(attach::Args),
    Kill(kill::Args),
    Jobs(jobs::Args),
    Why(why::Args),
    Report(report::Args),
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
    Completions(completions::Args),
}

/// Runs a command line; the result is the exit code of the process.
pub(crate) fn run(args: Vec<OsString>) -> ExitCode {
    let first = args.get(1);
    let (front, rest) = Front::leading(args.get(1..).unwrap_or_default());
    let outcome = match flow::Flow::leading(rest) {
        Some((flow, arguments)) => {
            start_tracing(front.verbose).and_then(|()| flow::run(flow, arguments, front))
        }
        None => match parse(&args) {
            Ok(cli) => start_tracing(cli.front.verbose).and_then(|()| run_verb(cli.verb)),
            Err(error) => return not_parsed(&error, first.map(OsString::as_os_str)),
        },
    };
    outcome.unwrap_or_else(|error| failed(&error))
}

fn parse(args: &[OsString]) -> Result<Cli, clap::Error> {
    let mut command = Cli::command();
    // Looks for files, which other command lines need not wait for.
    if args.iter().any(|arg| arg == "--version") {
        command = command.long_version(version::facts());
    }
    let cli = Cli::from_arg_matches(&command.try_get_matches_from_mut(args)?)?;
    if cli.front.json {
        let text = "--json before a command that is not a flow; what a command prints as JSON its own --json says";
        return Err(command.error(ErrorKind::ArgumentConflict, text));
    }
    Ok(cli)
}

fn run_verb(verb: Verb) -> Result<ExitCode> {
    match verb {
        Verb::Status(args) => status::run(&args),
        Verb::Attach(args) => attach::run(&args),
        Verb::Kill(args) => kill::run(&args),
        Verb::Jobs(args) => jobs::run(&args),
        Verb::Why(args) => why::run(&args),
        Verb::Report(args) => report::run(&args),
        Verb::Dev(args) => dev::run(args),
        Verb::Doctor(args) => doctor::run(&args),
        Verb::Engine(args) => engine::run(&args),
        Verb::Bootstrap => Ok(ExitCode::from(bootstrap::main() as u8)),
        Verb::Package => package::run(),
        Verb::Completions(args) => completions::run(&args),
    }
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

/// What FERROFLOW_LOG asks for; without it errors alone, or what `-v` shows.
fn start_tracing(is_verbose: bool) -> Result<()> {
    let asked = std::env::var_os("FERROFLOW_LOG").filter(|text| !text.is_empty());
    let asked = asked.as_deref().map(OsStr::to_string_lossy);
    let usual = if is_verbose { verbose::LEVEL } else { "error" };
    let filter = EnvFilter::try_new(asked.as_deref().unwrap_or(usual)).map_err(|error| {
        let asked = asked.unwrap_or_default();
        anyhow!(
            "FERROFLOW_LOG is `{asked}`: {error}\nhint: use error, warn, info, debug or trace, or such words for parts of the program: info,aws=debug"
        )
    })?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| Stderr)
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
    use super::*;

    #[test]
    fn the_command_tree_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn options_before_a_flow_come_in_any_order() {
        let leading = |line: &str| {
            let args: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            let (front, rest) = Front::leading(&args);
            (front.verbose, front.json, rest.to_vec())
        };
        let flow = || vec![OsString::from("flow.py"), OsString::from("--json")];
        assert_eq!(leading("flow.py --json"), (false, false, flow()));
        assert_eq!(leading("-v flow.py --json"), (true, false, flow()));
        assert_eq!(
            leading("--json --verbose flow.py --json"),
            (true, true, flow())
        );
    }

    #[test]
    fn events_are_a_flows() {
        let args: Vec<OsString> = ["ferroflow", "--json", "status"].map(OsString::from).into();
        let error = parse(&args).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ArgumentConflict);
    }
}
