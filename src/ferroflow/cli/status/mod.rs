//! `ferroflow status`: how runs stand, from the records that their launchers keep in the datastore.

mod alive;
pub(super) mod place;
pub(super) mod runs;
mod show;

use std::process::ExitCode;

use anyhow::{Result, bail};
use model::run_record::RunRecord;

use self::{
    place::Place,
    runs::{Pathspec, Runs},
};
use super::say;

/// Shown at most, when no run is named.
const MOST: usize = 10;

/// Tells how runs stand: the latest of each flow, of one flow, or one run
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ferroflow status                          the latest run of each flow in the datastore
  ferroflow status MyFlow                   the latest runs of a flow
  ferroflow status MyFlow/1795629404190365 -v
  ferroflow status MyFlow --datastore s3 --json

Exit codes: 0 when a run was found, however it stands; 1 when none was, or the datastore cannot be read; 2 for a wrong \
command line.")]
pub(crate) struct Args {
    /// A flow, or a run of it: MyFlow or MyFlow/1795629404190365
    #[arg(value_name = "FLOW[/RUN]")]
    runs: Option<String>,
    /// Also tells how attempts were started and why so, the counts of each step, and versions
    #[arg(short, long)]
    verbose: bool,
    /// Prints JSON: an object for one run, else a list
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: place::Choice,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let wanted = args.runs.as_deref().map(Pathspec::parse).transpose()?;
    let place = args.place.find()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let found = runtime.block_on(find(&place, wanted.as_ref()))?;
    if found.is_empty() {
        bail!(
            "{} in {place}\nhint: --datastore and --datastore-root name another datastore; `eval \"$(ferroflow dev env)\"` leads to the embedded stack",
            match &wanted {
                Some(wanted) => format!("no record of {wanted}"),
                None => "no record of a run".to_owned(),
            }
        );
    }
    let one = matches!(wanted, Some(Pathspec::Run(..)));
    let text = if args.json {
        format!("{}\n", show::json(&found, one)?)
    } else if one || args.verbose {
        let blocks: Vec<_> = found.iter().map(|r| show::block(r, args.verbose)).collect();
        blocks.join("\n")
    } else {
        show::table(&found)
    };
    say::text(&text)?;
    Ok(ExitCode::SUCCESS)
}

async fn find(place: &Place, wanted: Option<&Pathspec>) -> Result<Vec<RunRecord>> {
    match place {
        Place::Local(store) => Runs(store).find(wanted).await,
        Place::S3 { root, s3 } => {
            let store = place::open(root, s3).await?;
            Runs(&store).find(wanted).await
        }
    }
}
