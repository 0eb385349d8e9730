//! The headers of a run's launch chain.

use anyhow::{Context, Result, bail};
use datastore::ObjectStore;
use model::{launch_record::LaunchRecord, layout, spec::SPEC_VERSION};

use super::{StoredRun, at_once};

/// Bytes of a record that are fetched first: its header is at the beginning, and that of an array is long. Each further
/// request is for so many times more.
pub(crate) const FIRST_BYTES: u64 = 64 << 10;
const GROWTH: u64 = 8;

/// Longest header, in bytes: that of an array of ten thousand children has two megabytes.
const MOST_BYTES: usize = 64 << 20;

impl StoredRun {
    /// What was about to be submitted, in the order of the chain.
    pub(super) async fn chain(&self) -> Result<Vec<LaunchRecord>> {
        let keys = self.chain_keys().await?;
        at_once(keys, |key| {
            let run = self.clone();
            async move { header(&run.store, &key).await }
        })
        .await
    }

    /// Who wrote the last record of the chain; none if there is no chain.
    pub(crate) async fn last_writer(&self) -> Result<Option<String>> {
        match self.chain_keys().await?.pop() {
            Some(last) => Ok(Some(header(&self.store, &last).await?.holder)),
            None => Ok(None),
        }
    }

    pub(super) async fn chain_keys(&self) -> Result<Vec<String>> {
        let folder = layout::launch_folder(&self.flow, &self.run);
        let listed = self.store.list(&folder).await;
        let listed = listed.context("cannot list the launch chain")?;
        Ok(listed.into_iter().map(|entry| entry.key).collect())
    }
}

/// The header of a record, which is its first line.
pub(crate) async fn header(store: &impl ObjectStore, key: &str) -> Result<LaunchRecord> {
    let (mut line, mut limit) = (Vec::new(), FIRST_BYTES);
    loop {
        let found = store.get_range(key, line.len() as u64, limit).await?;
        let Some(found) = found else {
            bail!("the launch record `{key}` is gone");
        };
        let end = found.iter().position(|byte| *byte == b'\n');
        line.extend_from_slice(&found[..end.unwrap_or(found.len())]);
        if end.is_some() {
            break;
        }
        if (found.len() as u64) < limit || line.len() >= MOST_BYTES {
            bail!("the launch record `{key}` has no header");
        }
        limit *= GROWTH;
    }
    let record = LaunchRecord::read(&line)
        .with_context(|| format!("the launch record `{key}` cannot be read"))?;
    if record.version > SPEC_VERSION {
        bail!(
            "the launch record `{key}` is of version {}, which this Ferroflow does not know\nhint: install the Ferroflow that launched the run, or a newer one",
            record.version
        );
    }
    Ok(record)
}
