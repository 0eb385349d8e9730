//! Going on with a job that another launcher had submitted, or was about to, when it died.

use std::rc::Rc;

use model::{Attempt, TaskPath, Timestamp, batch::JobId, layout, spec::Claim};
use tokio::sync::mpsc;

use super::{
    Launch, Shared, end, follow, request,
    submit::{Pending, Recorded},
    terminate,
    watch::OutcomePlace,
};
use crate::stored_run::marks;

/// A launch of an attempt, as the chain tells it.
#[derive(Debug, Clone)]
pub(crate) struct Adopted {
    pub(super) place: OutcomePlace,
    /// When it was decided to submit it.
    pub(super) at: Timestamp,
    /// Count of decisions to submit the attempt.
    pub(super) launch: u32,
    pub(super) job_name: String,
    pub(super) queue: String,
    /// Under which index of the record the job's id was noted.
    pub(super) id_index: u32,
    /// Of an array: which of its children this is.
    pub(super) child: Option<u32>,
}

/// Finds the job, and follows it. Where there is none, and none can start any more, the same attempt is launched anew.
pub(super) async fn adopt(
    shared: Rc<Shared>,
    launch: Launch,
    adopted: Adopted,
    again: mpsc::UnboundedSender<Pending>,
) {
    let asked = async || request::job(&shared, &launch).await;
    // What it asked for only makes an explanation better. Boxed, as what follows: large, and one of many.
    let asked = Box::pin(shared.on_batch(asked)).await.ok();
    let recorded = Box::new(Recorded {
        pending: Pending {
            launch,
            number: adopted.launch,
        },
        place: adopted.place,
        at: adopted.at,
        memory: asked.as_ref().and_then(request::Job::memory),
        more_memory: asked.and_then(|asked| asked.more_memory()),
    });
    match Box::pin(job_of(&shared, &recorded, &adopted)).await {
        Ok(Some(job)) => Box::pin(follow::follow(shared, recorded, job, again)).await,
        Ok(None) => {
            let Pending { launch, number } = recorded.pending;
            // The submitter ends only with the engine.
            let _ = again.send(Pending {
                launch,
                number: number + 1,
            });
        }
        Err(error) => shared.break_down(error),
    }
}

/// Ends the job, if there is one. Its own lease stops what cannot be reached.
pub(super) async fn end(shared: Rc<Shared>, path: TaskPath, attempt: Attempt, adopted: Adopted) {
    let job = match known_job(&shared, &path, attempt, &adopted).await {
        Ok(Some(job)) => job,
        Ok(None) => return,
        Err(error) => return tracing::warn!("a job was not found: {error:#}"),
    };
    terminate::end_job(&shared, &job).await;
}

/// The job; where there is none, nothing of the launch can start any more.
async fn job_of(
    shared: &Shared,
    recorded: &Recorded,
    adopted: &Adopted,
) -> anyhow::Result<Option<JobId>> {
    let launch = &recorded.pending.launch;
    if let Some(job) = known_job(shared, &launch.path, launch.attempt, adopted).await? {
        return Ok(Some(job));
    }
    let claim = shared
        .on_datastore(async || end::claim(shared, recorded).await)
        .await?;
    Ok(match claim {
        Some(Claim::Claimed { job, .. }) => Some(JobId::new(job)),
        Some(Claim::Revoked { .. }) | None => None,
    })
}

/// The id that was noted; else that of the claim; else the one that is found by name.
async fn known_job(
    shared: &Shared,
    path: &TaskPath,
    attempt: Attempt,
    adopted: &Adopted,
) -> anyhow::Result<Option<JobId>> {
    let (flow, run) = (&shared.plan.flow, &shared.plan.run);
    let noted = layout::job_id(flow, run, adopted.place.seq, adopted.id_index);
    let noted = shared
        .on_datastore(async || marks::noted_job(&shared.store, &noted).await)
        .await?;
    if let Some(job) = noted {
        return Ok(Some(child_of(job, adopted)));
    }
    let claim = layout::claim(flow, path, attempt, adopted.launch);
    let claim = shared
        .on_datastore(async || marks::claim(&shared.store, &claim).await)
        .await?;
    if let Some(Claim::Claimed { job, .. }) = claim {
        return Ok(Some(JobId::new(job)));
    }
    let found = shared
        .client
        .find_job(&adopted.queue, &adopted.job_name)
        .await;
    // It may not be allowed, which is no fault.
    Ok(found.ok().flatten().map(|job| child_of(job, adopted)))
}

fn child_of(job: JobId, adopted: &Adopted) -> JobId {
    match adopted.child {
        Some(index) => job.child(index),
        None => job,
    }
}
