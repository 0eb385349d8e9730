//! `ferroflow dev check-history`: holds a history against what a launch promises (docs/faults.md).

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use checker::{Expectations, Finding, History, LeaseTimes, Promise};
use localstack::Folder;

use super::folder::Dir;
use crate::cli::say;

const HINT: &str =
    "hint: it is history.jsonl in the folder of a stack; name that folder by --dir, or the file";

/// For the last jobs of a stack to end.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(100);

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The history [default: that of the stack]
    file: Option<PathBuf>,
    #[command(flatten)]
    dir: Dir,
    /// How many jobs there may be at a time: `--max-workers` of the runs
    #[arg(long, value_name = "N")]
    max_workers: Option<usize>,
    /// How often each task of a step fails by itself: 1 and its retries; may be given for several steps
    #[arg(long, value_name = "STEP=N", value_parser = failures)]
    failures: Vec<(String, usize)>,
    /// Seconds that a task may live on after AWS Batch called it dead
    #[arg(long, value_name = "SECONDS", default_value = "0", value_parser = seconds)]
    zombie: Duration,
    /// Seconds after which a launcher without a sign of life counts as gone
    #[arg(long, value_name = "SECONDS", default_value = "900", value_parser = seconds)]
    lapse: Duration,
}

pub(crate) fn run(args: Args) -> Result<ExitCode> {
    let expectations = Expectations {
        max_workers: args.max_workers,
        failures: args.failures.into_iter().collect(),
        zombie: args.zombie,
        lease: LeaseTimes {
            lapse: args.lapse,
            ..LeaseTimes::default()
        },
        ..Expectations::default()
    };
    let (history, findings) = match &args.file {
        Some(file) => checked(file, &expectations)?,
        None => of_stack(&args.dir.folder()?, &expectations)?,
    };
    for finding in &findings {
        say::line(format_args!("{finding}"))?;
    }
    if findings.is_empty() {
        let summary = history.summary();
        say::line(format_args!("every promise was kept: {summary}"))?;
        return Ok(ExitCode::SUCCESS);
    }
    Ok(ExitCode::FAILURE)
}

/// The history of a stack. While it is up, the last jobs may still be ending: a launcher need not wait until AWS Batch knows
/// of a success.
fn of_stack(folder: &Folder, expectations: &Expectations) -> Result<(History, Vec<Finding>)> {
    let limit = Instant::now() + PATIENCE;
    loop {
        let (history, findings) = checked(&folder.history(), expectations)?;
        let is_open = findings.iter().any(|f| f.promise == Promise::Terminal);
        if !is_open || folder.server()?.is_none() || Instant::now() > limit {
            return Ok((history, findings));
        }
        thread::sleep(PAUSE);
    }
}

fn checked(file: &Path, expectations: &Expectations) -> Result<(History, Vec<Finding>)> {
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) => bail!(
            "cannot read the history `{}`: {error}\n{HINT}",
            file.display()
        ),
    };
    let history = match History::parse(&text) {
        Ok(history) => history,
        Err(error) => bail!(
            "`{}` is no history of a stack: {error}\n{HINT}",
            file.display()
        ),
    };
    let findings = checker::check(&history, expectations);
    Ok((history, findings))
}

fn failures(text: &str) -> Result<(String, usize), String> {
    let (step, times) = text.split_once('=').ok_or("it is no STEP=N")?;
    let times = times.parse().map_err(|_| "N is no number".to_owned())?;
    Ok((step.to_owned(), times))
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "it is no number".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}
