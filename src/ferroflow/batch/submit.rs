//! Submitting: launch record, then SubmitJob (docs/launch-protocol.md, "Submitting").
//!
//! SubmitJob has no idempotency token. What is about to be submitted is therefore first written
//! into the chain, and a container runs user code only after it has claimed its launch, so that
//! a job that was submitted twice runs once.

use std::{cell::RefCell, rc::Rc};

use anyhow::Context;
use datastore::{ObjectStore, PutMode, PutOptions, PutOutcome};
use model::{
    Timestamp,
    array_spec::{ArrayKey, MAX_CHILDREN},
    batch::JobRequest,
    launch_record::Planned,
    spec::PackageRef,
};
use tokio::sync::{mpsc, watch as signal};
use uuid::Uuid;

use super::{
    Launch, Shared, What, arrays,
    chain::{self, Written},
    fence::CancelledElsewhere,
    follow,
    obtain::submit_one,
    request,
    watch::OutcomePlace,
};
use crate::advice;

/// Plain jobs in one record: a record is written while earlier ones are still being submitted.
const MAX_PER_RECORD: usize = 100;

/// An attempt on its way to Batch, and how often it was decided to submit it.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) launch: Launch,
    pub(super) number: u32,
}

/// An attempt that a record names.
#[derive(Debug)]
pub(super) struct Recorded {
    pub(super) pending: Pending,
    pub(super) place: OutcomePlace,
    /// When it was decided to submit it.
    pub(super) at: Timestamp,
    /// What the job asks for, in MiB.
    pub(super) memory: Option<u64>,
    /// What may come after that if it was too little.
    pub(super) more_memory: Option<u64>,
}

/// A SubmitJob call that a record names: of one attempt, or of several as an array.
#[derive(Debug)]
pub(super) struct Submission {
    pub(super) request: JobRequest,
    pub(super) members: Vec<Recorded>,
}

/// Attempts that ask for the same, and what they ask for.
struct Group {
    job: request::Job,
    members: Vec<Pending>,
}

pub(super) struct Submitter {
    shared: Rc<Shared>,
    /// Whether the store was asked if it can hold two launchers apart.
    has_checked_store: bool,
    /// How many attempts are being prepared.
    coming: signal::Receiver<usize>,
    again: mpsc::UnboundedSender<Pending>,
    returned: mpsc::UnboundedReceiver<Pending>,
}

impl Submitter {
    pub(super) fn new(
        shared: Rc<Shared>,
        coming: signal::Receiver<usize>,
        again: mpsc::UnboundedSender<Pending>,
        returned: mpsc::UnboundedReceiver<Pending>,
    ) -> Self {
        Self {
            shared,
            has_checked_store: false,
            coming,
            again,
            returned,
        }
    }

    pub(super) async fn run(mut self, mut queue: mpsc::UnboundedReceiver<Launch>) {
        loop {
            let mut batch = Vec::new();
            tokio::select! {
                launch = queue.recv() => match launch {
                    Some(launch) => batch.push(Pending { launch, number: 0 }),
                    None => return,
                },
                Some(pending) = self.returned.recv() => batch.push(pending),
            }
            self.wait_for_company().await;
            while let Ok(pending) = self.returned.try_recv() {
                batch.push(pending);
            }
            while batch.len() < MAX_CHILDREN {
                let Ok(launch) = queue.try_recv() else { break };
                batch.push(Pending { launch, number: 0 });
            }
            self.submit(batch).await;
        }
    }

    /// Siblings are prepared one after the other, and could go out as one array.
    async fn wait_for_company(&mut self) {
        if self.shared.array_min.is_on() {
            let patience = arrays::patience(*self.coming.borrow());
            let nobody = self.coming.wait_for(|coming| *coming == 0);
            let _ = tokio::time::timeout(patience, nobody).await;
        }
    }

    async fn submit(&mut self, batch: Vec<Pending>) {
        let mut requested: Vec<(Pending, request::Job)> = Vec::new();
        for pending in batch {
            let shared = &self.shared;
            let shares = |(last, _): &&(Pending, _)| {
                let (last, this) = (&last.launch, &pending.launch);
                last.path.step == this.path.step && this.command.shares_with(&last.command)
            };
            if let Some((_, job)) = requested.last().filter(shares) {
                let job = job.clone();
                requested.push((pending, job));
                continue;
            }
            // Boxed: one at a time, and large.
            let job = Box::pin(job_of(shared, &pending.launch));
            match until_cancelled(shared, job).await {
                None => follow::never_submitted(shared, &pending.launch),
                Some(Ok(job)) => {
                    shared.tell_of_more_memory(&pending);
                    requested.push((pending, job));
                }
                Some(Err(error)) => self.refuse(&pending.launch, &advice::explained(&error)),
            }
        }
        let same = |(one, its): &(Pending, request::Job), (other, others): &(Pending, _)| {
            one.launch.attempt == other.launch.attempt
                && one.launch.path.step == other.launch.path.step
                && its == others
        };
        let groups = self.shared.array_min.divide(requested, same);
        for groups in records(groups) {
            match self.record(groups).await {
                Ok(submissions) => {
                    for one in submissions {
                        let (shared, again) = (Rc::clone(&self.shared), self.again.clone());
                        tokio::task::spawn_local(submit_one(shared, one, again));
                    }
                }
                Err(error) => return self.shared.break_down(error),
            }
        }
    }

    /// Writes the next record of the chain: what becomes jobs, and who may start them.
    async fn record(&mut self, groups: Vec<Group>) -> anyhow::Result<Vec<Submission>> {
        let shared = &self.shared;
        if let Some(lease) = &shared.lease {
            match shared.on_datastore(async || lease.begin().await).await {
                // What is not submitted any more still has to end.
                Err(error) if error.is::<CancelledElsewhere>() => shared.break_down(error),
                begun => begun?,
            }
        }
        let package = package(&groups).context("a record of nothing")?;
        let submissions = RefCell::new(Vec::new());
        let at = chain::now();
        let plan = |seq| {
            let mut index = 0_u32..;
            let mut planned = Vec::new();
            for Group { job, members } in groups {
                let places = (&mut index).map(|index| OutcomePlace { seq, index });
                let members = members.into_iter().zip(places);
                let members = members.map(|(pending, place)| Recorded {
                    pending,
                    place,
                    at,
                    memory: job.memory(),
                    more_memory: job.more_memory(),
                });
                let members: Vec<_> = members.collect();
                planned.push(self.plan(&job, &members)?);
                submissions.borrow_mut().push((job, members));
            }
            Ok(planned)
        };
        let spec = |job: usize, member: usize| {
            let recorded = &submissions.borrow()[job].1[member];
            Ok(request::spec(shared, &recorded.pending, recorded.place)?)
        };
        let written = shared.chain.append_jobs(&package, plan, spec).await?;
        let Written {
            key,
            places,
            planned,
        } = written;
        let submissions = submissions.into_inner();
        if !std::mem::replace(&mut self.has_checked_store, true) {
            let check = warn_of_a_store_without_conditions(Rc::clone(shared), key.clone());
            tokio::task::spawn_local(check);
        }
        let names = planned.into_iter().map(|planned| planned.job_name);
        let all = submissions.into_iter().zip(names).zip(&places);
        Ok(all
            .map(|(((job, members), name), place)| Submission {
                request: job.request(shared, &members, name, &key, place),
                members,
            })
            .collect())
    }

    fn plan(&self, job: &request::Job, members: &[Recorded]) -> anyhow::Result<Planned> {
        let first = members.first().context("a submission of nothing")?;
        Ok(Planned {
            job_name: request::name(&self.shared, &first.pending, first.place.seq),
            queue: job.queue.clone(),
            definition: job.definition.clone(),
            resources: job.resources().clone(),
            members: members.iter().map(|one| one.pending.launch.task).collect(),
            key: (members.len() > 1).then(array_key),
        })
    }

    fn refuse(&self, launch: &Launch, why: &str) {
        let what = What::Refused(why.to_owned());
        self.shared.tell(launch.task, launch.attempt, what);
    }
}

/// The code of a run: one package for all.
fn package(groups: &[Group]) -> Option<PackageRef> {
    let launch = &groups.first()?.members.first()?.launch;
    Some(launch.command.common().code.package.clone())
}

/// Some stores that look like S3 ignore `If-None-Match`; then a claim holds nothing off. The first
/// record is created once more, which must fail.
async fn warn_of_a_store_without_conditions(shared: Rc<Shared>, key: String) {
    let Ok(Some(there)) = shared.store.get(&key).await else {
        return;
    };
    let options = PutOptions {
        mode: PutMode::CreateOnly,
        user_metadata: None,
    };
    let written = shared.store.put(&key, there.body, options).await;
    if matches!(written, Ok(PutOutcome::Written)) {
        let text = "The datastore ignores conditional writes (If-None-Match): a job that AWS Batch \
                    starts twice may run its task twice.";
        shared.troubles.datastore.say(text.to_owned());
    }
}

/// What goes into one record: an array has its own, whose outcomes are then listed by themselves.
fn records(groups: Vec<Vec<(Pending, request::Job)>>) -> Vec<Vec<Group>> {
    let mut records: Vec<Vec<Group>> = Vec::new();
    let mut plain = Vec::new();
    for group in groups {
        let is_array = group.len() > 1;
        let (members, mut jobs): (Vec<_>, Vec<_>) = group.into_iter().unzip();
        let Some(job) = jobs.pop() else { continue };
        let group = Group { job, members };
        if is_array {
            records.push(vec![group]);
        } else {
            plain.push(group);
        }
    }
    while !plain.is_empty() {
        let rest = plain.split_off(plain.len().min(MAX_PER_RECORD));
        records.push(std::mem::replace(&mut plain, rest));
    }
    records
}

fn array_key() -> ArrayKey {
    let (one, two) = (Uuid::new_v4(), Uuid::new_v4());
    let mut key = [0; 32];
    key[..16].copy_from_slice(one.as_bytes());
    key[16..].copy_from_slice(two.as_bytes());
    ArrayKey(key)
}

/// What is known of a job before it has a name; asked again while Batch does not answer.
async fn job_of(shared: &Shared, launch: &Launch) -> anyhow::Result<request::Job> {
    let ask = async || request::job(shared, launch).await;
    shared.on_batch(ask).await
}

/// `None` when the run was cancelled before `act` was done.
pub(super) async fn until_cancelled<T>(shared: &Shared, act: impl Future<Output = T>) -> Option<T> {
    let mut cancelled = shared.cancelled.clone();
    tokio::select! {
        biased;
        _ = cancelled.wait_for(|cancelled| *cancelled) => None,
        done = act => Some(done),
    }
}
