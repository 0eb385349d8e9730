//! TerminateJob: for jobs of a run that was cancelled, for twins, and for jobs that nobody follows.

use std::{cell::Cell, convert::Infallible, rc::Rc, time::Duration};

use model::batch::{JobId, terminate_reason};
use tokio::{sync::Notify, time::Instant};

use super::{
    follow::say,
    shared::{CANCEL_GRACE, Shared},
    submit::Recorded,
};
use crate::trouble::jittered;

/// How long one call of TerminateJob may take.
const TERMINATE_PATIENCE: Duration = Duration::from_secs(10);

/// Pause between two TerminateJob calls for one job. There are calls for 10 jobs a second.
const TERMINATE_AGAIN: Duration = Duration::from_secs(10);

/// Tries to end a job that nobody follows.
const ORPHAN_TRIES: u32 = 3;

/// The same after a call that failed.
const TERMINATE_RETRY: Duration = Duration::from_secs(2);

/// A job that lost the claim would run no user code, but wait in the queue and start an instance for that. One try is enough.
pub(super) async fn end_twin(shared: &Shared, job: &JobId) {
    shared.client.may_terminate().await;
    if !shared.is_ours().await {
        return;
    }
    let call = Box::pin(shared.client.terminate_job(job, terminate_reason::TWIN));
    let ended = tokio::time::timeout(TERMINATE_PATIENCE, call).await;
    tracing::info!(%job, ?ended, "ended a job whose task runs as another");
}

/// Ends a job that nobody follows: as often as TerminateJob fails, a few times.
pub(super) async fn end_job(shared: &Shared, job: &JobId) {
    for _ in 0..ORPHAN_TRIES {
        shared.client.may_terminate().await;
        match terminate(shared, job).await {
            None => return,
            Some(why) => tracing::warn!(%job, why, "a job could not be terminated"),
        }
        tokio::time::sleep(jittered(TERMINATE_RETRY)).await;
    }
}

/// Until when the end of a job is waited for that is being terminated. That counts from the first call, which a long queue of
/// others may precede.
#[derive(Debug, Default)]
pub(super) struct Grace {
    until: Cell<Option<Instant>>,
    begins: Notify,
}

impl Grace {
    pub(super) fn until(&self) -> Option<Instant> {
        self.until.get()
    }

    /// Returns when it begins.
    pub(super) async fn begun(&self) {
        self.begins.notified().await;
    }

    fn begin(&self) {
        if self.until.get().is_none() {
            self.until.set(Some(Instant::now() + CANCEL_GRACE));
            self.begins.notify_one();
        }
    }
}

/// Once the run is cancelled, ends the job, again and again until nobody watches it any more.
pub(super) async fn terminate_when_cancelled(
    shared: &Rc<Shared>,
    recorded: &Recorded,
    job: &JobId,
    grace: &Grace,
) -> Infallible {
    let cancelled = async {
        let mut cancelled = shared.cancelled.clone();
        cancelled.wait_for(|cancelled| *cancelled).await.is_ok()
    };
    if cancelled.await {
        // Boxed: most runs are not cancelled, and there is one of these for each job.
        Box::pin(terminate_until_over(shared, recorded, job, grace)).await;
    }
    // All has been done, or the engine ends.
    std::future::pending().await
}

async fn terminate_until_over(
    shared: &Rc<Shared>,
    recorded: &Recorded,
    job: &JobId,
    grace: &Grace,
) {
    if let Some(array) = job.parent() {
        if shared.ending.borrow_mut().insert(array.clone()) {
            tokio::task::spawn_local(terminate_array(Rc::clone(shared), array));
        }
        grace.begin();
        return;
    }
    let mut said = None;
    loop {
        shared.client.may_terminate().await;
        grace.begin();
        let Some(why) = terminate(shared, job).await else {
            tokio::time::sleep(TERMINATE_AGAIN).await;
            continue;
        };
        if said.as_ref() != Some(&why) {
            let text = format!("The job could not be terminated: {why}.");
            say(shared, recorded, job, &text);
        }
        said = Some(why);
        shared.client.repeats("TerminateJob");
        tokio::time::sleep(jittered(TERMINATE_RETRY)).await;
    }
}

/// One call ends all children of an array.
async fn terminate_array(shared: Rc<Shared>, array: JobId) {
    while shared.watcher.watches_children_of(&array) {
        shared.client.may_terminate().await;
        let pause = match terminate(&shared, &array).await {
            None => TERMINATE_AGAIN,
            Some(why) => {
                let text = format!("The array job {array} could not be terminated: {why}.");
                shared.troubles.batch.say(text);
                shared.client.repeats("TerminateJob");
                jittered(TERMINATE_RETRY)
            }
        };
        tokio::time::sleep(pause).await;
    }
}

/// One call, and why it failed.
async fn terminate(shared: &Shared, job: &JobId) -> Option<String> {
    // Boxed: only jobs that are being ended need its kilobytes.
    let call = Box::pin(
        shared
            .client
            .terminate_job(job, terminate_reason::CANCELLED),
    );
    match tokio::time::timeout(TERMINATE_PATIENCE, call).await {
        Ok(done) => done.err().map(|error| error.to_string()),
        Err(_) => Some("AWS Batch does not answer".to_owned()),
    }
}
