//! The lease of a run, as its launcher keeps it: written before the first job, renewed at short intervals, each time on
//! condition that it is still ours, and told the end.
//!
//! It is kept on a thread of its own, with connections of its own, so that nothing that the engine does, or waits for, keeps it
//! from being renewed.

mod kept;

use std::{collections::BTreeSet, env, io, rc::Rc, sync::Arc, thread, time::Duration};

use anyhow::{Context, bail};
use aws::{Aws, ConfigError, Patience, batch::Client, s3::S3Store};
use model::{
    Plan,
    lease::{DEFAULT_GRACE, LeaseState, LeaseTerms},
};
use tokio::{runtime, sync::mpsc};

use self::kept::Kept;
use super::{
    BatchEvent,
    fence::{CancelledElsewhere, Fenced},
};
use crate::{duration, failpoint};

/// Environment variable: how long a task goes on without a launcher, or `off`.
pub(crate) const LEASE: &str = "FERROFLOW_LEASE";

/// Shortest grace.
const SHORTEST: Duration = Duration::from_secs(10);

/// How long one request about the lease may take, from its connection to its answer: several fit between two renewals.
const ANSWER: Duration = Duration::from_secs(5);

/// How long the end of a run waits for its lease to say so.
const LAST_WORD: Duration = Duration::from_secs(5);

/// A lease that is to be kept.
#[derive(Debug)]
pub(crate) struct LeaseStart {
    /// How long tasks go on without a launcher.
    grace: Duration,
    /// The datastore, by connections that nothing else uses.
    store: S3Store,
    thread: runtime::Handle,
}

impl LeaseStart {
    /// What [`LEASE`] says; none where it is `off`. `store` is the datastore as the engine has it.
    pub(crate) fn of_environment(aws: &Aws, store: &S3Store) -> anyhow::Result<Option<Self>> {
        let Some(grace) = grace_of_environment()? else {
            return Ok(None);
        };
        Ok(Some(Self {
            grace,
            store: store_apart(aws, store).context("cannot reach S3 for the lease")?,
            thread: thread_apart().context("cannot start the thread that renews the lease")?,
        }))
    }
}

/// A request that fails is repeated by the keeper, not by the SDK.
fn store_apart(aws: &Aws, store: &S3Store) -> Result<S3Store, ConfigError> {
    let patience = Patience {
        connect: ANSWER,
        read: ANSWER,
        s3_attempts: 1,
        ..Patience::default()
    };
    store.through(&aws.apart(patience)?)
}

fn grace_of_environment() -> anyhow::Result<Option<Duration>> {
    let text = env::var_os(LEASE).unwrap_or_default();
    let text = text.to_string_lossy();
    match text.as_ref() {
        "" => Ok(Some(DEFAULT_GRACE)),
        "off" => Ok(None),
        text => match duration::parse(text) {
            Some(grace) if grace >= SHORTEST => Ok(Some(grace)),
            _ => bail!(
                "{LEASE} is `{text}`\nhint: it is a time of at least ten seconds, such as 90s, 30m or 24h, or `off`"
            ),
        },
    }
}

/// The lease in the hands of this launcher.
#[derive(Debug)]
pub(super) struct Keeper {
    kept: Arc<Kept>,
    thread: runtime::Handle,
}

impl Keeper {
    /// `host` is this machine. There may be a lease already, of a launcher `before`, that the run was taken over from.
    pub(super) fn new(
        start: LeaseStart,
        client: Client,
        plan: &Plan,
        holder: &str,
        host: String,
        before: BTreeSet<String>,
    ) -> Rc<Self> {
        let LeaseStart {
            grace,
            store,
            thread,
        } = start;
        let terms = LeaseTerms::new(&plan.flow, &plan.run, grace);
        let kept = Arc::new(Kept::new(client, store, terms, holder, host, before));
        Rc::new(Self { kept, thread })
    }

    /// What containers are told.
    pub(super) fn terms(&self) -> &LeaseTerms {
        &self.kept.terms
    }

    /// Before the first job: nobody else may have a lease, unless the run was taken over.
    pub(super) async fn begin(&self) -> anyhow::Result<()> {
        if self.kept.has_begun() {
            return Ok(());
        }
        let kept = Arc::clone(&self.kept);
        self.apart(async move { kept.begin().await }).await??;
        failpoint::reach("leased");
        Ok(())
    }

    /// Renews it for as long as this process drives the run.
    pub(super) fn renew_on_and_on(&self, events: mpsc::UnboundedSender<BatchEvent>) {
        let kept = Arc::clone(&self.kept);
        self.thread.spawn(async move {
            let word = kept.renew_on_and_on().await;
            // The driver is gone only when the engine ends.
            let _ = events.send(word);
        });
    }

    pub(super) async fn renew(&self) -> anyhow::Result<()> {
        let kept = Arc::clone(&self.kept);
        self.apart(async move { kept.renew().await }).await?
    }

    /// Before an effect outside: a launcher that was asleep asks first whether the run is still its own.
    pub(super) async fn confirm(&self) -> anyhow::Result<()> {
        if self.kept.is_cancelled() {
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
        self.kept.is_fresh()
    }

    /// Tells containers, and whoever might take over, that it is over. `Err` where another launcher drives the run.
    pub(super) async fn end(&self, state: LeaseState) -> Result<(), Fenced> {
        let kept = Arc::clone(&self.kept);
        let told = self.apart(async move { kept.end(state).await });
        let error = match tokio::time::timeout(LAST_WORD, told).await {
            Ok(Ok(Ok(()))) => return Ok(()),
            Ok(Ok(Err(error)) | Err(error)) => error,
            Err(_) => {
                tracing::warn!("the lease was not told the end in time");
                return Ok(());
            }
        };
        match error.downcast::<Fenced>() {
            Ok(fenced) => Err(fenced),
            Err(error) if error.is::<CancelledElsewhere>() => Ok(()),
            Err(error) => {
                tracing::warn!("the lease was not told the end: {error:#}");
                Ok(())
            }
        }
    }

    /// Done on the thread of the lease. What is not waited for any more goes on there.
    async fn apart<T: Send + 'static>(
        &self,
        act: impl Future<Output = T> + Send + 'static,
    ) -> anyhow::Result<T> {
        let done = self.thread.spawn(act).await;
        done.context("the thread that renews the lease has ended")
    }
}

/// A thread that lives as long as this process, and does what is spawned on it.
fn thread_apart() -> io::Result<runtime::Handle> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let handle = runtime.handle().clone();
    thread::Builder::new()
        .name("lease".to_owned())
        .spawn(move || runtime.block_on(std::future::pending::<()>()))?;
    Ok(handle)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// A busy engine is one that does not come back to its event loop.
    #[test]
    fn the_thread_goes_on_while_its_owner_is_busy() {
        let beats = Arc::new(AtomicUsize::new(0));
        let beating = Arc::clone(&beats);
        let engine = runtime::Builder::new_current_thread().build().unwrap();
        engine.block_on(async {
            thread_apart().unwrap().spawn(async move {
                loop {
                    beating.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            });
            while beats.load(Ordering::Relaxed) < 3 {
                thread::yield_now();
            }
        });
    }
}
