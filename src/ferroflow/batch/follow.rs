//! Following one job from its submission to its end.

use std::{rc::Rc, time::Duration};

use datastore::AttemptRef;
use model::batch::{JobDetail, JobId, JobStatus};
use scheduler::{FailureClass, Outcome};
use tokio::{sync::mpsc, time::Instant};

use super::{
    Ended, Shared, What,
    end::{self, Verdict},
    submit::{Pending, Recorded},
    tail::{self, Tail},
    watch::Seen,
};

/// A failure that the datastore knows of waits this long for Batch to know it, too: why a job
/// failed is asked only after it is terminal.
const BATCH_LAG: Duration = Duration::from_secs(90);

/// A terminated job has this long to end before the run ends without it.
const CANCEL_GRACE: Duration = Duration::from_secs(30);

/// Pause between two TerminateJob calls for one job.
const TERMINATE_AGAIN: Duration = Duration::from_secs(5);

/// Why a job is terminated; Batch shows it as its status reason.
const CANCEL_REASON: &str = "ferroflow: the run was cancelled";

/// Follows a job to its end and tells what became of the attempt.
pub(super) async fn follow(
    shared: Rc<Shared>,
    recorded: Recorded,
    mut job: JobId,
    again: mpsc::UnboundedSender<Pending>,
) {
    let launch = &recorded.pending.launch;
    shared.tell(
        launch.task,
        launch.attempt,
        What::Submitted {
            job: job.to_string(),
        },
    );
    let mut tail = Tail::default();
    loop {
        let last = watch_job(&shared, &recorded, &job, &mut tail).await;
        match end::judge(&shared, &recorded, &job, last.as_ref()).await {
            Ok(Verdict::Over(ended)) => {
                finish(&shared, &recorded, &mut tail, ended).await;
                return;
            }
            Ok(Verdict::Elsewhere(twin)) => {
                say(
                    &shared,
                    &recorded,
                    &job,
                    &format!("Task runs as job {twin}."),
                );
                job = twin;
            }
            Ok(Verdict::Again { why }) => {
                say(
                    &shared,
                    &recorded,
                    &job,
                    &format!("{why} Submitting it again."),
                );
                let number = recorded.pending.number + 1;
                let launch = recorded.pending.launch;
                // The submitter ends only with the engine.
                let _ = again.send(Pending { launch, number });
                return;
            }
            Err(error) => {
                shared.tell(launch.task, launch.attempt, What::Broken(error));
                return;
            }
        }
    }
}

/// An attempt whose submission was given up before a job can have existed.
pub(super) fn never_submitted(shared: &Shared, recorded: &Recorded) {
    let launch = &recorded.pending.launch;
    let ended = Ended {
        outcome: Outcome::Failed(FailureClass::NoRetry),
        return_code: None,
        explanation: "The run ended before the task was submitted.".to_owned(),
    };
    shared.tell(launch.task, launch.attempt, What::Ended(ended));
}

/// Watches until nothing more can come: a success in the datastore, or a terminal job.
async fn watch_job(
    shared: &Shared,
    recorded: &Recorded,
    job: &JobId,
    tail: &mut Tail,
) -> Option<JobDetail> {
    let mut seen = shared.watcher.watch(job.clone(), recorded.place);
    let mut following = Following::new(shared, recorded, job);
    let mut cancelled = shared.cancelled.clone();
    following.status(None);
    loop {
        let view = seen.borrow_and_update().clone();
        if following.is_over(&view).await {
            return view.detail;
        }
        let cancel = *cancelled.borrow_and_update();
        tokio::select! {
            changed = seen.changed() => if changed.is_err() { return view.detail },
            changed = cancelled.changed(), if !cancel => if changed.is_err() { return view.detail },
            () = tokio::time::sleep_until(following.next_terminate), if cancel => {
                following.terminate().await;
            }
            () = tokio::time::sleep_until(following.next_look) => {
                following.look(tail, &view).await;
            }
            () = wait_until(following.give_up) => return view.detail,
        }
    }
}

async fn wait_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// One job being watched.
struct Following<'a> {
    shared: &'a Shared,
    recorded: &'a Recorded,
    job: &'a JobId,
    said: Option<JobStatus>,
    running_since: Option<Instant>,
    next_look: Instant,
    next_terminate: Instant,
    give_up: Option<Instant>,
}

impl<'a> Following<'a> {
    fn new(shared: &'a Shared, recorded: &'a Recorded, job: &'a JobId) -> Self {
        let now = Instant::now();
        Self {
            shared,
            recorded,
            job,
            said: None,
            running_since: None,
            next_look: now + tail::delay(Duration::ZERO),
            next_terminate: now,
            give_up: None,
        }
    }

    /// Says where the job stands, when that is news.
    fn status(&mut self, detail: Option<&JobDetail>) {
        let status = detail.map_or(JobStatus::Submitted, |detail| detail.status.clone());
        if status.is_terminal() || self.said.as_ref() == Some(&status) {
            return;
        }
        if status == JobStatus::Running {
            self.running_since = Some(Instant::now());
        }
        let text = format!("Task is starting (status {status})...");
        say(self.shared, self.recorded, self.job, &text);
        self.said = Some(status);
    }

    async fn is_over(&mut self, view: &Seen) -> bool {
        self.status(view.detail.as_ref());
        let terminal = view.detail.as_ref().is_some_and(|d| d.status.is_terminal());
        if terminal {
            return true;
        }
        if view.outcome {
            // A success needs no word from Batch.
            if end::is_success(self.shared, self.recorded).await {
                return true;
            }
            self.give_up.get_or_insert(Instant::now() + BATCH_LAG);
        }
        false
    }

    async fn terminate(&mut self) {
        self.give_up.get_or_insert(Instant::now() + CANCEL_GRACE);
        self.next_terminate = Instant::now() + TERMINATE_AGAIN;
        if let Err(error) = self
            .shared
            .client
            .terminate_job(self.job, CANCEL_REASON)
            .await
        {
            say(
                self.shared,
                self.recorded,
                self.job,
                &format!("The job could not be terminated: {error}."),
            );
        }
    }

    async fn look(&mut self, tail: &mut Tail, view: &Seen) {
        let age = self
            .running_since
            .map_or(Duration::ZERO, |since| since.elapsed());
        let started = self.running_since.is_some() || view.outcome;
        if started {
            read_logs(self.shared, self.recorded, tail).await;
        }
        self.next_look = Instant::now() + tail::delay(age);
    }
}

async fn read_logs(shared: &Shared, recorded: &Recorded, tail: &mut Tail) {
    let launch = &recorded.pending.launch;
    let at = AttemptRef {
        flow: &shared.plan.flow,
        task: &launch.path,
        attempt: launch.attempt,
    };
    match tail.read(&*shared.store, at).await {
        Ok(streams) => tell_lines(shared, recorded, streams),
        Err(error) => tracing::warn!(%error, "cannot read the logs of a task"),
    }
}

fn tell_lines(
    shared: &Shared,
    recorded: &Recorded,
    streams: Vec<(model::layout::Stream, Vec<Vec<u8>>)>,
) {
    let launch = &recorded.pending.launch;
    for (stream, lines) in streams {
        if !lines.is_empty() {
            shared.tell(launch.task, launch.attempt, What::Lines { stream, lines });
        }
    }
}

/// The last words of the task, its metadata, and then its end.
async fn finish(shared: &Shared, recorded: &Recorded, tail: &mut Tail, ended: Ended) {
    read_logs(shared, recorded, tail).await;
    tell_lines(shared, recorded, tail.rest());
    let launch = &recorded.pending.launch;
    if let Some(root) = &shared.metadata_root {
        let at = AttemptRef {
            flow: &shared.plan.flow,
            task: &launch.path,
            attempt: launch.attempt,
        };
        if let Err(error) = datastore::local_metadata::merge(&*shared.store, at, root).await {
            let text = format!("The task's metadata could not be fetched: {error}.");
            shared.tell(launch.task, launch.attempt, What::Said(text));
        }
    }
    shared.tell(launch.task, launch.attempt, What::Ended(ended));
}

fn say(shared: &Shared, recorded: &Recorded, job: &JobId, text: &str) {
    let launch = &recorded.pending.launch;
    let what = What::Said(format!("[{job}] {text}"));
    shared.tell(launch.task, launch.attempt, what);
}
