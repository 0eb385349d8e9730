//! `ferroflow jobs`: the jobs of runs that have not ended, as launch chains and AWS Batch tell. Only runs of this datastore are
//! looked at, and never all jobs of an account.

mod runs;
mod show;

use std::{collections::HashMap, process::ExitCode};

use anyhow::{Context, Result, bail};
use aws::batch::Client;
use model::plan::S3Settings;

use self::runs::{Standing, open_jobs, standing, worth_a_look};
use super::{
    kill::end_run,
    say,
    status::place::{self, Choice, Place},
};
use crate::{
    advice,
    engine::host_name,
    stored_run::{StoredRun, block_on, named, region_of},
};

/// Lists jobs on AWS Batch that have not ended, of the runs in the datastore
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ferroflow jobs                            of all runs that have not told of an end
  ferroflow jobs MyFlow/1795629404190365    of one run
  ferroflow jobs --orphans                  of runs that no launcher drives any more
  ferroflow jobs --mine --orphans --reap    ends those of runs that were started on this machine

Of an array job its tasks are counted. A run whose launcher has died may be gone on with: `ferroflow attach RUN`.

Exit codes: 0, whether there are such jobs or not; 1 when a run is not there, AWS cannot be asked, or a job could not be ended; \
2 for a wrong command line.")]
pub(crate) struct Args {
    /// One run: MyFlow/1795629404190365
    #[arg(value_name = "FLOW/RUN")]
    run: Option<String>,
    /// Only runs whose launcher is, or was, on this machine
    #[arg(long)]
    mine: bool,
    /// Only runs that nobody drives: cancelled, ended, or with a launcher that is gone
    #[arg(long)]
    orphans: bool,
    /// Ends what --orphans lists, as `ferroflow kill` does
    #[arg(long, requires = "orphans")]
    reap: bool,
    /// Prints JSON: a list of jobs
    #[arg(long, conflicts_with = "reap")]
    json: bool,
    #[command(flatten)]
    place: Choice,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let wanted = args.run.as_deref().map(named).transpose()?;
    let place = args.place.find()?;
    let Place::S3 { root, s3 } = &place else {
        bail!(
            "{place} is on disk, and its runs have no jobs on AWS Batch\nhint: `ferroflow status` tells how its runs stand; --datastore s3 names the other datastore"
        );
    };
    block_on(async {
        let store = place::open(root, s3).await?;
        let standings = match wanted {
            Some((flow, run)) => {
                let run = StoredRun { store, flow, run };
                let found = standing(&run).await?;
                vec![found.with_context(|| {
                    format!("there is no run {run} in {place}\nhint: `ferroflow status {}` lists its runs; --datastore-root names another datastore", run.flow)
                })?]
            }
            None => worth_a_look(&store).await?,
        };
        let here = host_name();
        let chosen: Vec<_> = standings
            .into_iter()
            .filter(|it| !args.mine || it.host.as_deref() == Some(&here))
            .filter(|it| !args.orphans || it.orphan.is_some())
            .collect();
        if args.reap {
            reap(&chosen, s3).await
        } else {
            list(&chosen, s3, args.json).await
        }
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Clients by their regions: each has budgets of its own.
#[derive(Default)]
struct Clients(HashMap<Option<String>, Client>);

impl Clients {
    /// None for a run without jobs.
    async fn of(&mut self, run: &StoredRun, s3: &S3Settings) -> Result<Option<Client>> {
        let Some(definition) = run.first_definition().await? else {
            return Ok(None);
        };
        let region = region_of(&definition);
        if let Some(client) = self.0.get(&region) {
            return Ok(Some(client.clone()));
        }
        let client = place::batch_in(region.clone(), s3).await?;
        self.0.insert(region, client.clone());
        Ok(Some(client))
    }
}

async fn list(chosen: &[Standing], s3: &S3Settings, json: bool) -> Result<()> {
    let mut clients = Clients::default();
    let mut jobs = Vec::new();
    for standing in chosen {
        if let Some(client) = clients.of(&standing.run, s3).await? {
            jobs.extend(open_jobs(standing, &client).await?);
        }
    }
    if json {
        say::text(&format!("{}\n", show::json(&jobs)?))
    } else {
        say::text(&show::table(&jobs))
    }
}

/// One run after the other: each says what was ended.
async fn reap(chosen: &[Standing], s3: &S3Settings) -> Result<()> {
    let mut clients = Clients::default();
    let mut reaped = 0;
    let mut failed = Vec::new();
    for standing in chosen {
        let Standing { run, orphan, .. } = standing;
        let Some(client) = clients.of(run, s3).await? else {
            continue;
        };
        if let Some(orphan) = orphan
            && !open_jobs(standing, &client).await?.is_empty()
        {
            reaped += 1;
            say::line(format_args!("Run {run}: {orphan}."))?;
            let ended = end_run(run, s3).await;
            failed.extend(ended.err().map(|error| advice::explained(&error)));
        }
    }
    if reaped == 0 {
        say::line("no jobs")?;
    }
    if failed.is_empty() {
        return Ok(());
    }
    bail!(failed.join("\n"))
}
