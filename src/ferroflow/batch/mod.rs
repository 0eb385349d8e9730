//! Attempts on AWS Batch: one launch chain per run, one watcher for all jobs, and for each job a
//! small future that follows it to its end. Rules: docs/launch-protocol.md.
//!
//! The driver hands attempts over by [`Batch::launch`] and is told what becomes of them by
//! [`BatchEvent`]s; it never sees a job's states, only words for the console and the outcome.

mod arrays;
mod end;
mod follow;
mod request;
mod submit;
mod tail;
mod watch;

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
use compute::host::BatchTask;
use datastore::KnownValues;
use model::{
    Attempt, Plan, TaskKey, TaskPath,
    batch::{Entry, JobId, Warning, overrides},
    layout::Stream,
};
use scheduler::Outcome;
use tokio::{
    sync::{mpsc, watch as signal},
    time::Instant,
};

pub(crate) use self::arrays::ArrayMin;
use self::{submit::Submitter, watch::Watcher};
use crate::trouble::Trouble;

/// How long a run that was cancelled waits for its jobs, and for services that do not answer.
const CANCEL_GRACE: Duration = Duration::from_secs(30);

/// An attempt that belongs on Batch.
#[derive(Debug)]
pub(crate) struct Launch {
    pub(crate) task: TaskKey,
    pub(crate) path: TaskPath,
    pub(crate) attempt: Attempt,
    pub(crate) command: BatchTask,
}

/// What Batch has to say.
#[derive(Debug)]
pub(crate) enum BatchEvent {
    /// Something became of an attempt.
    Attempt {
        task: TaskKey,
        attempt: Attempt,
        what: What,
    },
    /// The run cannot go on.
    Broken(anyhow::Error),
}

/// What becomes of an attempt.
#[derive(Debug)]
pub(crate) enum What {
    /// Its job has an id.
    Submitted { job: String },
    /// Something the user should read; it also goes into the launcher's log of the attempt.
    Said(String),
    /// Lines of the task's own log, each with its newline.
    Lines { stream: Stream, lines: Vec<Vec<u8>> },
    /// The submission was refused; nothing has run.
    Refused(String),
    /// It has ended, and all its lines were told.
    Ended(Ended),
}

/// How an attempt ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) outcome: Outcome,
    /// What went wrong, with its evidence and the fix; empty after a success.
    pub(crate) explanation: String,
}

/// What containers of this run are told about where they are.
#[derive(Debug)]
pub(crate) struct Place {
    /// How a container starts the bootstrap.
    pub(crate) entry: Entry,
    /// AWS_DEFAULT_REGION: the launcher's, as upstream passes it.
    pub(crate) region: String,
    /// How queues are looked up.
    pub(crate) queues: QueueLookup,
    /// From how many attempts on an array is made.
    pub(crate) array_min: ArrayMin,
}

/// Services that may not answer for a while.
#[derive(Debug, Clone)]
pub(crate) struct Troubles {
    pub(crate) datastore: Rc<Trouble>,
    pub(crate) batch: Rc<Trouble>,
}

/// What all parts of this module share.
#[derive(Debug)]
struct Shared {
    plan: Arc<Plan>,
    client: Client,
    store: Arc<S3Store>,
    known: Arc<KnownValues>,
    watcher: Watcher,
    entry: Entry,
    region: String,
    queues: QueueLookup,
    array_min: ArrayMin,
    /// Arrays that are being terminated.
    ending: RefCell<HashSet<JobId>>,
    warned: RefCell<BTreeSet<String>>,
    metadata_root: Option<PathBuf>,
    troubles: Troubles,
    events: mpsc::UnboundedSender<BatchEvent>,
    cancelled: signal::Receiver<bool>,
    cancelled_at: Cell<Option<Instant>>,
}

impl Shared {
    fn tell(&self, task: TaskKey, attempt: Attempt, what: What) {
        // The driver is gone only when the engine ends.
        let _ = self.events.send(BatchEvent::Attempt {
            task,
            attempt,
            what,
        });
    }

    fn break_down(&self, error: anyhow::Error) {
        let _ = self.events.send(BatchEvent::Broken(error));
    }

    /// Whether a run that was cancelled has waited long enough.
    fn gives_up(&self) -> bool {
        if !*self.cancelled.borrow() {
            return false;
        }
        let since = self.cancelled_at.get().unwrap_or_else(Instant::now);
        self.cancelled_at.set(Some(since));
        since.elapsed() >= CANCEL_GRACE
    }

    /// An act on the datastore, again while that may help.
    async fn on_datastore<T>(
        &self,
        act: impl AsyncFnMut() -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let trouble = &self.troubles.datastore;
        trouble.outlast(|| self.gives_up(), act).await
    }

    /// An act on Batch, again while that may help.
    async fn on_batch<T>(&self, act: impl AsyncFnMut() -> anyhow::Result<T>) -> anyhow::Result<T> {
        let trouble = &self.troubles.batch;
        trouble.outlast(|| self.gives_up(), act).await
    }

    /// Says what a platform ignores, once per run and step.
    fn warn_once(&self, launch: &Launch, warnings: &[Warning]) {
        for warning in warnings {
            self.say_once(launch, format!("Step {}: {warning}", launch.path.step));
        }
    }

    /// Says which variables of @environment an override has no room for, once per run and step.
    fn tell_what_is_too_long(&self, launch: &Launch, too_long: &BTreeMap<String, String>) {
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

    /// As AWS has it, a job waits until somebody enables what could run it.
    fn tell_that_jobs_will_wait(&self, launch: &Launch, queue: &JobQueue) {
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

/// Batch, as the driver holds it.
#[derive(Debug)]
pub(crate) struct Batch {
    launches: mpsc::UnboundedSender<Launch>,
    coming: signal::Sender<usize>,
    cancel: signal::Sender<bool>,
}

impl Batch {
    /// Starts the submitter and the watcher of a run.
    pub(crate) fn start(
        plan: Arc<Plan>,
        client: Client,
        store: Arc<S3Store>,
        known: Arc<KnownValues>,
        place: Place,
        troubles: Troubles,
        events: mpsc::UnboundedSender<BatchEvent>,
    ) -> Self {
        let (launches, queue) = mpsc::unbounded_channel();
        let (coming, to_come) = signal::channel(0);
        let (cancel, cancelled) = signal::channel(false);
        let rounds = watch::Rounds {
            client: client.clone(),
            store: Arc::clone(&store),
            plan: Arc::clone(&plan),
            troubles: troubles.clone(),
            events: events.clone(),
            cancelled: cancelled.clone(),
            described: Cell::default(),
            arrays: RefCell::default(),
        };
        let watcher = Watcher::start(rounds);
        let shared = Rc::new(Shared {
            metadata_root: plan.metadata_root.as_ref().map(PathBuf::from),
            plan,
            client,
            store,
            known,
            watcher,
            entry: place.entry,
            region: place.region,
            queues: place.queues,
            array_min: place.array_min,
            ending: RefCell::default(),
            warned: RefCell::default(),
            troubles,
            events,
            cancelled,
            cancelled_at: Cell::default(),
        });
        tokio::task::spawn_local(Submitter::new(shared, to_come).run(queue));
        Self {
            launches,
            coming,
            cancel,
        }
    }

    /// Hands an attempt over.
    pub(crate) fn launch(&self, launch: Launch) {
        // The submitter ends only with this handle.
        let _ = self.launches.send(launch);
    }

    /// Tells how many attempts are being prepared: company is waited for as long as there may be some.
    pub(crate) fn expect(&self, coming: usize) {
        self.coming
            .send_if_modified(|before| std::mem::replace(before, coming) != coming);
    }

    /// Terminates every job of this run and submits nothing more. Each attempt still ends by a
    /// [`What::Ended`].
    pub(crate) fn cancel(&self) {
        let _ = self.cancel.send(true);
    }
}
