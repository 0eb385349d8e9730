//! Reading a run's launch chain, and the outcome of each launch. At most some dozens of objects are on their way at a time,
//! and none is kept.

use std::sync::Arc;

use anyhow::{Context, Result};
use datastore::ObjectStore;
use model::{layout, run_record::RunRecord, spec::TaskOutcome};
use tokio::task::JoinSet;

use super::tally::{Launched, Tally};
use crate::stored_run::header;

/// Outcomes that are read at a time.
const AT_A_TIME: usize = 32;

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

/// None for a container that has not told its end.
async fn outcome<S: ObjectStore>(store: &S, key: &str) -> Result<Option<TaskOutcome>> {
    store
        .get(key)
        .await?
        .map(|object| serde_json::from_slice(&object.body))
        .transpose()
        .with_context(|| format!("the outcome `{key}` cannot be read"))
}
