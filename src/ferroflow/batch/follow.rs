//! Following one job from its submission to its end.

use std::{rc::Rc, time::Duration};

use datastore::{AttemptRef, StoreError};
use model::{
    batch::{JobDetail, JobId, JobStatus},
    failure::{Class, Explanation},
    spec::TaskOutcome,
};
use scheduler::{FailureClass, Outcome};
use tokio::{
    sync::{mpsc, watch as signal},
    time::Instant,
};

use super::{
    Ended, Failure, Launch, Shared, What,
    end::{self, News, Verdict},
    obtain::pause_unless_cancelled,
    submit::{Pending, Recorded},
    tail::{self, More, Tail},
    terminate::{Grace, end_twin, terminate_when_cancelled},
    usage,
    watch::Seen,
};
use crate::failpoint;

/// A failure that the datastore knows of waits this long for Batch to know it, too: why a job
/// failed is asked only after it is terminal.
const BATCH_LAG: Duration = Duration::from_secs(90);

/// Why a container was told to stop is asked for longer: a lost host must not count as the task's
/// failure because Batch was late.
const STOP_LAG: Duration = Duration::from_mins(10);

/// A job that Batch does not show for this long, though it answers, is not waited for any more, unless it has begun.
/// Descriptions lag behind submissions by seconds (docs/aws-assumptions.md).
const ABSENT: Duration = Duration::from_mins(5);

/// Follows a job to its end and tells what became of the attempt.
///
/// Most of the time that is waiting, for ten thousand jobs at once: all that is needed for a moment only is boxed.
pub(super) async fn follow(
    shared: Rc<Shared>,
    recorded: Box<Recorded>,
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
    let number = loop {
        let watched = watch_job(&shared, &recorded, &job, &mut tail).await;
        match Box::pin(settle(&shared, &recorded, &job, &mut tail, watched)).await {
            Next::Nothing => return,
            Next::Watch => {}
            Next::WatchTwin(twin) => job = twin,
            Next::Launch { number } => break number,
        }
    };
    let launch = recorded.pending.launch;
    // The submitter ends only with the engine.
    let _ = again.send(Pending { launch, number });
}

/// What there is to do once nothing more is to be seen of a job.
enum Next {
    Nothing,
    /// The same job, which has begun and is not shown.
    Watch,
    /// Another job runs the task.
    WatchTwin(JobId),
    /// Launches the attempt again.
    Launch {
        number: u32,
    },
}

/// Judges what became of the attempt, and tells it where that is its end.
async fn settle(
    shared: &Rc<Shared>,
    recorded: &Recorded,
    job: &JobId,
    tail: &mut Tail,
    Watched { detail, success }: Watched,
) -> Next {
    let (last, success) = (detail, success.as_deref());
    let turn = shared.turn_to_end().await;
    Box::pin(shared.notice_cancellation(last.as_ref())).await;
    let judge = async || Box::pin(end::judge(shared, recorded, job, last.as_ref(), success)).await;
    let (verdict, outcome) = match shared.on_datastore(judge).await {
        Ok(judged) => judged,
        Err(error) => {
            shared.break_down(error);
            return Next::Nothing;
        }
    };
    match verdict {
        Verdict::Over(ended) => {
            failpoint::reach("judged");
            Box::pin(finish(shared, recorded, tail, (ended, outcome))).await;
            Next::Nothing
        }
        Verdict::Elsewhere(twin) => {
            drop(turn);
            let text = format!("Task runs as job {twin}.");
            say(shared, recorded, job, &text);
            if last.is_none_or(|last| !last.status.is_terminal()) {
                Box::pin(end_twin(shared, job)).await;
            }
            Next::WatchTwin(twin)
        }
        Verdict::Unseen => {
            let text = "AWS Batch does not show the job, which has begun: it is looked for on.";
            say(shared, recorded, job, text);
            Next::Watch
        }
        Verdict::Again { why, pause } => {
            drop(turn);
            let when = match pause.as_secs() {
                0 => String::new(),
                seconds => format!(" in {seconds} s"),
            };
            let text = format!("{why} Submitting it again{when}.");
            say(shared, recorded, job, &text);
            if !pause.is_zero() {
                pause_unless_cancelled(shared, pause).await;
            }
            let number = recorded.pending.number + 1;
            Next::Launch { number }
        }
    }
}

/// An attempt whose submission was given up before a job can have existed.
pub(super) fn never_submitted(shared: &Shared, launch: &Launch) {
    let ended = Ended {
        outcome: Outcome::Failed(FailureClass::NoRetry),
        failure: Some(Failure {
            class: Class::CancelledByUs,
            explanation: Explanation::of("The run ended before the task was submitted"),
        }),
    };
    shared.tell(launch.task, launch.attempt, What::Ended(ended));
}

/// What a job was last seen as.
#[derive(Debug, Default)]
struct Watched {
    /// What Batch said.
    detail: Option<JobDetail>,
    /// The outcome, if that ended the watch.
    success: Option<Box<TaskOutcome>>,
}

impl From<Option<JobDetail>> for Watched {
    fn from(detail: Option<JobDetail>) -> Self {
        let success = None;
        Self { detail, success }
    }
}

/// Watches until nothing more can come: a success in the datastore, or a terminal job. Whatever that waits for, a job of a
/// cancelled run is terminated meanwhile.
async fn watch_job(
    shared: &Rc<Shared>,
    recorded: &Recorded,
    job: &JobId,
    tail: &mut Tail,
) -> Watched {
    let grace = Grace::default();
    tokio::select! {
        detail = watch_until_over(shared, recorded, job, tail, &grace) => detail,
        never = terminate_when_cancelled(shared, recorded, job, &grace) => match never {},
    }
}

async fn watch_until_over(
    shared: &Shared,
    recorded: &Recorded,
    job: &JobId,
    tail: &mut Tail,
    grace: &Grace,
) -> Watched {
    let mut seen = shared.watcher.watch(job.clone(), recorded.place);
    let mut following = Following::new(shared, recorded, job);
    following.status(None);
    let last_seen = |seen: &signal::Receiver<Seen>| seen.borrow().detail.clone();
    loop {
        let absent_since = {
            let view = seen.borrow_and_update().clone();
            if following.is_over(&view).await {
                return Watched {
                    detail: view.detail,
                    success: following.success,
                };
            }
            view.absent_since
        };
        let absent = absent_since.map(|since| since + failpoint::shortened("absent", ABSENT));
        let deadlines = [
            following.next_look,
            following.give_up,
            grace.until(),
            absent,
        ];
        tokio::select! {
            changed = seen.changed() => if changed.is_err() { return last_seen(&seen).into() },
            () = grace.begun() => {}
            () = wait_until(deadlines.into_iter().flatten().min()) => {
                if is_over(absent) {
                    return Watched::default();
                }
                if is_over(following.give_up) || is_over(grace.until()) {
                    return last_seen(&seen).into();
                }
                following.look(tail).await;
            }
        }
    }
}

fn is_over(deadline: Option<Instant>) -> bool {
    deadline.is_some_and(|deadline| deadline <= Instant::now())
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
    /// At the logs; there are none before the job runs.
    next_look: Option<Instant>,
    give_up: Option<Instant>,
    success: Option<Box<TaskOutcome>>,
}

impl<'a> Following<'a> {
    fn new(shared: &'a Shared, recorded: &'a Recorded, job: &'a JobId) -> Self {
        Self {
            shared,
            recorded,
            job,
            said: None,
            running_since: None,
            next_look: None,
            give_up: None,
            success: None,
        }
    }

    /// Says where the job stands, when that is news.
    fn status(&mut self, detail: Option<&JobDetail>) {
        let status = detail.map_or(JobStatus::Submitted, |detail| detail.status.clone());
        if status.is_terminal() || self.said.as_ref() == Some(&status) {
            return;
        }
        if status == JobStatus::Running {
            let now = Instant::now();
            self.running_since = Some(now);
            // What an earlier launch has left is no beginning of this one's log: it is read when that is whole.
            if self.recorded.pending.number == 0 {
                self.next_look = Some(now + tail::FIRST);
            }
        }
        let text = format!("Task is starting (status {status})...");
        say(self.shared, self.recorded, self.job, &text);
        let launch = &self.recorded.pending.launch;
        let what = What::Status(status.clone());
        self.shared.tell(launch.task, launch.attempt, what);
        self.said = Some(status);
    }

    async fn is_over(&mut self, view: &Seen) -> bool {
        self.status(view.detail.as_ref());
        let terminal = view.detail.as_ref().is_some_and(|d| d.status.is_terminal());
        if terminal {
            return true;
        }
        if view.outcome && self.give_up.is_none() {
            let turn = self.shared.turn_to_end().await;
            let news = Box::pin(end::news(self.shared, self.recorded)).await;
            drop(turn);
            let lag = match news {
                Some(News::Success(outcome)) => {
                    self.success = Some(outcome);
                    return true;
                }
                Some(News::Stopped) => STOP_LAG,
                Some(News::Other) => BATCH_LAG,
                // It cannot be read for now.
                None => return false,
            };
            let now = Instant::now();
            self.give_up = Some(now + lag);
            self.next_look.get_or_insert(now);
        }
        false
    }

    async fn look(&mut self, tail: &mut Tail) {
        let age = self
            .running_since
            .map_or(Duration::ZERO, |since| since.elapsed());
        if let Err(error) = Box::pin(read_logs(self.shared, self.recorded, tail)).await {
            let error = anyhow::Error::new(error);
            self.shared
                .troubles
                .datastore
                .failed(&format_args!("{error:#}"));
        }
        self.next_look = Some(Instant::now() + tail.delay(age));
    }
}

/// Tells what is new in the logs. What cannot be read is read at the next look.
async fn read_logs(
    shared: &Shared,
    recorded: &Recorded,
    tail: &mut Tail,
) -> Result<More, StoreError> {
    let (streams, more) = tail
        .read(&*shared.store, attempt_ref(shared, recorded))
        .await;
    tell_lines(shared, recorded, streams);
    more
}

fn attempt_ref<'a>(shared: &'a Shared, recorded: &'a Recorded) -> AttemptRef<'a> {
    let launch = &recorded.pending.launch;
    AttemptRef {
        flow: &shared.plan.flow,
        task: &launch.path,
        attempt: launch.attempt,
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
async fn finish(
    shared: &Shared,
    recorded: &Recorded,
    tail: &mut Tail,
    (ended, outcome): (Ended, Option<TaskOutcome>),
) {
    let launch = &recorded.pending.launch;
    let missed = |what: &str, error: &anyhow::Error| {
        let text = format!("The task's {what} could not be fetched: {error:#}.");
        shared.tell(launch.task, launch.attempt, What::Said(text));
    };
    tail.ends_at(outcome.as_ref().and_then(|outcome| outcome.logs));
    let read_on = async || Ok(read_logs(shared, recorded, tail).await?);
    if let Err(error) = read_to_the_end(shared, read_on).await {
        missed("last lines", &error);
    }
    tell_lines(shared, recorded, tail.rest());
    if let Some(root) = &shared.metadata_root {
        let at = attempt_ref(shared, recorded);
        let merge = async || Ok(datastore::local_metadata::merge(&*shared.store, at, root).await?);
        let merged = shared.on_datastore_and_disk(merge).await;
        if let Err(error) = &merged {
            missed("metadata", error);
        }
        let (has_metadata, outcome) = (merged.unwrap_or(true), outcome.as_ref());
        let register =
            async || Ok(usage::register(shared, launch, outcome, has_metadata, root).await?);
        if let Err(error) = shared.on_datastore_and_disk(register).await {
            missed("usage", &error);
        }
    }
    shared.tell(launch.task, launch.attempt, What::Ended(ended));
}

async fn read_to_the_end(
    shared: &Shared,
    mut read_on: impl AsyncFnMut() -> anyhow::Result<More>,
) -> anyhow::Result<()> {
    while shared.on_datastore(&mut read_on).await? == More::Yes {}
    Ok(())
}

pub(super) fn say(shared: &Shared, recorded: &Recorded, job: &JobId, text: &str) {
    let launch = &recorded.pending.launch;
    let what = What::Said(format!("[{job}] {text}"));
    shared.tell(launch.task, launch.attempt, what);
}
