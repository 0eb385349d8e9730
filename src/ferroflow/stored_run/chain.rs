//! The launch chain of a run, as far as whoever is not its writer reads it.

use anyhow::{Context, Result, bail};
use datastore::ObjectStore;
use model::{launch_record::LaunchRecord, layout, spec::SPEC_VERSION};

use super::{StoredRun, at_once};

/// Bytes of a record that are fetched first: its header is at the beginning, and that of an array is long. Each further
/// request is for so many times more.
pub(crate) const FIRST_BYTES: u64 = 64 << 10;
const GROWTH: u64 = 8;

/// The longest that is read, in bytes: the header of an array of ten thousand children has two megabytes.
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

    /// All that the chain tells from the record `first` on, in its order. None of those records may be missing.
    pub(crate) async fn told(&self, first: u64) -> Result<Vec<Told>> {
        let known = usize::try_from(first).unwrap_or(usize::MAX);
        let keys = self.chain_keys().await?;
        let keys: Vec<_> = keys.into_iter().skip(known).collect();
        let told = at_once(keys, |key| {
            let run = self.clone();
            async move { told(&run.store, &key).await }
        })
        .await?;
        for (seq, one) in (first..).zip(&told) {
            if one.record.seq != seq {
                let key = layout::launch_record(&self.flow, &self.run, seq);
                bail!("the launch record `{key}` is missing");
            }
        }
        Ok(told)
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

/// What a record tells whoever takes the run over.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) record: LaunchRecord,
    /// What the scheduler has done since the record before; empty if nothing.
    pub(crate) turns: Vec<u8>,
}

/// The header of a record.
pub(crate) async fn header(store: &impl ObjectStore, key: &str) -> Result<LaunchRecord> {
    let lines = first_lines(store, key, 1).await?;
    read(&lines, key)
}

async fn told(store: &impl ObjectStore, key: &str) -> Result<Told> {
    let lines = first_lines(store, key, 2).await?;
    Ok(Told {
        record: read(&lines, key)?,
        turns: LaunchRecord::turns(&lines).to_vec(),
    })
}

fn read(lines: &[u8], key: &str) -> Result<LaunchRecord> {
    let record = LaunchRecord::read(lines)
        .with_context(|| format!("the launch record `{key}` cannot be read"))?;
    if record.version > SPEC_VERSION {
        bail!(
            "the launch record `{key}` is of version {}, which this Ferroflow does not know\nhint: install the Ferroflow that launched the run, or a newer one",
            record.version
        );
    }
    Ok(record)
}

/// So many lines of a record, with their newlines: the specs behind them are long.
async fn first_lines(store: &impl ObjectStore, key: &str, count: usize) -> Result<Vec<u8>> {
    let (mut read, mut limit) = (Vec::new(), FIRST_BYTES);
    loop {
        let found = store.get_range(key, read.len() as u64, limit).await?;
        let Some(found) = found else {
            bail!("the launch record `{key}` is gone");
        };
        read.extend_from_slice(&found);
        let mut ends = (0..read.len()).filter(|&place| read[place] == b'\n');
        if let Some(end) = ends.nth(count - 1) {
            read.truncate(end + 1);
            return Ok(read);
        }
        if (found.len() as u64) < limit || read.len() >= MOST_BYTES {
            bail!("the launch record `{key}` has no header");
        }
        limit *= GROWTH;
    }
}

#[cfg(test)]
mod tests {
    use datastore::{PutOptions, local::LocalStore};

    use super::*;

    #[tokio::test]
    async fn of_a_record_only_the_first_lines_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let store = LocalStore::new(folder.path());
        let line = |letter: &str, length| format!("{}\n", letter.repeat(length));
        let (header, turns) = (line("h", 70_000), line("t", 600_000));
        let record = format!("{header}{turns}{}", line("s", 2_000_000));
        let put = store.put("whole", record.into(), PutOptions::default());
        put.await.unwrap();
        let put = store.put("torn", header.clone().into(), PutOptions::default());
        put.await.unwrap();
        let read = async |key, count| first_lines(&store, key, count).await;
        assert_eq!(read("whole", 1).await.unwrap(), header.as_bytes());
        let both = format!("{header}{turns}");
        assert_eq!(read("whole", 2).await.unwrap(), both.as_bytes());
        assert_eq!(read("torn", 1).await.unwrap(), header.as_bytes());
        assert!(read("torn", 2).await.is_err());
        assert!(read("none", 1).await.is_err());
    }
}
