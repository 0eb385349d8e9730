//! What the launch chain tells a launcher that takes a run over: what its core has to repeat, and where each attempt went.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use anyhow::{Context, bail, ensure};
use aws::s3::S3Store;
use datastore::ObjectStore;
use model::{
    Attempt, Plan, TaskId, TaskKey,
    launch_record::{LaunchRecord, Submission},
    layout,
    opening::Opening,
    run_record::RunRecord,
};
use scheduler::Turn;
use tokio::task::JoinSet;

use super::{adopt::Adopted, chain, fence::Fenced, watch::OutcomePlace};

/// Records that are read at the same time.
const AT_ONCE: usize = 16;

/// A run whose chain this launcher has taken over.
#[derive(Debug)]
pub(crate) struct Recovered {
    /// What the core has to repeat.
    pub(crate) turns: Vec<Turn>,
    /// Ids of tasks, as the metadata provider gave them.
    pub(crate) tasks: HashMap<TaskKey, TaskId>,
    /// Where attempts went.
    pub(crate) attempts: HashMap<(TaskKey, Attempt), Found>,
    /// Who has written the chain so far.
    pub(crate) holders: BTreeSet<String>,
    /// Where the chain goes on.
    pub(crate) next_seq: u64,
    /// The plan with which the run began.
    pub(crate) plan: Plan,
    /// What `ferroflow status` was told last.
    pub(crate) record: Option<RunRecord>,
}

/// Where an attempt went.
#[derive(Debug, Clone)]
pub(crate) enum Found {
    /// It was a process of the launcher's machine, and has ended with that launcher.
    Local,
    /// It was submitted, or was about to be.
    Batch(Adopted),
}

/// Takes over the chain of the run from the launcher `from`.
///
/// # Errors
///
/// Where the run cannot be taken over: it never had a job, its flow is another one now, or somebody else was faster.
pub(crate) async fn recover(
    store: &Arc<S3Store>,
    plan: &Plan,
    holder: &str,
    from: &str,
) -> anyhow::Result<Recovered> {
    let opening = opening(store, plan).await?;
    let mut recovered = Recovered {
        turns: Vec::new(),
        tasks: HashMap::new(),
        attempts: HashMap::new(),
        holders: BTreeSet::new(),
        next_seq: 0,
        plan: with_limits_of(plan, &opening)?,
        record: record(store, plan).await,
    };
    loop {
        let last = recovered.read_on(store, plan).await?;
        // Whoever has written since then has taken it over first.
        ensure!(
            last.as_deref() == Some(from),
            "another launcher ({}) has taken the run over meanwhile\nhint: `ferroflow status` tells how the run stands",
            last.unwrap_or_default()
        );
        match chain::take_over(store, plan, holder, from, recovered.next_seq).await {
            Ok(next_seq) => {
                recovered.next_seq = next_seq;
                return Ok(recovered);
            }
            // A launcher that lives, and does not know yet, has written one more.
            Err(error) if error.is::<Fenced>() => tracing::info!("{error:#}"),
            Err(error) => return Err(error),
        }
    }
}

async fn opening(store: &S3Store, plan: &Plan) -> anyhow::Result<Opening> {
    let key = layout::opening(&plan.flow, &plan.run);
    let Some(object) = store.get(&key).await? else {
        bail!(
            "run {} had not submitted any job\nhint: resume it",
            plan.run
        );
    };
    serde_json::from_slice(&object.body)
        .with_context(|| format!("the opening `{key}` is not what this version writes"))
}

/// Nothing depends on it.
async fn record(store: &S3Store, plan: &Plan) -> Option<RunRecord> {
    let key = layout::run_record(&plan.flow, &plan.run);
    let object = store.get(&key).await.ok()??;
    serde_json::from_slice(&object.body).ok()
}

/// Replay needs the limits of then: they decide when what was launched.
fn with_limits_of(plan: &Plan, opening: &Opening) -> anyhow::Result<Plan> {
    let begun = &opening.plan;
    ensure!(
        plan.graph == begun.graph && plan.steps == begun.steps && plan.params == begun.params,
        "the flow is not the one that the run was begun with: its steps or their decorators differ"
    );
    Ok(Plan {
        limits: begun.limits,
        ..plan.clone()
    })
}

/// The objects of these records, in order.
async fn read(
    store: &Arc<S3Store>,
    plan: &Plan,
    seqs: std::ops::Range<u64>,
) -> anyhow::Result<Vec<bytes::Bytes>> {
    let mut reading = JoinSet::new();
    for seq in seqs {
        let key = layout::launch_record(&plan.flow, &plan.run, seq);
        let store = Arc::clone(store);
        reading.spawn_local(async move { (seq, store.get(&key).await, key) });
    }
    let mut objects = Vec::new();
    while let Some(done) = reading.join_next().await {
        let (seq, object, key) = done.context("reading was interrupted")?;
        let object = object?.with_context(|| format!("the launch record `{key}` is missing"))?;
        objects.push((seq, object.body));
    }
    objects.sort_by_key(|(seq, _)| *seq);
    Ok(objects.into_iter().map(|(_, object)| object).collect())
}

impl Recovered {
    /// Reads what the chain has more by now. Gives who wrote the last record of that.
    async fn read_on(
        &mut self,
        store: &Arc<S3Store>,
        plan: &Plan,
    ) -> anyhow::Result<Option<String>> {
        let prefix = format!("{}/launch/", layout::run_folder(&plan.flow, &plan.run));
        let listed = store.list(&prefix).await;
        let count = listed.context("cannot list the launch chain")?.len() as u64;
        let mut last_holder = None;
        for first in (self.next_seq..count).step_by(AT_ONCE) {
            for object in read(store, plan, first..count.min(first + AT_ONCE as u64)).await? {
                let record = LaunchRecord::read(&object).context("a launch record is damaged")?;
                self.take(&record, LaunchRecord::turns(&object))?;
                self.holders.insert(record.holder.clone());
                last_holder = Some(record.holder);
            }
        }
        self.next_seq = count;
        Ok(last_holder)
    }

    fn take(&mut self, record: &LaunchRecord, turns: &[u8]) -> anyhow::Result<()> {
        if !turns.is_empty() {
            let turns: Vec<Turn> = serde_json::from_slice(turns)
                .context("a launch record tells what this version does not understand")?;
            self.turns.extend(turns);
        }
        for local in &record.local {
            self.tasks.insert(local.key, local.task.task.clone());
            self.attempts
                .insert((local.key, local.attempt), Found::Local);
        }
        for submission in &record.submissions {
            self.take_submission(record.seq, submission);
        }
        Ok(())
    }

    /// A later launch of the same attempt takes the place of an earlier one, of which nothing can start any more.
    fn take_submission(&mut self, seq: u64, submission: &Submission) {
        let Some(first) = submission.members.first() else {
            return;
        };
        for (child, member) in (0_u32..).zip(&submission.members) {
            self.tasks.insert(member.key, member.task.task.clone());
            let adopted = Adopted {
                place: OutcomePlace {
                    seq,
                    index: member.index,
                },
                launch: member.launch,
                job_name: submission.job_name.clone(),
                queue: submission.queue.clone(),
                id_index: first.index,
                child: submission.is_array.then_some(child),
            };
            self.attempts
                .insert((member.key, member.attempt), Found::Batch(adopted));
        }
    }
}
