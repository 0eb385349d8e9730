//! Reading a run's launch chain, and the outcome of each launch. At most some dozens of objects are on their way at a time,
//! and none is kept.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use datastore::ObjectStore;
use model::{launch_record::LaunchRecord, layout, run_record::RunRecord, spec::TaskOutcome};
use tokio::task::JoinSet;

use super::tally::{Launched, Tally};

/// Outcomes that are read at a time.
const AT_A_TIME: usize = 32;

/// Bytes of a record that are read first: the header of a hundred plain jobs, or of an array of some thousand children.
const CHUNK: u64 = 256 << 10;

/// Longest header: that of an array of ten thousand children has two megabytes.
const MAX_HEADER: usize = 64 << 20;

/// An outcome on its way, and whose it is.
type Coming = JoinSet<(Launched, Result<Option<TaskOutcome>>)>;

/// Counts every launch of a run.
pub(super) async fn launches<S: ObjectStore + 'static>(
    store: &Arc<S>,
    run: &RunRecord,
    tally: &mut Tally,
) -> Result<()> {
    let mut coming = Coming::new();
    let folder = layout::launch_folder(&run.flow, &run.run);
    for entry in store.list(&folder).await? {
        let record = header(&**store, &entry.key).await?;
        for submission in &record.submissions {
            for member in &submission.members {
                while coming.len() >= AT_A_TIME {
                    take(&mut coming, tally).await?;
                }
                let key = layout::outcome(&run.flow, &run.run, record.seq, member.index);
                let store = Arc::clone(store);
                let launched = Launched {
                    step: member.task.step.clone(),
                    at: record.at,
                    resources: submission.resources.clone(),
                };
                coming.spawn(async move { (launched, outcome(&*store, &key).await) });
            }
        }
    }
    while !coming.is_empty() {
        take(&mut coming, tally).await?;
    }
    Ok(())
}

async fn take(coming: &mut Coming, tally: &mut Tally) -> Result<()> {
    if let Some(arrived) = coming.join_next().await {
        let (launched, outcome) = arrived.context("reading was interrupted")?;
        tally.count(&launched, outcome?.as_ref());
    }
    Ok(())
}

/// The first line of a record.
async fn header<S: ObjectStore>(store: &S, key: &str) -> Result<LaunchRecord> {
    let mut line = Vec::new();
    loop {
        let chunk = store.get_range(key, line.len() as u64, CHUNK).await?;
        let Some(chunk) = chunk.filter(|chunk| !chunk.is_empty()) else {
            break;
        };
        let end = chunk.iter().position(|byte| *byte == b'\n');
        line.extend_from_slice(&chunk[..end.unwrap_or(chunk.len())]);
        if end.is_some() {
            break;
        }
        if line.len() > MAX_HEADER {
            bail!("the launch record `{key}` has no header");
        }
    }
    serde_json::from_slice(&line)
        .with_context(|| format!("the launch record `{key}` cannot be read"))
}

/// None for a container that has not told its end.
async fn outcome<S: ObjectStore>(store: &S, key: &str) -> Result<Option<TaskOutcome>> {
    store
        .get(key)
        .await?
        .map(|object| serde_json::from_slice(&object.body))
        .transpose()
        .with_context(|| format!("the outcome `{key}` cannot be read"))
}
