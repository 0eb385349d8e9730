//! What all parts of Batch share, and what they do by it: tell the driver, outlast services, ask the lease.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet, HashSet},
    path::PathBuf,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use aws::{
    batch::{Client, JobQueue, QueueLookup},
    s3::S3Store,
};
use datastore::KnownValues;
use model::{
    Attempt, Plan, TaskKey,
    batch::{Entry, JobDetail, JobId, Warning, overrides, terminate_reason},
};
use tokio::{
    sync::{Semaphore, SemaphorePermit, mpsc, watch as signal},
    time::Instant,
};

use super::{
    ArrayMin, BatchEvent, Launch, What,
    chain::Chain,
    fence,
    lease::Keeper,
    oom::{self, Raises},
    submit::Pending,
    watch::Watcher,
};
use crate::{disk::Disk, trouble::Trouble};

/// How long a run that was cancelled waits for its jobs, and for services that do not answer.
pub(super) const CANCEL_GRACE: Duration = Duration::from_secs(30);

/// How many attempts have their ends looked at, at the same time: about as many as there are requests to S3.
pub(super) const ENDS_AT_ONCE: usize = 64;

/// Services that may not answer for a while, and the disk, which may be full.
#[derive(Debug, Clone)]
pub(crate) struct Troubles {
    pub(crate) datastore: Rc<Trouble>,
    pub(crate) batch: Rc<Trouble>,
    pub(crate) disk: Rc<Disk>,
}

/// What all parts of this module share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) plan: Arc<Plan>,
    pub(super) client: Client,
    pub(super) store: Arc<S3Store>,
    pub(super) known: Arc<KnownValues>,
    pub(super) watcher: Watcher,
    pub(super) entry: Entry,
    pub(super) region: String,
    pub(super) queues: QueueLookup,
    pub(super) array_min: ArrayMin,
    pub(super) raises: Rc<Raises>,
    pub(super) registers_usage: bool,
    /// Attempts whose ends are looked at.
    pub(super) ends: Semaphore,
    /// Arrays that are being terminated.
    pub(super) ending: RefCell<HashSet<JobId>>,
    pub(super) warned: RefCell<BTreeSet<String>>,
    pub(super) metadata_root: Option<PathBuf>,
    pub(super) troubles: Troubles,
    pub(super) events: mpsc::UnboundedSender<BatchEvent>,
    pub(super) cancelled: signal::Receiver<bool>,
    pub(super) cancellation: Rc<Cancellation>,
    pub(super) chain: Rc<Chain>,
    /// None where the user wants no lease.
    pub(super) lease: Option<Rc<Keeper>>,
}

/// Whether the run was cancelled, and since when.
#[derive(Debug)]
pub(super) struct Cancellation {
    pub(super) cancelled: signal::Receiver<bool>,
    pub(super) at: Cell<Option<Instant>>,
}

impl Cancellation {
    /// Whether a run that was cancelled has waited long enough for services.
    pub(super) fn gives_up(&self) -> bool {
        if !*self.cancelled.borrow() {
            return false;
        }
        let since = self.at.get().unwrap_or_else(Instant::now);
        self.at.set(Some(since));
        since.elapsed() >= CANCEL_GRACE
    }
}

impl Shared {
    pub(super) fn tell(&self, task: TaskKey, attempt: Attempt, what: What) {
        // The driver is gone only when the engine ends.
        let _ = self.events.send(BatchEvent::Attempt {
            task,
            attempt,
            what,
        });
    }

    /// Waits until few enough others look at the end of an attempt, which takes many times the memory of waiting for it: those
    /// of an array come all at once.
    pub(super) async fn turn_to_end(&self) -> Option<SemaphorePermit<'_>> {
        self.ends.acquire().await.ok()
    }

    pub(super) fn break_down(&self, error: anyhow::Error) {
        let event = fence::last_word(error).unwrap_or_else(BatchEvent::Broken);
        let _ = self.events.send(event);
    }

    /// Before an effect on Batch: whether the run is still this launcher's. Where it is not, the driver has been told, and
    /// nothing may be done.
    pub(super) async fn is_ours(&self) -> bool {
        let Some(lease) = &self.lease else {
            return true;
        };
        let Err(error) = lease.confirm().await else {
            return true;
        };
        match fence::last_word(error) {
            Ok(word) => {
                let _ = self.events.send(word);
                false
            }
            // Silence never means that it was taken: the store may be out of reach.
            Err(error) => {
                tracing::warn!("the lease could not be read: {error:#}");
                true
            }
        }
    }

    /// Where Ferroflow has ended the job and this launcher has not, asks the lease whether the run was cancelled, so that
    /// the end of the job counts as that.
    pub(super) async fn notice_cancellation(&self, job: Option<&JobDetail>) {
        let why = job.and_then(|job| job.status_reason.as_deref());
        if why != Some(terminate_reason::CANCELLED) || *self.cancelled.borrow() {
            return;
        }
        if let Some(lease) = &self.lease
            && let Err(error) = lease.renew().await
        {
            match fence::last_word(error) {
                Ok(word) => drop(self.events.send(word)),
                Err(error) => tracing::warn!("the lease could not be read: {error:#}"),
            }
        }
    }

    /// An act on the datastore, again while that may help.
    pub(super) async fn on_datastore<T>(
        &self,
        act: impl AsyncFnMut() -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let trouble = &self.troubles.datastore;
        trouble.outlast(|| self.cancellation.gives_up(), act).await
    }

    /// An act on the datastore that writes on this machine, again while that may help.
    pub(super) async fn on_datastore_and_disk<T>(
        &self,
        mut act: impl AsyncFnMut() -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let gives_up = || self.cancellation.gives_up();
        let act = async || self.on_datastore(&mut act).await;
        self.troubles.disk.wait_for_room(gives_up, act).await
    }

    /// An act on Batch, again while that may help.
    pub(super) async fn on_batch<T>(
        &self,
        act: impl AsyncFnMut() -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let trouble = &self.troubles.batch;
        trouble.outlast(|| self.cancellation.gives_up(), act).await
    }

    /// Says what a platform ignores, once per run and step.
    pub(super) fn warn_once(&self, launch: &Launch, warnings: &[Warning]) {
        for warning in warnings {
            self.say_once(launch, format!("Step {}: {warning}", launch.path.step));
        }
    }

    /// Says which variables of @environment an override has no room for, once per run and step.
    pub(super) fn tell_what_is_too_long(
        &self,
        launch: &Launch,
        too_long: &BTreeMap<String, String>,
    ) {
        if too_long.is_empty() {
            return;
        }
        let names: Vec<_> = too_long.keys().map(String::as_str).collect();
        let text = format!(
            "Step {}: @environment is longer than AWS Batch takes ({} characters with all else): \
             {} reach the task through the datastore.",
            launch.path.step,
            overrides::MAX_LENGTH,
            names.join(", ")
        );
        self.say_once(launch, text);
    }

    /// Says from how much to how much memory an attempt goes.
    pub(super) fn tell_of_more_memory(&self, pending: &Pending) {
        let launch = &pending.launch;
        if let Some(raise) = self.raises.of(launch.task, launch.attempt)
            && pending.number == 0
        {
            let text = oom::told(raise);
            self.tell(launch.task, launch.attempt, What::Said(text));
        }
    }

    /// As AWS has it, a job waits until somebody enables what could run it.
    pub(super) fn tell_that_jobs_will_wait(&self, launch: &Launch, queue: &JobQueue) {
        if let Some(idle) = &queue.idle {
            let text = format!(
                "Jobs in the queue {} wait: its compute environment {idle}. Enable it, or name another queue.",
                queue.name
            );
            self.say_once(launch, text);
        }
    }

    fn say_once(&self, launch: &Launch, text: String) {
        if self.warned.borrow_mut().insert(text.clone()) {
            self.tell(launch.task, launch.attempt, What::Said(text));
        }
    }
}
