//! Telling the lease and the record of a run that it was cancelled. From then on no container starts user code, and a launcher
//! that is alive notices by its next renewal.

use anyhow::{Context, Result, bail};
use aws::s3::Replaced;
use model::{
    Timestamp, layout,
    lease::{LEASE_VERSION, Lease, LeaseState},
    run_record::{RunRecord, RunState},
};

use super::{FoundLease, StoredRun};

/// Tries to write in a place where a launcher writes, too.
const TRIES: u32 = 20;

/// What of a lease that nobody renews has no meaning, in seconds.
const NEVER_RENEWED: u64 = 30;

/// What became of the lease.
#[derive(Debug, Clone)]
pub(crate) enum Cancelled {
    /// It says so now; before, it was running.
    Now(FoundLease),
    /// Nobody had written one.
    WithoutLease,
    /// It said so before.
    Before,
    /// The run is over.
    Finished,
}

impl StoredRun {
    /// Tells the lease. The holder stays: that one recognises the lease as its own.
    pub(crate) async fn cancel(&self) -> Result<Cancelled> {
        let key = layout::lease(&self.flow, &self.run);
        for _ in 0..TRIES {
            let found = self.lease().await?;
            let (lease, etag, done) = match found {
                None => (self.first_lease().await?, None, Cancelled::WithoutLease),
                Some(found) => match found.lease.state {
                    LeaseState::Cancelled => return Ok(Cancelled::Before),
                    LeaseState::Finished => return Ok(Cancelled::Finished),
                    LeaseState::Running => {
                        let (lease, etag) = (found.lease.clone(), found.etag.clone());
                        (lease, Some(etag), Cancelled::Now(found))
                    }
                },
            };
            let lease = Lease {
                state: LeaseState::Cancelled,
                renewed_at: now(),
                ..lease
            };
            let body = serde_json::to_vec(&lease).context("cannot write the lease down")?;
            let put = self.store.replace(&key, body.into(), etag.as_deref());
            if let Replaced::Yes(_) = put.await.context("cannot cancel the run")? {
                return Ok(done);
            }
        }
        bail!("the lease of run {self} changes all the time\nhint: try again");
    }

    /// Of a run with FERROFLOW_LEASE=off.
    async fn first_lease(&self) -> Result<Lease> {
        let opening = self.opening().await?;
        let launcher = opening.map(|opening| opening.launcher);
        let (host, pid) = launcher.map_or_else(Default::default, |it| (it.host, it.pid));
        Ok(Lease {
            version: LEASE_VERSION,
            holder: self.last_writer().await?.unwrap_or_default(),
            host,
            pid,
            state: LeaseState::Cancelled,
            renewed_at: now(),
            interval_seconds: NEVER_RENEWED,
        })
    }

    /// Tells the record, unless it tells of an end already. A launcher that is alive writes over it, with its own words.
    pub(crate) async fn record_interruption(&self) -> Result<()> {
        let key = layout::run_record(&self.flow, &self.run);
        for _ in 0..TRIES {
            let Some(there) = self.store.get_versioned(&key).await? else {
                return Ok(());
            };
            let record: RunRecord = serde_json::from_slice(&there.body)
                .with_context(|| format!("`{key}` is no record of a run"))?;
            if record.state != RunState::Running {
                return Ok(());
            }
            let record = RunRecord {
                state: RunState::Interrupted,
                written_at: now(),
                ..record
            };
            let body = serde_json::to_vec(&record).context("cannot write the record down")?;
            let put = self.store.replace(&key, body.into(), Some(&there.etag));
            if let Replaced::Yes(_) = put.await? {
                return Ok(());
            }
        }
        Ok(())
    }
}

fn now() -> Timestamp {
    Timestamp(jiff::Timestamp::now().as_millisecond())
}
