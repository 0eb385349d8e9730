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
mod event;
mod fence;
mod follow;
mod lease;
mod obtain;
mod oom;
mod recover;
mod request;
mod shared;
mod submit;
mod tail;
mod terminate;
mod usage;
mod waits;
mod watch;

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    rc::Rc,
    sync::Arc,
};

use aws::{
    batch::{Client, QueueLookup},
    s3::S3Store,
};
use datastore::KnownValues;
use model::{
    Attempt, Plan, TaskPath,
    batch::Entry,
    launch_record::{LocalMember, Raise},
    lease::LeaseState,
    run_record::{ApiCalls, Launcher},
};
use tokio::sync::{Semaphore, mpsc, watch as signal};

pub(crate) use self::{
    adopt::Adopted,
    arrays::ArrayMin,
    budget::calls_per_second,
    chain::Turns,
    event::{BatchEvent, Ended, Failure, Launch, What},
    fence::Fenced,
    lease::{LEASE, LeaseStart},
    oom::OomRetries,
    recover::{Found, Recovered, recover},
    shared::Troubles,
    usage::is_wanted as wants_usage,
    waits::WhyAfter,
};
use self::{
    chain::{Chain, Links},
    lease::Keeper,
    oom::Raises,
    shared::{Cancellation, Shared},
    submit::Submitter,
    watch::Watcher,
};
use crate::failpoint;

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

/// What Batch is started with.
#[derive(Debug)]
pub(crate) struct Start {
    pub(crate) client: Client,
    pub(crate) place: Place,
    pub(crate) launcher: Launcher,
    /// Drawn for this launcher alone.
    pub(crate) holder: String,
    /// None where there is to be no lease.
    pub(crate) lease: Option<LeaseStart>,
    /// Where the launch chain goes on, and who has written it so far, in a run that was taken over.
    pub(crate) taken_over: Option<(u64, BTreeSet<String>)>,
    /// What ran out of memory then.
    pub(crate) raises: Vec<Raise>,
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
        let Start {
            client,
            place,
            launcher,
            holder,
            lease,
            taken_over,
            raises,
            turns,
        } = start;
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
        let raises = Rc::new(Raises::new(place.oom_retries, raises));
        let host = launcher.host.clone();
        let (seq, before) = taken_over.unwrap_or_default();
        let lease =
            lease.map(|lease| Keeper::new(lease, client.clone(), &plan, &holder, host, before));
        let links = Links {
            client: client.clone(),
            store: Arc::clone(&store),
            datastore: Rc::clone(&troubles.datastore),
            cancellation: Rc::clone(&cancellation),
            holder,
            turns,
            raises: Rc::clone(&raises),
        };
        let chain = Rc::new(Chain::new(links, &plan, launcher, seq));
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
            raises,
            registers_usage: place.registers_usage,
            ends: Semaphore::new(shared::ENDS_AT_ONCE),
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
        if let Some(lease) = &shared.lease {
            lease.renew_on_and_on(shared.events.clone());
        }
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
            failpoint::reach("cancelling");
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
