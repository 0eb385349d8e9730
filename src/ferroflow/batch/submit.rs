//! Submitting: launch record, then SubmitJob (docs/launch-protocol.md, "Submitting").
//!
//! SubmitJob has no idempotency token. What is about to be submitted is therefore first written
//! into the chain, and a container runs user code only after it has claimed its launch, so that
//! a job that was submitted twice runs once.

use std::{rc::Rc, time::Duration};

use anyhow::{Context, anyhow};
use aws::batch::SubmitError;
use bytes::Bytes;
use datastore::{ObjectStore, PutMode, PutOptions, PutOutcome};
use model::{
    Timestamp,
    array_spec::{ArrayKey, MAX_CHILDREN},
    batch::{JobId, JobRequest},
    launch_record::{self, Planned},
    layout,
    spec::Claim,
};
use tokio::sync::{mpsc, watch as signal};
use uuid::Uuid;

use super::{Launch, Shared, What, arrays, end, follow, request, watch::OutcomePlace};
use crate::{advice, trouble::jittered};

/// Plain jobs in one record: a record is written while earlier ones are still being submitted.
const MAX_PER_RECORD: usize = 100;

/// Pause before SubmitJob is called again; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How often a submission whose reply was lost is sent again.
const MAX_RESENDS: u32 = 5;

/// How long a job that may exist is looked for by its name: listings lag.
const LOOKUP: Duration = Duration::from_secs(10);
/// A twin of an array costs more.
const LOOKUP_OF_ARRAY: Duration = Duration::from_mins(1);

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
    /// What the job asks for, in MiB.
    pub(super) memory: Option<u64>,
}

/// A SubmitJob call that a record names: of one attempt, or of several as an array.
#[derive(Debug)]
struct Submission {
    request: JobRequest,
    members: Vec<Recorded>,
}

/// Attempts that ask for the same, and what they ask for.
struct Group {
    job: request::Job,
    members: Vec<Pending>,
}

pub(super) struct Submitter {
    shared: Rc<Shared>,
    holder: String,
    next_seq: u64,
    /// How many attempts are being prepared.
    coming: signal::Receiver<usize>,
    again: mpsc::UnboundedSender<Pending>,
    returned: mpsc::UnboundedReceiver<Pending>,
}

impl Submitter {
    pub(super) fn new(shared: Rc<Shared>, coming: signal::Receiver<usize>) -> Self {
        let (again, returned) = mpsc::unbounded_channel();
        Self {
            shared,
            holder: Uuid::new_v4().to_string(),
            next_seq: 0,
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
                Some(Ok(job)) => requested.push((pending, job)),
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

    /// Writes the next record of the chain. A record that is there already was written by
    /// somebody else: this launcher no longer owns the run.
    async fn record(&mut self, groups: Vec<Group>) -> anyhow::Result<Vec<Submission>> {
        let seq = self.next_seq;
        let mut index = 0_u32..;
        let (mut planned, mut submissions) = (Vec::new(), Vec::new());
        for Group { job, members } in groups {
            let places = (&mut index).map(|index| OutcomePlace { seq, index });
            let members = members.into_iter().zip(places);
            let members = members.map(|(pending, place)| Recorded {
                pending,
                place,
                memory: job.memory(),
            });
            let members: Vec<_> = members.collect();
            planned.push(self.plan(&job, &members)?);
            submissions.push((job, members));
        }
        let now = Timestamp(jiff::Timestamp::now().as_millisecond());
        let spec = |job: usize, member: usize| {
            let recorded = &submissions[job].1[member];
            Ok::<_, anyhow::Error>(request::spec(
                &self.shared,
                &recorded.pending,
                recorded.place,
            )?)
        };
        let (object, places) = launch_record::encode(seq, &self.holder, now, &planned, spec)
            .context("cannot write down what is to be submitted")?;
        let key = layout::launch_record(&self.shared.plan.flow, &self.shared.plan.run, seq);
        let object = Bytes::from(object);
        self.shared
            .on_datastore(async || self.write_record(&key, &object).await)
            .await?;
        if seq == 0 {
            let check = warn_of_a_store_without_conditions(Rc::clone(&self.shared), key.clone());
            tokio::task::spawn_local(check);
        }
        self.next_seq += 1;
        let names = planned.into_iter().map(|planned| planned.job_name);
        let all = submissions.into_iter().zip(names).zip(&places);
        Ok(all
            .map(|(((job, members), name), place)| Submission {
                request: job.request(&self.shared, &members, name, &key, place),
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
            members: members.iter().map(|one| one.pending.launch.task).collect(),
            key: (members.len() > 1).then(array_key),
        })
    }

    async fn write_record(&self, key: &str, object: &Bytes) -> anyhow::Result<()> {
        let options = PutOptions {
            mode: PutMode::CreateOnly,
            user_metadata: None,
        };
        let written = self.shared.store.put(key, object.clone(), options).await;
        let written = written.with_context(|| format!("cannot write the launch record `{key}`"))?;
        if written == PutOutcome::AlreadyExists && !self.is_mine(key, object).await? {
            return Err(anyhow!(
                "another launcher drives this run: it wrote the launch record `{key}`"
            ));
        }
        Ok(())
    }

    /// A write whose reply was lost is found again as one's own.
    async fn is_mine(&self, key: &str, object: &[u8]) -> anyhow::Result<bool> {
        let there = self.shared.store.get(key).await?;
        Ok(there.is_some_and(|there| there.body == object))
    }

    fn refuse(&self, launch: &Launch, why: &str) {
        let what = What::Refused(why.to_owned());
        self.shared.tell(launch.task, launch.attempt, what);
    }
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

/// What came of a submission.
enum Obtained {
    /// A job.
    Job(JobId),
    /// The run was cancelled before a job can have existed.
    Nothing,
    /// Batch will not take it.
    Refused(String),
    /// It was given up after a reply had been lost: a job of it may exist.
    GivenUp(String),
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

/// Submits one job and follows it, or all its children, to their ends.
async fn submit_one(
    shared: Rc<Shared>,
    submission: Submission,
    again: mpsc::UnboundedSender<Pending>,
) {
    let obtained = obtain_job(&shared, &submission).await;
    let is_array = submission.request.array_size.is_some();
    for (index, recorded) in (0_u32..).zip(submission.members) {
        let (shared, again) = (Rc::clone(&shared), again.clone());
        match &obtained {
            Obtained::Job(job) => {
                let job = if is_array {
                    job.child(index)
                } else {
                    job.clone()
                };
                tokio::task::spawn_local(follow::follow(shared, recorded, job, again));
            }
            Obtained::Nothing => follow::never_submitted(&shared, &recorded.pending.launch),
            Obtained::Refused(why) => refused(&shared, &recorded, why.clone()),
            Obtained::GivenUp(why) => {
                tokio::task::spawn_local(give_up(shared, recorded, why.clone(), again));
            }
        }
    }
}

/// From here on no job of it can start; one that has started is followed.
async fn give_up(
    shared: Rc<Shared>,
    recorded: Recorded,
    why: String,
    again: mpsc::UnboundedSender<Pending>,
) {
    let claim = shared
        .on_datastore(async || end::claim(&shared, &recorded).await)
        .await;
    match claim {
        Ok(Some(Claim::Claimed { job, .. })) => {
            follow::follow(shared, recorded, JobId::new(job), again).await;
        }
        Ok(Some(Claim::Revoked { .. }) | None) => refused(&shared, &recorded, why),
        Err(error) => shared.break_down(error),
    }
}

fn refused(shared: &Shared, recorded: &Recorded, why: String) {
    let launch = &recorded.pending.launch;
    shared.tell(launch.task, launch.attempt, What::Refused(why));
}

/// Sends until there is an answer.
async fn obtain_job(shared: &Shared, submission: &Submission) -> Obtained {
    let trouble = &shared.troubles.batch;
    let mut pause = FIRST_PAUSE;
    let mut resends = 0;
    loop {
        if !admitted(shared).await {
            return if resends == 0 {
                Obtained::Nothing
            } else {
                Obtained::GivenUp("The run was cancelled.".to_owned())
            };
        }
        match shared.client.submit_job(&submission.request).await {
            Ok(job) => {
                trouble.worked();
                return Obtained::Job(job);
            }
            Err(SubmitError::Refused(answer)) => {
                let why = advice::explained_refusal("SubmitJob", &answer);
                return if resends == 0 {
                    Obtained::Refused(why)
                } else {
                    Obtained::GivenUp(why)
                };
            }
            Err(SubmitError::Throttled) => {}
            Err(SubmitError::NotSent(why)) => trouble.failed(&why),
            Err(SubmitError::Unknown(why)) => {
                tracing::warn!(why, job = submission.request.name, "SubmitJob: no reply");
                if let Some(job) = find_by_name(shared, &submission.request).await {
                    return Obtained::Job(job);
                }
                resends += 1;
                if resends > MAX_RESENDS {
                    let why = format!("SubmitJob gave no answer {resends} times: {why}");
                    return Obtained::GivenUp(why);
                }
            }
        }
        pause_unless_cancelled(shared, pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// What is known of a job before it has a name; asked again while Batch does not answer.
async fn job_of(shared: &Shared, launch: &Launch) -> anyhow::Result<request::Job> {
    let ask = async || request::job(shared, launch).await;
    shared.on_batch(ask).await
}

/// Waits for its turn. False when the run was cancelled: from then on nothing is submitted.
async fn admitted(shared: &Shared) -> bool {
    let turn = shared.client.may_submit();
    until_cancelled(shared, turn).await.is_some()
}

/// `None` when the run was cancelled before `act` was done.
async fn until_cancelled<T>(shared: &Shared, act: impl Future<Output = T>) -> Option<T> {
    let mut cancelled = shared.cancelled.clone();
    tokio::select! {
        biased;
        _ = cancelled.wait_for(|cancelled| *cancelled) => None,
        done = act => Some(done),
    }
}

/// Waits for about so long, and not at all once the run is cancelled.
pub(super) async fn pause_unless_cancelled(shared: &Shared, pause: Duration) {
    let mut cancelled = shared.cancelled.clone();
    let over = cancelled.wait_for(|cancelled| *cancelled);
    let _ = tokio::time::timeout(jittered(pause), over).await;
}

/// Looks for a job whose submission was not answered. Only saves a twin: twins are harmless.
async fn find_by_name(shared: &Shared, request: &JobRequest) -> Option<JobId> {
    let patience = if request.array_size.is_some() {
        LOOKUP_OF_ARRAY
    } else {
        LOOKUP
    };
    let deadline = tokio::time::Instant::now() + patience;
    loop {
        match shared.client.find_job(&request.queue, &request.name).await {
            Ok(Some(job)) => return Some(job),
            Ok(None) if tokio::time::Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_secs(2)).await;
            }
            Ok(None) => return None,
            Err(error) => {
                tracing::info!(%error, "cannot look for the job by its name");
                return None;
            }
        }
    }
}
