//! A run as its datastore tells it, for who is not its launcher: `attach`, `kill`, `jobs`, `why` and `report` read it here.
//! Which jobs it has is told by its launch chain; Batch is asked for those only, never for all of an account.

pub(crate) mod alive;
mod at_once;
mod cancel;
pub(crate) mod chain;
mod end;
mod holder;
mod jobs;
pub(crate) mod marks;

use std::{fmt, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use aws::s3::S3Store;
use datastore::ObjectStore;
use model::{
    FlowName, RunId, layout,
    lease::{LEASE_VERSION, Lease},
    opening::{OPENING_VERSION, Opening},
    run_record::RunRecord,
};

pub(crate) use self::{
    at_once::{at_once, block_on},
    cancel::Cancelled,
    chain::{Told, header},
    end::{Ending, FORGOTTEN, Left, Unfound, end, is_recent},
    holder::{Holder, Orphan, holder, orphan},
    jobs::{ChainJob, Found, jobs, region_of},
};

/// A run in its datastore. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct StoredRun {
    pub(crate) store: S3Store,
    pub(crate) flow: FlowName,
    pub(crate) run: RunId,
}

/// The lease, as it was read.
#[derive(Debug, Clone)]
pub(crate) struct FoundLease {
    pub(crate) lease: Lease,
    etag: String,
    /// By the store's clock, where it tells.
    pub(crate) age: Option<Duration>,
}

/// The two names of a run in `Flow/run`.
pub(crate) fn named(text: &str) -> Result<(FlowName, RunId)> {
    match text.split_once('/') {
        Some((flow, run)) if !run.contains('/') => Ok((FlowName::new(flow)?, RunId::new(run)?)),
        _ => bail!("`{text}` names no run\nhint: write MyFlow/1795629404190365"),
    }
}

impl fmt::Display for StoredRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.flow, self.run)
    }
}

impl StoredRun {
    /// What its launcher left before the first job; none if there was no job.
    pub(crate) async fn opening(&self) -> Result<Option<Opening>> {
        let key = layout::opening(&self.flow, &self.run);
        let Some(object) = self.store.get(&key).await? else {
            return Ok(None);
        };
        let opening: Opening = serde_json::from_slice(&object.body)
            .with_context(|| format!("the opening `{key}` is not what this version writes"))?;
        ensure!(
            opening.version == OPENING_VERSION,
            "the run was begun by Ferroflow {}, whose records this version does not read\nhint: use that version",
            opening.launcher.ferroflow
        );
        Ok(Some(opening))
    }

    /// What `ferroflow status` shows.
    pub(crate) async fn record(&self) -> Result<Option<RunRecord>> {
        let key = layout::run_record(&self.flow, &self.run);
        let Some(object) = self.store.get(&key).await? else {
            return Ok(None);
        };
        let record = serde_json::from_slice(&object.body);
        record
            .map(Some)
            .with_context(|| format!("`{key}` is no record of a run"))
    }

    pub(crate) async fn lease(&self) -> Result<Option<FoundLease>> {
        let key = layout::lease(&self.flow, &self.run);
        let Some(there) = self.store.get_versioned(&key).await? else {
            return Ok(None);
        };
        let lease: Lease = serde_json::from_slice(&there.body)
            .with_context(|| format!("the lease `{key}` is not what this version writes"))?;
        ensure!(
            lease.version == LEASE_VERSION,
            "the lease of run {self} was written by another version of Ferroflow"
        );
        Ok(Some(FoundLease {
            lease,
            etag: there.etag,
            age: there.age,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_has_two_names() {
        assert!(named("F/1").is_ok());
        for bad in ["F", "F/1/start", "/1", "F/", ""] {
            assert!(named(bad).is_err(), "{bad}");
        }
    }
}
