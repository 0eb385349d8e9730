//! The headers of a run's launch chain.

use anyhow::{Context, Result};
use datastore::ObjectStore;
use model::{launch_record::LaunchRecord, layout};

use super::{StoredRun, at_once};

/// Bytes of a record that certainly have its header, unless a wide array makes it longer.
const HEADER: u64 = 64 << 10;

impl StoredRun {
    /// What was about to be submitted, in the order of the chain.
    pub(super) async fn chain(&self) -> Result<Vec<LaunchRecord>> {
        let keys = self.chain_keys().await?;
        at_once(keys, |key| {
            let run = self.clone();
            async move { run.header(&key).await }
        })
        .await
    }

    /// Who wrote the last record of the chain; none if there is no chain.
    pub(crate) async fn last_writer(&self) -> Result<Option<String>> {
        match self.chain_keys().await?.pop() {
            Some(last) => Ok(Some(self.header(&last).await?.holder)),
            None => Ok(None),
        }
    }

    pub(super) async fn chain_keys(&self) -> Result<Vec<String>> {
        let folder = layout::launch_folder(&self.flow, &self.run);
        let listed = self.store.list(&folder).await;
        let listed = listed.context("cannot list the launch chain")?;
        Ok(listed.into_iter().map(|entry| entry.key).collect())
    }

    pub(super) async fn header(&self, key: &str) -> Result<LaunchRecord> {
        let head = self.store.get_range(key, 0, HEADER).await?;
        let mut head = head.context("the launch chain changes")?;
        if !head.contains(&b'\n') {
            let whole = self.store.get(key).await?;
            head = whole.context("the launch chain changes")?.body;
        }
        LaunchRecord::read(&head).with_context(|| format!("`{key}` is no launch record"))
    }
}
