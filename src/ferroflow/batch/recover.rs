//! What the launch chain tells a launcher that takes a run over: what its core has to repeat, and where each attempt went.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use anyhow::{Context, bail, ensure};
use aws::s3::S3Store;
use model::{
    Attempt, Plan, TaskId, TaskKey, Timestamp,
    launch_record::{Raise, Submission},
    opening::Opening,
    run_record::RunRecord,
};
use scheduler::Turn;

use super::{adopt::Adopted, chain, fence::Fenced, watch::OutcomePlace};
use crate::stored_run::{StoredRun, Told};

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
    /// What ran out of memory.
    pub(crate) raises: Vec<Raise>,
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
    let run = StoredRun {
        store: S3Store::clone(store),
        flow: plan.flow.clone(),
        run: plan.run.clone(),
    };
    let Some(opening) = run.opening().await? else {
        bail!(
            "run {} had not submitted any job\nhint: resume it",
            plan.run
        );
    };
    let mut recovered = Recovered {
        turns: Vec::new(),
        tasks: HashMap::new(),
        attempts: HashMap::new(),
        holders: BTreeSet::new(),
        raises: Vec::new(),
        next_seq: 0,
        plan: with_limits_of(plan, &opening)?,
        // Nothing depends on it.
        record: run.record().await.ok().flatten(),
    };
    loop {
        let last = recovered.read_on(&run).await?;
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

impl Recovered {
    /// Reads what the chain has more by now. Gives who wrote the last record of that.
    async fn read_on(&mut self, run: &StoredRun) -> anyhow::Result<Option<String>> {
        let mut last_holder = None;
        for told in run.told(self.next_seq).await? {
            self.take(&told)?;
            self.next_seq += 1;
            self.holders.insert(told.record.holder.clone());
            last_holder = Some(told.record.holder);
        }
        Ok(last_holder)
    }

    fn take(&mut self, Told { record, turns }: &Told) -> anyhow::Result<()> {
        if !turns.is_empty() {
            let turns: Vec<Turn> = serde_json::from_slice(turns)
                .context("a launch record tells what this version does not understand")?;
            self.turns.extend(turns);
        }
        self.raises.extend_from_slice(&record.raises);
        for local in &record.local {
            self.tasks.insert(local.key, local.task.task.clone());
            self.attempts
                .insert((local.key, local.attempt), Found::Local);
        }
        for submission in &record.submissions {
            self.take_submission(record.seq, record.at, submission);
        }
        Ok(())
    }

    /// A later launch of the same attempt takes the place of an earlier one, of which nothing can start any more.
    fn take_submission(&mut self, seq: u64, at: Timestamp, submission: &Submission) {
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
                at,
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
