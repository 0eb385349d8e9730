//! One watcher for all jobs of a run: a DescribeJobs call serves a hundred of them, and outcomes
//! are looked for in the datastore, where they are written before Batch knows of the end.

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use aws::{batch::Client, s3::S3Store};
use datastore::ObjectStore;
use model::{
    Plan,
    batch::{JobDetail, JobId},
    layout,
};
use tokio::{sync::watch, time::Instant};

/// Pause between two rounds while few jobs are watched.
const ROUND: Duration = Duration::from_secs(1);

/// Up to this many open outcomes are asked for one by one; more are listed by record.
const MAX_SINGLE_HEADS: usize = 32;

/// DescribeJobs serves this many ids (AWS Batch API reference, DescribeJobs).
const IDS_PER_CALL: usize = 100;

/// Rounds are spaced so that DescribeJobs stays below this many calls per second.
const CALLS_PER_SECOND: usize = 5;

/// What is known of a job.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    /// Its last description; `None` until Batch shows it.
    pub(super) detail: Option<JobDetail>,
    /// Whether its outcome is in the datastore.
    pub(super) outcome: bool,
}

/// Where the outcome of a job will be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct OutcomePlace {
    pub(super) seq: u64,
    pub(super) index: u32,
}

#[derive(Debug)]
struct Entry {
    place: OutcomePlace,
    seen: watch::Sender<Seen>,
}

type Registry = Rc<RefCell<HashMap<JobId, Entry>>>;

/// The handle to the watcher.
#[derive(Debug, Clone)]
pub(super) struct Watcher {
    registry: Registry,
}

impl Watcher {
    pub(super) fn start(client: Client, store: Arc<S3Store>, plan: Arc<Plan>) -> Self {
        let registry = Registry::default();
        let rounds = Rounds {
            registry: Rc::clone(&registry),
            client,
            store,
            plan,
        };
        tokio::task::spawn_local(rounds.run());
        Self { registry }
    }

    /// Begins to watch a job. It is forgotten when the receiver is dropped.
    pub(super) fn watch(&self, job: JobId, place: OutcomePlace) -> watch::Receiver<Seen> {
        let (seen, receiver) = watch::channel(Seen::default());
        self.registry
            .borrow_mut()
            .insert(job, Entry { place, seen });
        receiver
    }
}

struct Rounds {
    registry: Registry,
    client: Client,
    store: Arc<S3Store>,
    plan: Arc<Plan>,
}

impl Rounds {
    async fn run(self) {
        loop {
            let began = Instant::now();
            self.registry
                .borrow_mut()
                .retain(|_, entry| !entry.seen.is_closed());
            let open = self.registry.borrow().len();
            if open > 0 {
                tokio::join!(self.look_for_outcomes(), self.describe());
            }
            let calls = open.div_ceil(IDS_PER_CALL);
            let spaced = Duration::from_millis((calls * 1000 / CALLS_PER_SECOND) as u64);
            tokio::time::sleep_until(began + ROUND.max(spaced)).await;
        }
    }

    async fn describe(&self) {
        let ids: Vec<JobId> = self.registry.borrow().keys().cloned().collect();
        let found = match self.client.describe_jobs(&ids).await {
            Ok(found) => found,
            Err(error) => {
                // Silence never means dead: the next round asks again.
                tracing::warn!(%error, jobs = ids.len(), "cannot describe jobs");
                return;
            }
        };
        let registry = self.registry.borrow();
        for (id, detail) in found {
            if let Some(entry) = registry.get(&id) {
                entry.seen.send_if_modified(|seen| {
                    let changed = seen.detail.as_ref() != Some(&detail);
                    seen.detail = Some(detail);
                    changed
                });
            }
        }
    }

    async fn look_for_outcomes(&self) {
        let mut open: BTreeMap<OutcomePlace, JobId> = BTreeMap::new();
        for (id, entry) in self.registry.borrow().iter() {
            if !entry.seen.borrow().outcome {
                open.insert(entry.place, id.clone());
            }
        }
        if open.len() <= MAX_SINGLE_HEADS {
            for (place, id) in open {
                let key = layout::outcome(&self.plan.flow, &self.plan.run, place.seq, place.index);
                match self.store.head(&key).await {
                    Ok(Some(_)) => self.found(&id),
                    Ok(None) => {}
                    Err(error) => tracing::warn!(%error, "cannot look for an outcome"),
                }
            }
        } else {
            self.list_outcomes(&open).await;
        }
    }

    async fn list_outcomes(&self, open: &BTreeMap<OutcomePlace, JobId>) {
        let mut records: Vec<u64> = open.keys().map(|place| place.seq).collect();
        records.dedup();
        for seq in records {
            let folder = layout::outcome_folder(&self.plan.flow, &self.plan.run, seq);
            let entries = match self.store.list(&folder).await {
                Ok(entries) => entries,
                Err(error) => {
                    tracing::warn!(%error, "cannot list outcomes");
                    continue;
                }
            };
            for entry in entries {
                let index = entry
                    .key
                    .rsplit('/')
                    .next()
                    .and_then(|name| name.parse().ok());
                let place = index.map(|index| OutcomePlace { seq, index });
                if let Some(id) = place.and_then(|place| open.get(&place)) {
                    self.found(id);
                }
            }
        }
    }

    fn found(&self, id: &JobId) {
        if let Some(entry) = self.registry.borrow().get(id) {
            entry.seen.send_modify(|seen| seen.outcome = true);
        }
    }
}
