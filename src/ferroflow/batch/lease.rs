//! The lease of a run, as its launcher keeps it: written before the first job, renewed at short intervals, each time on
//! condition that it is still ours, and told the end.

use std::{cell::Cell, collections::BTreeSet, env, rc::Rc, sync::Arc, time::Duration};

use anyhow::{Context, bail};
use aws::{
    batch::Client,
    s3::{Replaced, S3Store},
};
use datastore::StoreError;
use model::{
    Plan, Timestamp,
    lease::{DEFAULT_GRACE, LEASE_VERSION, Lease, LeaseState, LeaseTerms},
};
use nix::time::{ClockId, clock_gettime};
use tokio::time::sleep;

use super::{
    BatchEvent,
    fence::{self, CancelledElsewhere, Fenced, last_word},
};
use crate::{failpoint, trouble::jittered};

/// Environment variable: how long a task goes on without a launcher, or `off`.
pub(crate) const LEASE: &str = "FERROFLOW_LEASE";

/// Pause after a renewal that failed.
const AGAIN: Duration = Duration::from_secs(5);

/// A launcher that slept longer than this part of the gate, a minute as a rule, asks whether the run is still its own before it
/// does anything.
const GAPS_IN_GATE: u32 = 15;

/// How long the end of a run waits for its lease to say so.
const LAST_WORD: Duration = Duration::from_secs(5);

/// The grace that [`LEASE`] names; none where it is `off`.
pub(crate) fn grace_of_environment() -> anyhow::Result<Option<Duration>> {
    let text = env::var_os(LEASE).unwrap_or_default();
    let text = text.to_string_lossy();
    match text.as_ref() {
        "" => Ok(Some(DEFAULT_GRACE)),
        "off" => Ok(None),
        text => match duration(text) {
            Some(grace) if grace >= Duration::from_secs(10) => Ok(Some(grace)),
            _ => bail!(
                "{LEASE} is `{text}`\nhint: it is a time of at least ten seconds, such as 90s, 30m or 24h, or `off`"
            ),
        },
    }
}

/// A whole number of seconds, minutes or hours.
fn duration(text: &str) -> Option<Duration> {
    let digits = text.trim_end_matches(['s', 'm', 'h']);
    let seconds_each = match &text[digits.len()..] {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return None,
    };
    let number: u64 = digits.parse().ok()?;
    Some(Duration::from_secs(number.checked_mul(seconds_each)?))
}

/// The lease in the hands of this launcher.
#[derive(Debug)]
pub(super) struct Keeper {
    client: Client,
    store: Arc<S3Store>,
    terms: LeaseTerms,
    inner: tokio::sync::Mutex<Inner>,
    /// Launchers that the run was taken over from; none where it was begun. There may be a lease of theirs.
    before: BTreeSet<String>,
    /// Whether it says that the run was cancelled, though not by this launcher.
    cancelled: Cell<bool>,
    /// When it was last known to be ours, by a clock that goes on while the machine sleeps.
    confirmed: Cell<Option<Duration>>,
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
}

impl Keeper {
    pub(super) fn new(
        client: Client,
        store: Arc<S3Store>,
        plan: &Plan,
        holder: &str,
        host: String,
        grace: Duration,
        before: BTreeSet<String>,
    ) -> Rc<Self> {
        let terms = LeaseTerms::new(&plan.flow, &plan.run, grace);
        let lease = Lease {
            version: LEASE_VERSION,
            holder: holder.to_owned(),
            host,
            pid: std::process::id(),
            state: LeaseState::Running,
            renewed_at: Timestamp::default(),
            interval_seconds: terms.renewal().as_secs(),
        };
        Rc::new(Self {
            client,
            store,
            terms,
            inner: tokio::sync::Mutex::new(Inner { lease, etag: None }),
            before,
            cancelled: Cell::default(),
            confirmed: Cell::default(),
        })
    }

    /// What containers are told.
    pub(super) fn terms(&self) -> &LeaseTerms {
        &self.terms
    }

    /// Before the first job: nobody else may have a lease, unless the run was taken over.
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
                written => break written?,
            }
        }
        failpoint::reach("leased");
        Ok(())
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
        self.cancelled.set(true);
        self.confirmed.set(Some(since_boot()));
        CancelledElsewhere
    }

    fn has_begun(&self) -> bool {
        self.confirmed.get().is_some()
    }

    /// Renews it for as long as this process drives the run.
    pub(super) async fn renew_on_and_on(self: Rc<Self>, stop: impl Fn(BatchEvent)) {
        let mut pause = if self.was_taken_over() {
            Duration::ZERO
        } else {
            self.terms.renewal()
        };
        loop {
            sleep(jittered(pause)).await;
            pause = self.terms.renewal();
            loop {
                match self.begin_or_renew().await {
                    Ok(()) => break,
                    Err(error) => match last_word(error) {
                        Ok(word) => return stop(word),
                        Err(error) => tracing::warn!("the lease was not renewed: {error:#}"),
                    },
                }
                sleep(jittered(AGAIN)).await;
            }
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

    /// Before an effect outside: a launcher that was asleep asks first whether the run is still its own.
    pub(super) async fn confirm(&self) -> anyhow::Result<()> {
        if self.cancelled.get() {
            bail!(CancelledElsewhere);
        }
        if self.is_fresh() {
            Ok(())
        } else {
            self.renew().await
        }
    }

    /// Whether it was renewed a short time ago, or there is none yet.
    pub(super) fn is_fresh(&self) -> bool {
        self.confirmed.get().is_none_or(|known| {
            let gap = since_boot().saturating_sub(known);
            gap < self.terms.renewal() + Duration::from_secs(self.terms.gate_seconds) / GAPS_IN_GATE
        })
    }

    /// Tells containers, and whoever might take over, that it is over. `Err` where another launcher drives the run.
    pub(super) async fn end(&self, state: LeaseState) -> Result<(), Fenced> {
        // A run that was cancelled stays so; one without jobs has no lease.
        if !self.has_begun() || self.inner.lock().await.lease.state != LeaseState::Running {
            return Ok(());
        }
        match tokio::time::timeout(LAST_WORD, self.write(state)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => match error.downcast::<Fenced>() {
                Ok(fenced) => Err(fenced),
                Err(error) if error.is::<CancelledElsewhere>() => Ok(()),
                Err(error) => {
                    tracing::warn!("the lease was not told the end: {error:#}");
                    Ok(())
                }
            },
            Err(_) => {
                tracing::warn!("the lease was not told the end in time");
                Ok(())
            }
        }
    }

    async fn write(&self, state: LeaseState) -> anyhow::Result<()> {
        let mut inner = self.inner.lock().await;
        let lease = Lease {
            state,
            renewed_at: Timestamp(jiff::Timestamp::now().as_millisecond()),
            ..inner.lease.clone()
        };
        let body = serde_json::to_vec(&lease).context("cannot write the lease down")?;
        let key = &self.terms.key;
        let put = self
            .store
            .replace(key, body.clone().into(), inner.etag.as_deref());
        let etag = match put.await? {
            Replaced::Yes(etag) => etag,
            Replaced::No => match self.own(&body, &inner.lease.holder).await {
                Ok(etag) => etag,
                Err(error) if error.is::<CancelledElsewhere>() => bail!(self.cancelled(&mut inner)),
                Err(error) => return fence::heed(&self.client, Err(error)),
            },
        };
        inner.lease = lease;
        inner.etag = Some(etag);
        self.confirmed.set(Some(since_boot()));
        Ok(())
    }

    /// A write whose reply was lost is found again as one's own.
    async fn own(&self, body: &[u8], holder: &str) -> anyhow::Result<String> {
        let there: Result<_, StoreError> = self.store.get_versioned(&self.terms.key).await;
        let Some(there) = there? else {
            bail!(Fenced {
                why: "its lease was removed".to_owned()
            });
        };
        if there.body == body {
            return Ok(there.etag);
        }
        match serde_json::from_slice::<Lease>(&there.body) {
            // `ferroflow kill` leaves the holder as it was.
            Ok(lease) if lease.state == LeaseState::Cancelled && lease.holder == holder => {
                bail!(CancelledElsewhere)
            }
            Ok(lease) if self.before.contains(&lease.holder) => bail!(RenewedByPredecessor),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit() {
        for (text, seconds) in [("10", 10), ("90s", 90), ("30m", 1800), ("24h", 86_400)] {
            assert_eq!(duration(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        for bad in ["", "h", "1d", "-5s", "1.5h", "ten", "5sm"] {
            assert_eq!(duration(bad), None, "{bad}");
        }
    }
}
