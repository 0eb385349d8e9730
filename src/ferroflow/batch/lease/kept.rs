//! The lease itself, wherever it is kept.

use std::{
    collections::BTreeSet,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, bail};
use aws::{
    batch::{Client, Hold},
    s3::{Replaced, S3Store},
};
use datastore::StoreError;
use model::{
    Timestamp,
    lease::{LEASE_VERSION, Lease, LeaseState, LeaseTerms},
};
use nix::time::{ClockId, clock_gettime};
use tokio::time::sleep;

use super::super::{
    BatchEvent,
    fence::{self, CancelledElsewhere, Fenced, last_word},
};
use crate::trouble::jittered;

/// Pause after a renewal that failed; never longer than the time between two.
const AGAIN: Duration = Duration::from_secs(5);

/// A launcher that slept longer than this part of the gate, a minute as a rule, asks whether the run is still its own before it
/// does anything.
const GAPS_IN_GATE: u32 = 15;

/// Tries to write where an earlier write of one's own has arrived unnoticed.
const TRIES: u32 = 5;

/// What is known of it.
#[derive(Debug)]
pub(super) struct Kept {
    client: Client,
    store: S3Store,
    pub(super) terms: LeaseTerms,
    inner: tokio::sync::Mutex<Inner>,
    /// Launchers that the run was taken over from; none where it was begun. There may be a lease of theirs.
    before: BTreeSet<String>,
    /// Whether it says that the run was cancelled, though not by this launcher.
    cancelled: AtomicBool,
    /// When it was last known to be ours, by a clock that goes on while the machine sleeps.
    confirmed: Mutex<Option<Duration>>,
}

/// The lease is one of a launcher that this one has taken the run from.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the launcher before has renewed the lease")]
struct RenewedByPredecessor;

#[derive(Debug)]
struct Inner {
    lease: Lease,
    /// Of the object in the store, if there is one.
    etag: Option<String>,
    /// There was another object than the one that was seen last, and nobody knows yet whose: until then Batch is not called.
    doubt: Option<Hold>,
}

/// Whose the object is that is there instead of the one that was seen last.
enum There {
    /// What was to be written: a reply was lost.
    Written(String),
    /// What this launcher has written before, unnoticed.
    Before(String),
}

impl Kept {
    pub(super) fn new(
        client: Client,
        store: S3Store,
        terms: LeaseTerms,
        holder: &str,
        host: String,
        before: BTreeSet<String>,
    ) -> Self {
        let lease = Lease {
            version: LEASE_VERSION,
            holder: holder.to_owned(),
            host,
            pid: std::process::id(),
            state: LeaseState::Running,
            renewed_at: Timestamp::default(),
            interval_seconds: terms.renewal().as_secs(),
        };
        Self {
            client,
            store,
            terms,
            inner: tokio::sync::Mutex::new(Inner {
                lease,
                etag: None,
                doubt: None,
            }),
            before,
            cancelled: AtomicBool::default(),
            confirmed: Mutex::default(),
        }
    }

    pub(super) async fn begin(&self) -> anyhow::Result<()> {
        if self.has_begun() {
            return Ok(());
        }
        loop {
            if self.was_taken_over() {
                self.find().await?;
            }
            match self.write(LeaseState::Running).await {
                // The one before has renewed it meanwhile, and does not know yet that the chain is ours.
                Err(error) if error.is::<RenewedByPredecessor>() => {}
                written => return written,
            }
        }
    }

    fn was_taken_over(&self) -> bool {
        !self.before.is_empty()
    }

    /// Looks at the lease of the launcher before.
    async fn find(&self) -> anyhow::Result<()> {
        let there = self.store.get_versioned(&self.terms.key).await?;
        let lease = there
            .as_ref()
            .and_then(|there| serde_json::from_slice(&there.body).ok());
        let mut inner = self.inner.lock().await;
        if lease.is_some_and(|lease: Lease| lease.state == LeaseState::Cancelled) {
            bail!(self.cancelled(&mut inner));
        }
        inner.etag = there.map(|there| there.etag);
        Ok(())
    }

    /// From now on it is left as it is.
    fn cancelled(&self, inner: &mut Inner) -> CancelledElsewhere {
        inner.lease.state = LeaseState::Cancelled;
        self.cancelled.store(true, Ordering::Release);
        self.confirm();
        CancelledElsewhere
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }

    fn confirm(&self) {
        let mut confirmed = self
            .confirmed
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *confirmed = Some(since_boot());
    }

    fn confirmed(&self) -> Option<Duration> {
        let confirmed = self.confirmed.lock();
        *confirmed.unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn has_begun(&self) -> bool {
        self.confirmed().is_some()
    }

    /// Renews it again and again, and tells why that is over.
    pub(super) async fn renew_on_and_on(&self) -> BatchEvent {
        let renewal = self.terms.renewal();
        if !self.was_taken_over() {
            sleep(jittered(renewal)).await;
        }
        loop {
            let pause = match self.begin_or_renew().await {
                Ok(()) => renewal,
                Err(error) => match last_word(error) {
                    Ok(word) => return word,
                    Err(error) => {
                        tracing::warn!("the lease was not renewed: {error:#}");
                        AGAIN.min(renewal)
                    }
                },
            };
            sleep(jittered(pause)).await;
        }
    }

    /// The launcher before is told at once.
    async fn begin_or_renew(&self) -> anyhow::Result<()> {
        if self.was_taken_over() {
            self.begin().await?;
        }
        self.renew().await
    }

    pub(super) async fn renew(&self) -> anyhow::Result<()> {
        let state = self.inner.lock().await.lease.state;
        if state != LeaseState::Running || !self.has_begun() {
            return Ok(());
        }
        self.write(state).await
    }

    pub(super) fn is_fresh(&self) -> bool {
        self.confirmed().is_none_or(|known| {
            let gap = since_boot().saturating_sub(known);
            gap < self.terms.renewal() + Duration::from_secs(self.terms.gate_seconds) / GAPS_IN_GATE
        })
    }

    /// A run that was cancelled stays so; one without jobs has no lease.
    pub(super) async fn end(&self, state: LeaseState) -> anyhow::Result<()> {
        if !self.has_begun() || self.inner.lock().await.lease.state != LeaseState::Running {
            return Ok(());
        }
        self.write(state).await
    }

    async fn write(&self, state: LeaseState) -> anyhow::Result<()> {
        let mut inner = self.inner.lock().await;
        let lease = Lease {
            state,
            renewed_at: Timestamp(jiff::Timestamp::now().as_millisecond()),
            ..inner.lease.clone()
        };
        let body = serde_json::to_vec(&lease).context("cannot write the lease down")?;
        for _ in 0..TRIES {
            let key = &self.terms.key;
            let put = self
                .store
                .replace(key, body.clone().into(), inner.etag.as_deref());
            let there = match put.await? {
                Replaced::Yes(etag) => Ok(There::Written(etag)),
                Replaced::No => {
                    inner.doubt.get_or_insert_with(|| self.client.hold());
                    self.there(&body, &inner.lease.holder).await
                }
            };
            let there = match there {
                Err(error) if error.is::<StoreError>() => return Err(error),
                known => fence::heed(&self.client, known),
            };
            inner.doubt = None;
            match there {
                Ok(There::Written(etag)) => {
                    inner.lease = lease;
                    inner.etag = Some(etag);
                    self.confirm();
                    return Ok(());
                }
                Ok(There::Before(etag)) => inner.etag = Some(etag),
                Err(error) if error.is::<CancelledElsewhere>() => bail!(self.cancelled(&mut inner)),
                Err(error) => return Err(error),
            }
        }
        bail!("the lease changes all the time")
    }

    /// A write whose reply was lost, or that came late, is found again as one's own.
    async fn there(&self, body: &[u8], holder: &str) -> anyhow::Result<There> {
        let there: Result<_, StoreError> = self.store.get_versioned(&self.terms.key).await;
        let Some(there) = there? else {
            bail!(Fenced {
                why: "its lease was removed".to_owned()
            });
        };
        if there.body == body {
            return Ok(There::Written(there.etag));
        }
        match serde_json::from_slice::<Lease>(&there.body) {
            Ok(lease) if lease.holder == holder => match lease.state {
                LeaseState::Running => Ok(There::Before(there.etag)),
                // `ferroflow kill` leaves the holder as it was.
                LeaseState::Cancelled | LeaseState::Finished => bail!(CancelledElsewhere),
            },
            Ok(lease) if self.before.contains(&lease.holder) => match lease.state {
                // `ferroflow kill` leaves the holder as it was.
                LeaseState::Cancelled => bail!(CancelledElsewhere),
                LeaseState::Running | LeaseState::Finished => bail!(RenewedByPredecessor),
            },
            Ok(lease) => bail!(Fenced {
                why: format!("process {} on {} does", lease.pid, lease.host),
            }),
            Err(error) => bail!(Fenced {
                why: format!("its lease is not what a launcher writes ({error})"),
            }),
        }
    }
}

/// Time since the machine was started, its sleep included where the system tells.
fn since_boot() -> Duration {
    #[cfg(target_os = "linux")]
    let clock = ClockId::CLOCK_BOOTTIME;
    #[cfg(not(target_os = "linux"))]
    let clock = ClockId::CLOCK_MONOTONIC;
    clock_gettime(clock).map_or(Duration::ZERO, Duration::from)
}
