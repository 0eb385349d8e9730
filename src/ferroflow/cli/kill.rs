//! `ferroflow kill`: ends what is left of a run, from anywhere. Rules: docs/launch-protocol.md, "Ending a run from elsewhere".

use std::process::ExitCode;

use anyhow::{Result, bail};
use aws::batch::BatchErrorKind;
use model::{
    batch::JobStatus,
    plan::S3Settings,
    run_record::{RunRecord, RunState},
};

use super::{
    say,
    status::place::{self, Choice, Place},
};
use crate::stored_run::{
    Cancelled, Ending, FoundLease, Holder, Left, StoredRun, Unfound, block_on, end, holder, named,
    region_of,
};

/// Named at most in an error.
const NAMED: usize = 10;

/// Ends a run on AWS Batch, whoever drives it: no task starts any more, and all its jobs are terminated
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ferroflow kill MyFlow/1795629404190365
  ferroflow jobs --orphans                  which runs have jobs that nobody waits for

Works from any machine that has the run's datastore settings. Jobs are found by what the run's launcher wrote down, and only \
those are touched. A launcher that is alive ends by itself.

Exit codes: 0 when nothing of the run is left; 1 when a job has not ended in time, could not be found, or the run is not \
there; 2 for a wrong command line.")]
pub(crate) struct Args {
    /// The run: MyFlow/1795629404190365
    #[arg(value_name = "FLOW/RUN")]
    run: String,
    #[command(flatten)]
    place: Choice,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let (flow, run) = named(&args.run)?;
    let place = args.place.find()?;
    let Place::S3 { root, s3 } = &place else {
        bail!(
            "{place} is on disk, and its runs have no jobs on AWS Batch to end\nhint: Ctrl-C ends a run where it was started; --datastore s3 names the other datastore"
        );
    };
    block_on(async {
        let store = place::open(root, s3).await?;
        let run = StoredRun { store, flow, run };
        if run.last_writer().await?.is_none() {
            return without_jobs(&run, run.record().await?, &place);
        }
        end_run(&run, s3).await
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Ends the run, and says what was done. An error where something of it is left.
pub(super) async fn end_run(run: &StoredRun, s3: &S3Settings) -> Result<()> {
    // First, so that nothing starts while the rest is being ended.
    let cancelled = run.cancel().await?;
    if let Cancelled::Now(lease) = &cancelled
        && let Some(text) = of_launcher(lease)
    {
        say::line(text)?;
    }
    let definition = run.first_definition().await?;
    let region = definition.and_then(|definition| region_of(&definition));
    let client = place::batch_in(region, s3).await?;
    let ending = end(run, &client).await?;
    if !matches!(cancelled, Cancelled::Finished) {
        run.record_interruption().await?;
    }
    say::line(format_args!("Run {run}: {}.", in_words(&ending)))?;
    what_is_left(run, &ending)
}

fn without_jobs(run: &StoredRun, record: Option<RunRecord>, place: &Place) -> Result<()> {
    let Some(RunRecord {
        state, launcher, ..
    }) = record
    else {
        bail!(
            "there is no run {run} in {place}\nhint: `ferroflow status {}` lists its runs; --datastore-root names another datastore",
            run.flow
        );
    };
    if state == RunState::Running {
        bail!(
            "run {run} has no job on AWS Batch, and its launcher (process {} on {}) has not told of an end\nhint: end that process: its tasks end with it",
            launcher.pid,
            launcher.host
        );
    }
    say::line(format_args!(
        "Run {run} has ended ({}), and had no job on AWS Batch.",
        state.as_str()
    ))
}

/// About a launcher that may be alive.
fn of_launcher(FoundLease { lease, age, .. }: &FoundLease) -> Option<String> {
    match holder(lease, *age) {
        Holder::Gone | Holder::Silent { .. } => None,
        Holder::Here | Holder::Heard { .. } | Holder::Untold => Some(format!(
            "The launcher (process {} on {}) notices within {} s that its run was cancelled, and ends.",
            lease.pid, lease.host, lease.interval_seconds
        )),
    }
}

fn in_words(ending: &Ending) -> String {
    match (ending.ended, ending.had_ended) {
        (0, 0) => "there was no job to end".to_owned(),
        (0, before) => format!("there was no job to end; {} had ended", jobs(before)),
        (ended, 0) => format!("{} ended", jobs(ended)),
        (ended, before) => format!("{} ended, {before} had ended before", jobs(ended)),
    }
}

fn jobs(count: usize) -> String {
    match count {
        1 => "1 job".to_owned(),
        _ => format!("{count} jobs"),
    }
}

/// An error that names it.
fn what_is_left(run: &StoredRun, ending: &Ending) -> Result<()> {
    let Ending { left, unfound, .. } = ending;
    if left.is_empty() && unfound.is_empty() {
        return Ok(());
    }
    let mut lines = Vec::new();
    if !left.is_empty() {
        lines.push(format!("not ended: {} of run {run}", jobs(left.len())));
        lines.extend(left.iter().take(NAMED).map(of_left));
    }
    if !unfound.is_empty() {
        lines.push(format!("not found: {} of run {run}", jobs(unfound.len())));
        lines.extend(unfound.iter().take(NAMED).map(of_unfound));
    }
    let may_not_end = |left: &Left| {
        let problem = left.problem.as_ref();
        problem.is_some_and(|error| error.kind == BatchErrorKind::AccessDenied)
    };
    let hint = if left.iter().any(may_not_end) {
        "the credentials need batch:TerminateJob"
    } else if left.is_empty() {
        "what was not found starts no task any more; with batch:ListJobs it is found by its name: allow that and run the command again, or end it in the console"
    } else {
        "AWS Batch was told to end them, and takes its time: run the command again"
    };
    bail!("{}\nhint: {hint}", lines.join("\n"))
}

fn of_left(left: &Left) -> String {
    let status = left.status.as_ref().map_or("not shown", JobStatus::as_str);
    let problem = left.problem.as_ref();
    let problem = problem.map_or_else(String::new, |error| format!("; {error}"));
    format!("  {} ({}): {status}{problem}", left.job, left.tasks)
}

fn of_unfound(unfound: &Unfound) -> String {
    let Unfound {
        name,
        queue,
        tasks,
        why,
    } = unfound;
    format!("  {name} ({tasks}) in the queue {queue}: {why}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_is_said_in_words() {
        let of = |ended, had_ended| {
            in_words(&Ending {
                ended,
                had_ended,
                ..Ending::default()
            })
        };
        assert_eq!(of(0, 0), "there was no job to end");
        assert_eq!(of(1, 0), "1 job ended");
        assert_eq!(of(2, 1), "2 jobs ended, 1 had ended before");
        assert_eq!(of(0, 1), "there was no job to end; 1 job had ended");
    }
}
