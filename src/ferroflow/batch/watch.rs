//! One watcher for all jobs of a run: a DescribeJobs call serves a hundred of them, and outcomes
//! are looked for in the datastore, where they are written before Batch knows of the end.
//!
//! As long as one call serves them all, children of arrays are asked for like plain jobs. Beyond that only their arrays are,
//! whose summaries tell how many children have ended: of those whose outcomes are missing, Batch is asked why.

mod arrays;

use std::{
    cell::{Cell, RefCell},
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use aws::{
    batch::{BatchErrorKind, Client, Described},
    s3::S3Store,
};
use datastore::{ObjectStore, StoreError};
use model::{
    Plan,
    batch::{JobDetail, JobId, JobStatus},
    layout,
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::Instant,
};

use self::arrays::Arrays;
use super::{BatchEvent, Troubles};

/// Pause between two rounds while few jobs are watched.
const ROUND: Duration = Duration::from_secs(1);

/// Requests for outcomes in a round. Up to this many open ones are asked for one by one; more are
/// listed by record.
const MAX_LOOKS: usize = 32;

/// In one of so many rounds also jobs are looked at that Batch shows as waiting: none of them has an
/// outcome, unless what Batch shows is old.
const EVERYWHERE: usize = 15;

/// Of the jobs that wait, so many are asked for in each round, those that have waited longest: queues
/// are more or less first in, first out. A job is some 6 KB in an answer.
const FIRST_IN_LINE: usize = 8;

/// In one of so many rounds all jobs are asked for that wait.
const WHOLE_LINE: usize = 5;

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
    /// Since when Batch, asked for it, does not show it.
    pub(super) absent_since: Option<Instant>,
}

/// Where the outcome of a job will be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct OutcomePlace {
    pub(super) seq: u64,
    pub(super) index: u32,
}

/// How jobs that wait come in line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum InLine {
    /// Batch has shown it as RUNNABLE: in the order of submission.
    Shown(OutcomePlace),
    /// Batch was not asked for it, or does not show it: the last one, which is the likeliest to wait, first.
    NotShown(Reverse<OutcomePlace>),
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
    /// Starts the rounds. Outcomes are looked for whatever Batch does: a success needs no word
    /// from it.
    pub(super) fn start(rounds: Rounds) -> Self {
        let registry = Registry::default();
        let rounds = Rc::new(rounds);
        let of_batch = Rc::clone(&rounds).describe_on_and_on(Rc::clone(&registry));
        tokio::task::spawn_local(of_batch);
        tokio::task::spawn_local(rounds.look_on_and_on(Rc::clone(&registry)));
        Self { registry }
    }

    /// Whether any child of an array is watched.
    pub(super) fn watches_children_of(&self, array: &JobId) -> bool {
        let registry = self.registry.borrow();
        let mut watched = registry.iter().filter(|(_, entry)| !entry.seen.is_closed());
        watched.any(|(id, _)| id.parent().as_ref() == Some(array))
    }

    /// The jobs that are not known to have begun.
    pub(super) fn waiting(&self) -> HashMap<JobId, InLine> {
        let registry = self.registry.borrow();
        let open = registry.iter().filter(|(_, entry)| !entry.seen.is_closed());
        let waiting = open.filter_map(|(id, entry)| {
            let seen = entry.seen.borrow();
            let in_line = match seen.detail.as_ref().map(|detail| &detail.status) {
                Some(JobStatus::Runnable) => InLine::Shown(entry.place),
                None if !seen.outcome => InLine::NotShown(Reverse(entry.place)),
                _ => return None,
            };
            Some((id.clone(), in_line))
        });
        waiting.collect()
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

/// What rounds need.
pub(super) struct Rounds {
    pub(super) client: Client,
    pub(super) store: Arc<S3Store>,
    pub(super) plan: Arc<Plan>,
    pub(super) troubles: Troubles,
    pub(super) events: mpsc::UnboundedSender<BatchEvent>,
    pub(super) cancelled: watch::Receiver<bool>,
    /// Whether DescribeJobs has ever worked in this run.
    pub(super) described: Cell<bool>,
    pub(super) arrays: RefCell<Arrays>,
}

impl Rounds {
    async fn describe_on_and_on(self: Rc<Self>, registry: Registry) {
        for round in 0_usize.. {
            let began = Instant::now();
            registry
                .borrow_mut()
                .retain(|_, entry| !entry.seen.is_closed());
            // Those of a cancelled run end while they wait.
            let all = round.is_multiple_of(WHOLE_LINE) || *self.cancelled.borrow();
            let first_in_line = if all { usize::MAX } else { FIRST_IN_LINE };
            let ids = self
                .arrays
                .borrow_mut()
                .in_their_place(&registry.borrow(), first_in_line);
            let calls = ids.len().div_ceil(IDS_PER_CALL);
            if !ids.is_empty() {
                self.describe(&registry, &ids).await;
            }
            let spaced = Duration::from_millis((calls * 1000 / CALLS_PER_SECOND) as u64);
            tokio::time::sleep_until(began + ROUND.max(spaced)).await;
        }
    }

    async fn describe(&self, registry: &Registry, ids: &[JobId]) {
        let Described {
            found,
            ended_children,
            absent,
            error,
        } = self.client.describe_jobs(ids).await;
        match error {
            None => {
                self.described.set(true);
                self.troubles.batch.worked();
            }
            // Later a refusal is somebody's mistake on the way, a proxy's for instance, or will be mended.
            Some(error) if error.kind == BatchErrorKind::AccessDenied && !self.described.get() => {
                let hint = "the launcher cannot follow its jobs without batch:DescribeJobs";
                let error = anyhow::Error::new(error).context(hint);
                // The driver is gone only when the engine ends.
                let _ = self.events.send(BatchEvent::Broken(error));
            }
            // Silence never means dead: the next round asks again.
            Some(error) => self.troubles.batch.failed(&error),
        }
        self.arrays.borrow_mut().told(&found, &ended_children);
        let registry = registry.borrow();
        for (id, detail) in found {
            if let Some(entry) = registry.get(&id) {
                entry.seen.send_if_modified(|seen| {
                    let changed = seen.detail.as_ref() != Some(&detail);
                    seen.detail = Some(detail);
                    seen.absent_since = None;
                    changed
                });
            }
        }
        let now = Instant::now();
        for id in absent {
            if let Some(entry) = registry.get(&id) {
                entry.seen.send_if_modified(|seen| {
                    let is_news = seen.absent_since.is_none();
                    seen.absent_since.get_or_insert(now);
                    is_news
                });
            }
        }
    }

    async fn look_on_and_on(self: Rc<Self>, registry: Registry) {
        let mut last = None;
        for round in 1_usize.. {
            let began = Instant::now();
            let mut open = open_places(&registry);
            if !round.is_multiple_of(EVERYWHERE) {
                let registry = registry.borrow();
                open.retain(|_, id| !registry.get(id).is_some_and(Entry::waits));
            }
            let found = if open.len() <= MAX_LOOKS {
                self.heads(open.keys().copied()).await
            } else {
                self.lists(&open, round.is_multiple_of(EVERYWHERE), &mut last)
                    .await
            };
            for id in found.iter().filter_map(|place| open.get(place)) {
                if let Some(entry) = registry.borrow().get(id) {
                    entry.seen.send_modify(|seen| seen.outcome = true);
                }
            }
            tokio::time::sleep_until(began + ROUND).await;
        }
    }

    async fn heads(
        self: &Rc<Self>,
        places: impl Iterator<Item = OutcomePlace>,
    ) -> Vec<OutcomePlace> {
        let mut looks = JoinSet::new();
        for place in places {
            let this = Rc::clone(self);
            looks.spawn_local(async move {
                let key = layout::outcome(&this.plan.flow, &this.plan.run, place.seq, place.index);
                let found = this.store.head(&key).await.map(|found| found.is_some());
                Ok(if found? { vec![place] } else { Vec::new() })
            });
        }
        self.gather(looks).await
    }

    /// Lists the outcomes of some records with open jobs; the next round goes on behind them. Those of an array only when
    /// more of its children have ended, or everywhere.
    async fn lists(
        self: &Rc<Self>,
        open: &BTreeMap<OutcomePlace, JobId>,
        everywhere: bool,
        last: &mut Option<u64>,
    ) -> Vec<OutcomePlace> {
        let mut records: Vec<(u64, &JobId)> = open.iter().map(|(at, job)| (at.seq, job)).collect();
        records.dedup_by_key(|(seq, _)| *seq);
        records.retain(|(_, job)| everywhere || self.arrays.borrow().may_list(job));
        let begin = last.map_or(0, |last| records.partition_point(|(seq, _)| *seq <= last));
        let looked_at = records.len().min(MAX_LOOKS);
        let mut looks = JoinSet::new();
        for (seq, job) in records.iter().cycle().skip(begin).take(looked_at).copied() {
            self.arrays.borrow_mut().lists(job);
            *last = Some(seq);
            let this = Rc::clone(self);
            looks.spawn_local(async move {
                let folder = layout::outcome_folder(&this.plan.flow, &this.plan.run, seq);
                let index = |entry: &datastore::Entry| entry.key.rsplit('/').next()?.parse().ok();
                let entries = this.store.list(&folder).await?;
                let indices = entries.iter().filter_map(index);
                Ok(indices.map(|index| OutcomePlace { seq, index }).collect())
            });
        }
        self.gather(looks).await
    }

    async fn gather(
        &self,
        mut looks: JoinSet<Result<Vec<OutcomePlace>, StoreError>>,
    ) -> Vec<OutcomePlace> {
        let mut all = Vec::new();
        while let Some(look) = looks.join_next().await {
            match look {
                Ok(Ok(found)) => {
                    self.troubles.datastore.worked();
                    all.extend(found);
                }
                Ok(Err(error)) => {
                    let error = anyhow::Error::new(error);
                    self.troubles.datastore.failed(&format_args!("{error:#}"));
                }
                Err(error) => tracing::error!(%error, "a look for outcomes was lost"),
            }
        }
        all
    }
}

/// All jobs but those that wait, and so many of these, in the order of their submission.
fn to_describe(registry: &HashMap<JobId, Entry>, first_in_line: usize) -> Vec<JobId> {
    let (mut line, mut jobs): (Vec<_>, Vec<_>) =
        registry.iter().partition(|(_, entry)| entry.waits());
    if line.len() > first_in_line {
        line.select_nth_unstable_by_key(first_in_line, |(_, entry)| entry.place);
        line.truncate(first_in_line);
    }
    jobs.append(&mut line);
    jobs.into_iter().map(|(id, _)| id.clone()).collect()
}

impl Entry {
    /// Whether Batch has said how it ended.
    fn is_terminal(&self) -> bool {
        let seen = self.seen.borrow();
        let status = seen.detail.as_ref().map(|detail| &detail.status);
        status.is_some_and(JobStatus::is_terminal)
    }

    /// Whether Batch showed the job as not begun when it was last asked.
    fn waits(&self) -> bool {
        self.seen.borrow().detail.as_ref().is_some_and(|detail| {
            matches!(
                detail.status,
                JobStatus::Submitted | JobStatus::Pending | JobStatus::Runnable
            )
        })
    }
}

/// The jobs whose outcome is not known to be there.
fn open_places(registry: &Registry) -> BTreeMap<OutcomePlace, JobId> {
    let registry = registry.borrow();
    let open = registry
        .iter()
        .filter(|(_, entry)| !entry.seen.borrow().outcome);
    open.map(|(id, entry)| (entry.place, id.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn detail(id: &str, status: &str) -> JobDetail {
        JobDetail {
            id: JobId::new(id),
            name: String::new(),
            status: status.parse().unwrap_or_else(|never| match never {}),
            status_reason: None,
            container_reason: None,
            exit_code: None,
            log_stream: None,
            is_terminated: false,
            is_cancelled: false,
            created_at: None,
            started_at: None,
            stopped_at: None,
        }
    }

    #[test]
    fn of_a_long_line_the_first_are_asked_for() {
        let mut registry = HashMap::new();
        let mut add = |id: &str, seq, status: Option<&str>| {
            let seen = Seen {
                detail: status.map(|status| detail(id, status)),
                ..Seen::default()
            };
            let place = OutcomePlace { seq, index: 0 };
            let seen = watch::channel(seen).0;
            registry.insert(JobId::new(id), Entry { place, seen });
        };
        add("new", 9, None);
        add("running", 8, Some("RUNNING"));
        for seq in 0..8 {
            add(&format!("waits-{seq}"), seq, Some("RUNNABLE"));
        }
        let asked = |first| {
            let ids = to_describe(&registry, first);
            let mut ids: Vec<_> = ids.iter().map(ToString::to_string).collect();
            ids.sort();
            ids
        };
        assert_eq!(asked(2), ["new", "running", "waits-0", "waits-1"]);
        assert_eq!(asked(0), ["new", "running"]);
        assert_eq!(asked(usize::MAX).len(), 10);
        assert_eq!(asked(8).len(), 10);
    }
}
