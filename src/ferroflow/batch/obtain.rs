//! SubmitJob for what stands in the launch chain, until there is an answer.

use std::{rc::Rc, time::Duration};

use aws::batch::SubmitError;
use bytes::Bytes;
use datastore::{ObjectStore, PutOptions};
use model::{
    batch::{JobId, JobRequest},
    layout,
    spec::Claim,
};
use tokio::sync::mpsc;

use super::{
    Shared, What, end, follow,
    submit::{Pending, Recorded, Submission, until_cancelled},
};
use crate::{advice, failpoint, trouble::jittered};

/// Pause before SubmitJob is called again; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How often a submission whose reply was lost is sent again.
const MAX_RESENDS: u32 = 5;

/// How long a job that may exist is looked for by its name: listings lag.
const LOOKUP: Duration = Duration::from_secs(10);
/// A twin of an array costs more.
const LOOKUP_OF_ARRAY: Duration = Duration::from_mins(1);

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

/// Submits one job and follows it, or all its children, to their ends.
pub(super) async fn submit_one(
    shared: Rc<Shared>,
    submission: Submission,
    again: mpsc::UnboundedSender<Pending>,
) {
    let obtained = obtain_job(&shared, &submission).await;
    failpoint::reach("submitted");
    if let Obtained::Job(job) = &obtained {
        note_id(&shared, &submission, job);
    }
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
                let recorded = Box::new(recorded);
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

/// Leaves the id for others, beside all else: a launcher that takes the run over, and whoever ends its jobs.
fn note_id(shared: &Rc<Shared>, submission: &Submission, job: &JobId) {
    let Some(first) = submission.members.first() else {
        return;
    };
    let plan = &shared.plan;
    let key = layout::job_id(&plan.flow, &plan.run, first.place.seq, first.place.index);
    let (shared, id) = (Rc::clone(shared), Bytes::from(job.to_string()));
    tokio::task::spawn_local(async move {
        if let Err(error) = shared.store.put(&key, id, PutOptions::default()).await {
            tracing::warn!(%error, key, "the id of a job was not written down");
        }
        failpoint::reach("noted");
    });
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
            let recorded = Box::new(recorded);
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
        if !shared.is_ours().await {
            let mut cancelled = shared.cancelled.clone();
            if cancelled.wait_for(|cancelled| *cancelled).await.is_err() {
                return std::future::pending().await; // the engine ends
            }
            continue;
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
        shared.client.repeats("SubmitJob");
        pause_unless_cancelled(shared, pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Waits for its turn. False when the run was cancelled: from then on nothing is submitted.
async fn admitted(shared: &Shared) -> bool {
    let turn = shared.client.may_submit();
    until_cancelled(shared, turn).await.is_some()
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
