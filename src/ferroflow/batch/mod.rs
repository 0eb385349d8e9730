//! Attempts on AWS Batch: one launch chain per run, one watcher for all jobs, and for each job a
//! small future that follows it to its end. Rules: docs/launch-protocol.md.
//!
//! The driver hands attempts over by [`Batch::launch`] and is told what becomes of them by
//! [`BatchEvent`]s; it never sees a job's states, only words for the console and the outcome.

mod adopt;
mod arrays;
mod budget;
mod chain;
mod end;
mod fence;
mod follow;
mod lease;
mod oom;
mod recover;
mod request;
mod submit;
mod tail;
mod usage;
mod waits;
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
    batch::{Entry, JobDetail, JobId, JobStatus, Warning, overrides, terminate_reason},
    failure::{Class, Explanation},
    launch_record::LocalMember,
    layout::Stream,
    lease::LeaseState,
    run_record::{ApiCalls, Launcher},
};
use scheduler::Outcome;
use tokio::{
    sync::{mpsc, watch as signal},
    time::Instant,
};

pub(crate) use self::{
    adopt::Adopted,
    arrays::ArrayMin,
    budget::calls_per_second,
    chain::Turns,
    fence::Fenced,
    lease::{LEASE, grace_of_environment},
    oom::OomRetries,
    recover::{Found, Recovered, recover},
    usage::is_wanted as wants_usage,
    waits::WhyAfter,
};
use self::{
    chain::{Chain, Links},
    lease::Keeper,
    oom::Raises,
    submit::{Pending, Submitter},
    watch::Watcher,
};
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
    /// The run is somebody else's.
    Fenced(Fenced),
    /// The run was cancelled from elsewhere.
    Cancelled,
}

/// What becomes of an attempt.
#[derive(Debug)]
pub(crate) enum What {
    /// Its job has an id.
    Submitted { job: String },
    /// Its job is in this state; each is told once.
    Status(JobStatus),
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
    /// What went wrong; nothing after a success.
    pub(crate) failure: Option<Failure>,
}

/// What went wrong in an attempt.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) class: Class,
    pub(crate) explanation: Explanation,
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
    /// After how long a wait is explained.
    pub(crate) why_after: WhyAfter,
    /// What follows attempts that ran out of memory.
    pub(crate) oom_retries: OomRetries,
    /// Whether what tasks used goes into their metadata.
    pub(crate) registers_usage: bool,
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
    raises: Raises,
    registers_usage: bool,
    /// Arrays that are being terminated.
    ending: RefCell<HashSet<JobId>>,
    warned: RefCell<BTreeSet<String>>,
    metadata_root: Option<PathBuf>,
    troubles: Troubles,
    events: mpsc::UnboundedSender<BatchEvent>,
    cancelled: signal::Receiver<bool>,
    cancellation: Rc<Cancellation>,
    chain: Rc<Chain>,
    /// None where the user wants no lease.
    lease: Option<Rc<Keeper>>,
}

/// Whether the run was cancelled, and since when.
#[derive(Debug)]
struct Cancellation {
    cancelled: signal::Receiver<bool>,
    at: Cell<Option<Instant>>,
}

impl Cancellation {
    /// Whether a run that was cancelled has waited long enough for services.
    fn gives_up(&self) -> bool {
        if !*self.cancelled.borrow() {
            return false;
        }
        let since = self.at.get().unwrap_or_else(Instant::now);
        self.at.set(Some(since));
        since.elapsed() >= CANCEL_GRACE
    }
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
        let event = fence::last_word(error).unwrap_or_else(BatchEvent::Broken);
        let _ = self.events.send(event);
    }

    /// Before an effect on Batch: whether the run is still this launcher's. Where it is not, the driver has been told, and
    /// nothing may be done.
    async fn is_ours(&self) -> bool {
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
    async fn notice_cancellation(&self, job: Option<&JobDetail>) {
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
    async fn on_datastore<T>(
        &self,
        act: impl AsyncFnMut() -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let trouble = &self.troubles.datastore;
        trouble.outlast(|| self.cancellation.gives_up(), act).await
    }

    /// An act on Batch, again while that may help.
    async fn on_batch<T>(&self, act: impl AsyncFnMut() -> anyhow::Result<T>) -> anyhow::Result<T> {
        let trouble = &self.troubles.batch;
        trouble.outlast(|| self.cancellation.gives_up(), act).await
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

    /// Says from how much to how much memory an attempt goes.
    fn tell_of_more_memory(&self, pending: &Pending) {
        let launch = &pending.launch;
        if let Some(raise) = self.raises.of(launch.task)
            && pending.number == 0
        {
            self.tell(launch.task, launch.attempt, What::Said(raise.to_string()));
        }
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

/// What Batch is started with.
#[derive(Debug)]
pub(crate) struct Start {
    pub(crate) client: Client,
    pub(crate) place: Place,
    pub(crate) launcher: Launcher,
    /// Drawn for this launcher alone.
    pub(crate) holder: String,
    /// How long tasks go on without a launcher; none where there is to be no lease.
    pub(crate) grace: Option<Duration>,
    /// Where the launch chain goes on, and who has written it so far, in a run that was taken over.
    pub(crate) taken_over: Option<(u64, BTreeSet<String>)>,
    pub(crate) turns: Turns,
}

/// Batch, as the driver holds it.
#[derive(Debug)]
pub(crate) struct Batch {
    client: Client,
    launches: mpsc::UnboundedSender<Launch>,
    coming: signal::Sender<usize>,
    cancel: Rc<signal::Sender<bool>>,
    again: mpsc::UnboundedSender<submit::Pending>,
    shared: Rc<Shared>,
}

impl Batch {
    /// Starts the submitter and the watcher of a run.
    pub(crate) fn start(
        plan: Arc<Plan>,
        start: Start,
        store: Arc<S3Store>,
        known: Arc<KnownValues>,
        troubles: Troubles,
        events: mpsc::UnboundedSender<BatchEvent>,
    ) -> Self {
        let Start { client, place, .. } = &start;
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
        let cancellation = Rc::new(Cancellation {
            cancelled: cancelled.clone(),
            at: Cell::default(),
        });
        let (chain, lease) = chain_and_lease(&start, &plan, &store, &troubles, &cancellation);
        tokio::task::spawn_local(waits::tell(
            place.why_after,
            client.clone(),
            watcher.clone(),
            troubles.clone(),
            cancelled.clone(),
        ));
        let handle = client.clone();
        let shared = Rc::new(Shared {
            metadata_root: plan.metadata_root.as_ref().map(PathBuf::from),
            plan,
            client: client.clone(),
            store,
            known,
            watcher,
            entry: place.entry.clone(),
            region: place.region.clone(),
            queues: place.queues,
            array_min: place.array_min,
            raises: Raises::new(place.oom_retries),
            registers_usage: place.registers_usage,
            ending: RefCell::default(),
            warned: RefCell::default(),
            troubles,
            events,
            cancelled,
            cancellation,
            chain,
            lease,
        });
        let (again, returned) = mpsc::unbounded_channel();
        let submitter = Submitter::new(Rc::clone(&shared), to_come, again.clone(), returned);
        tokio::task::spawn_local(submitter.run(queue));
        keep_lease(&shared);
        Self {
            client: handle,
            launches,
            coming,
            cancel: Rc::new(cancel),
            again,
            shared,
        }
    }

    /// Hands an attempt over.
    pub(crate) fn launch(&self, launch: Launch) {
        // The submitter ends only with this handle.
        let _ = self.launches.send(launch);
    }

    /// Hands an attempt over that another launcher had submitted, or was about to.
    pub(crate) fn adopt(&self, launch: Launch, adopted: Adopted) {
        let (shared, again) = (Rc::clone(&self.shared), self.again.clone());
        tokio::task::spawn_local(adopt::adopt(shared, launch, adopted, again));
    }

    /// Ends the job of an attempt that another launcher had submitted, and that nobody goes on with.
    pub(crate) fn end_adopted(&self, path: TaskPath, attempt: Attempt, adopted: Adopted) {
        let shared = Rc::clone(&self.shared);
        tokio::task::spawn_local(adopt::end(shared, path, attempt, adopted));
    }

    /// Writes down that an attempt is about to start on this machine.
    pub(crate) fn record_local(
        &self,
        local: LocalMember,
    ) -> impl Future<Output = anyhow::Result<()>> + use<> {
        let chain = Rc::clone(&self.shared.chain);
        async move { chain.append_local(vec![local]).await }
    }

    /// Tells how many attempts are being prepared: company is waited for as long as there may be some.
    pub(crate) fn expect(&self, coming: usize) {
        self.coming
            .send_if_modified(|before| std::mem::replace(before, coming) != coming);
    }

    /// Makes no call of AWS Batch any more.
    pub(crate) fn close(&self) {
        self.client.close();
    }

    /// Calls of AWS Batch so far, by action.
    pub(crate) fn calls(&self) -> BTreeMap<String, ApiCalls> {
        self.client.calls_so_far()
    }

    /// Terminates every job of this run and submits nothing more. Each attempt still ends by a
    /// [`What::Ended`]. The lease is told first: then no container starts a task any more, whatever becomes of this process.
    pub(crate) fn cancel(&self) {
        let (shared, cancel) = (Rc::clone(&self.shared), Rc::clone(&self.cancel));
        tokio::task::spawn_local(async move {
            if let Some(lease) = &shared.lease
                && let Err(fenced) = lease.end(LeaseState::Cancelled).await
            {
                return shared.break_down(fenced.into());
            }
            let _ = cancel.send(true);
        });
    }

    /// Whether this launcher surely drives the run: not if it was asleep, and has not asked since.
    pub(crate) fn drives_the_run(&self) -> bool {
        let lease = self.shared.lease.as_ref();
        lease.is_none_or(|lease| lease.is_fresh())
    }

    /// The run is over.
    pub(crate) async fn finish(&self) {
        if let Some(lease) = &self.shared.lease
            && let Err(fenced) = lease.end(LeaseState::Finished).await
        {
            tracing::warn!("at the end: {fenced}");
        }
    }
}

fn chain_and_lease(
    start: &Start,
    plan: &Plan,
    store: &Arc<S3Store>,
    troubles: &Troubles,
    cancellation: &Rc<Cancellation>,
) -> (Rc<Chain>, Option<Rc<Keeper>>) {
    let links = Links {
        client: start.client.clone(),
        store: Arc::clone(store),
        datastore: Rc::clone(&troubles.datastore),
        cancellation: Rc::clone(cancellation),
        holder: start.holder.clone(),
        turns: start.turns.clone(),
    };
    let (seq, before) = start.taken_over.clone().unwrap_or_default();
    let chain = Chain::new(links, plan, start.launcher.clone(), seq);
    let lease = start.grace.map(|grace| {
        let host = start.launcher.host.clone();
        Keeper::new(
            start.client.clone(),
            Arc::clone(store),
            plan,
            &start.holder,
            host,
            grace,
            before,
        )
    });
    (Rc::new(chain), lease)
}

fn keep_lease(shared: &Rc<Shared>) {
    if let Some(lease) = shared.lease.clone() {
        let events = shared.events.clone();
        tokio::task::spawn_local(lease.renew_on_and_on(move |word| {
            let _ = events.send(word);
        }));
    }
}
