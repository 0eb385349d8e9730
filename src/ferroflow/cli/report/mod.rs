//! `ferroflow report FLOW/RUN`: what the tasks of a run asked for and what they used, from the datastore alone: the run's
//! record, its launch chain, and what containers said at their ends (docs/report.md).

mod document;
mod read;
mod show;
mod tally;

use std::{process::ExitCode, sync::Arc};

use anyhow::{Result, bail};
use datastore::ObjectStore;

use self::{document::Report, tally::Tally};
use super::{
    say,
    status::{
        place::{self, Place},
        runs::{Pathspec, Runs},
    },
};

/// Tells what the tasks of a run asked for, and what they used: by step, on AWS Batch
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ferroflow report MyFlow/1795629404190365
  ferroflow report MyFlow/1795629404190365 --datastore s3 --json

Exit codes: 0 when the run was found, however it stands; 1 when it was not, or the datastore cannot be read; 2 for a wrong \
command line.")]
pub(crate) struct Args {
    /// The run: MyFlow/1795629404190365
    #[arg(value_name = "FLOW/RUN")]
    run: String,
    /// Prints JSON: one object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: place::Choice,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let wanted = Pathspec::parse(&args.run)?;
    if let Pathspec::Flow(flow) = &wanted {
        bail!(
            "`{flow}` names no run\nhint: write {flow}/1795629404190365; `ferroflow status {flow}` lists its latest runs"
        );
    }
    let place = args.place.find()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let found = runtime.block_on(async {
        match &place {
            Place::Local(store) => report(&Arc::new(store.clone()), &wanted).await,
            Place::S3 { root, s3 } => {
                let store = place::open(root, s3).await?;
                report(&Arc::new(store), &wanted).await
            }
        }
    })?;
    let Some(report) = found else {
        bail!(
            "no record of {wanted} in {place}\nhint: --datastore and --datastore-root name another datastore; `eval \"$(ferroflow dev env)\"` leads to the embedded stack"
        );
    };
    let text = if args.json {
        format!("{}\n", serde_json::to_string_pretty(&report)?)
    } else {
        show::text(&report)
    };
    say::text(&text)?;
    Ok(ExitCode::SUCCESS)
}

async fn report<S: ObjectStore + 'static>(
    store: &Arc<S>,
    wanted: &Pathspec,
) -> Result<Option<Report>> {
    let Some(record) = Runs(&**store).find(Some(wanted)).await?.pop() else {
        return Ok(None);
    };
    let mut tally = Tally::default();
    read::launches(store, &record, &mut tally).await?;
    Ok(Some(tally.report(record)))
}
