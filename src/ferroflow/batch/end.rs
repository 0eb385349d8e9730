//! What happened to an attempt: first what the datastore says, then what Batch says
//! (docs/launch-protocol.md, "What happened to a task").

use anyhow::Context;
use datastore::{
    AttemptRef, ObjectStore, PutMode, PutOptions, PutOutcome, TaskResult, task_result,
};
use model::{
    Transition,
    batch::{EndKind, JobDetail, JobEnd, JobId, JobStatus},
    layout,
    spec::{self, Claim, LogSizes, Stopped, TaskOutcome},
};
use scheduler::{FailureClass, Outcome};
use uuid::Uuid;

use super::{Ended, Shared, submit::Recorded};

/// How often a launch that never began is repeated for free.
const MAX_FREE_LAUNCHES: u32 = 2;

/// What is to be done about an attempt whose job ended.
pub(super) enum Verdict {
    /// It is over.
    Over(Ended),
    /// Another job of the same launch runs it.
    Elsewhere(JobId),
    /// Nothing of it can ever start any more: the same attempt may be submitted again.
    Again { why: String },
    /// It has begun, and nobody says that it has ended.
    Unseen,
}

/// What the outcome in the datastore says, before Batch has said anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum News {
    /// A success needs no word from Batch.
    Success,
    /// The container was told to stop: why, only Batch knows.
    Stopped,
    /// It ended in another way.
    Other,
}

/// Reads the outcome for what it says by itself; `None` while it cannot be read.
pub(super) async fn news(shared: &Shared, recorded: &Recorded) -> Option<News> {
    let outcome = outcome(shared, recorded).await.ok()??;
    Some(match outcome.ended {
        spec::Ended::Exited {
            code: 0,
            stopped: None,
        } => News::Success,
        spec::Ended::Exited {
            stopped: Some(Stopped::Terminated),
            ..
        }
        | spec::Ended::Signaled {
            stopped: Some(Stopped::Terminated),
            ..
        } => News::Stopped,
        _ => News::Other,
    })
}

/// Judges an attempt, and tells how long its logs are, if it says so. Called after Batch reported
/// the job terminal, or when the datastore says all there is to say.
pub(super) async fn judge(
    shared: &Shared,
    recorded: &Recorded,
    job: &JobId,
    detail: Option<&JobDetail>,
) -> anyhow::Result<(Verdict, Option<LogSizes>)> {
    let terminal = detail.filter(|detail| detail.status.is_terminal());
    let end = terminal.map_or(JobEnd::unseen(), JobEnd::of);
    if let Some(outcome) = outcome(shared, recorded).await? {
        let verdict = judge_outcome(shared, recorded, &outcome, &end).await?;
        return Ok((verdict, outcome.logs));
    }
    let verdict = judge_without_outcome(shared, recorded, job, (terminal, &end)).await?;
    Ok((verdict, None))
}

async fn judge_without_outcome(
    shared: &Shared,
    recorded: &Recorded,
    job: &JobId,
    (terminal, end): (Option<&JobDetail>, &JobEnd),
) -> anyhow::Result<Verdict> {
    // The container may have been lost after its task had succeeded.
    if let TaskResult::Succeeded(transition) = result(shared, recorded).await? {
        return Ok(Verdict::Over(succeeded(transition)));
    }
    match claim(shared, recorded).await? {
        Some(Claim::Claimed { job: holder, .. }) if holder != job.as_str() => {
            Ok(Verdict::Elsewhere(JobId::new(holder)))
        }
        // Batch does not show the job, but silence never means dead.
        Some(Claim::Claimed { .. }) if terminal.is_none() && !*shared.cancelled.borrow() => {
            Ok(Verdict::Unseen)
        }
        Some(Claim::Claimed { .. }) => Ok(Verdict::Over(without_outcome(end))),
        Some(Claim::Revoked { .. }) | None => Ok(never_began(recorded, terminal, end)),
    }
}

async fn judge_outcome(
    shared: &Shared,
    recorded: &Recorded,
    outcome: &TaskOutcome,
    end: &JobEnd,
) -> anyhow::Result<Verdict> {
    let (code, stopped) = match &outcome.ended {
        spec::Ended::NotStarted { message, passing } => {
            let why = format!("The task did not start: {message}");
            return Ok(did_not_start(recorded, why, *passing, end));
        }
        spec::Ended::Exited { code, stopped } => (*code, *stopped),
        spec::Ended::Signaled { signal, stopped } => (-*signal, *stopped),
    };
    if code == 0 {
        return Ok(Verdict::Over(match result(shared, recorded).await? {
            TaskResult::Succeeded(transition) => succeeded(transition),
            unfinished => failed(format!(
                "The task ended with exit code 0, but {unfinished}."
            )),
        }));
    }
    let explanation = match (stopped, outcome.oom_kills) {
        (Some(Stopped::TimeLimit), _) => "The task reached its time limit.".to_owned(),
        (Some(Stopped::Terminated), _) => {
            return Ok(Verdict::Over(ended_from_outside(end)));
        }
        (None, kills) if kills > 0 => format!(
            "The task ran out of memory (the kernel killed {kills} of its processes; peak {} MiB). \
             Ask for more with @resources(memory=…).",
            outcome.usage.peak_memory >> 20
        ),
        (None, _) if code < 0 => format!("The task was ended by signal {}.", -code),
        (None, _) => format!("The task failed with exit code {code}."),
    };
    Ok(Verdict::Over(failed(explanation)))
}

/// The container claimed the launch and gave up before user code: the attempt's number is free.
fn did_not_start(recorded: &Recorded, why: String, passing: bool, end: &JobEnd) -> Verdict {
    if end.is_cancelled() {
        return Verdict::Over(ended_from_outside(end));
    }
    if (passing || end.is_host_lost()) && recorded.pending.number < MAX_FREE_LAUNCHES {
        return Verdict::Again { why };
    }
    Verdict::Over(if end.is_host_lost() {
        ended_from_outside(end)
    } else {
        failed(why)
    })
}

/// The container began, and its end came from outside or could not be told by itself.
fn ended_from_outside(end: &JobEnd) -> Ended {
    let outcome = if end.is_host_lost() {
        Outcome::Lost
    } else if end.is_cancelled() {
        Outcome::Failed(FailureClass::Cancelled)
    } else {
        Outcome::Failed(FailureClass::User)
    };
    Ended {
        outcome,
        explanation: end.explanation(),
    }
}

/// The container began and could not say how it ended.
fn without_outcome(end: &JobEnd) -> Ended {
    let mut ended = ended_from_outside(end);
    if end.kind() == EndKind::Exit(0) {
        "The container ended well without having said how its task ended, and the task left no \
         complete result."
            .clone_into(&mut ended.explanation);
    }
    ended
}

/// No container of this launch ran, and none ever will.
fn never_began(recorded: &Recorded, terminal: Option<&JobDetail>, end: &JobEnd) -> Verdict {
    let silent_success = terminal.is_some_and(|d| d.status == JobStatus::Succeeded);
    let why = if silent_success {
        "The job ended well without having run the task; does the image's entrypoint run the \
         command that it is given?"
            .to_owned()
    } else {
        end.explanation()
    };
    let forgotten = terminal.is_none();
    let free = silent_success || forgotten || end.is_host_lost() || end.is_retryable();
    if free && !end.is_cancelled() && recorded.pending.number < MAX_FREE_LAUNCHES {
        return Verdict::Again { why };
    }
    Verdict::Over(Ended {
        outcome: Outcome::Failed(if end.is_cancelled() {
            FailureClass::Cancelled
        } else {
            FailureClass::User
        }),
        explanation: why,
    })
}

fn succeeded(transition: Transition) -> Ended {
    Ended {
        outcome: Outcome::Succeeded(transition),
        explanation: String::new(),
    }
}

fn failed(explanation: String) -> Ended {
    Ended {
        outcome: Outcome::Failed(FailureClass::User),
        explanation,
    }
}

async fn outcome(shared: &Shared, recorded: &Recorded) -> anyhow::Result<Option<TaskOutcome>> {
    let (flow, run) = (&shared.plan.flow, &shared.plan.run);
    let key = layout::outcome(flow, run, recorded.place.seq, recorded.place.index);
    let Some(object) = shared.store.get(&key).await? else {
        return Ok(None);
    };
    serde_json::from_slice(&object.body)
        .map(Some)
        .with_context(|| format!("the outcome `{key}` is not what a bootstrap writes"))
}

async fn result(shared: &Shared, recorded: &Recorded) -> anyhow::Result<TaskResult> {
    let launch = &recorded.pending.launch;
    let at = AttemptRef {
        flow: &shared.plan.flow,
        task: &launch.path,
        attempt: launch.attempt,
    };
    Ok(task_result::read(&*shared.store, at, &shared.known).await?)
}

/// The claim of the launch. Where there is none, it is revoked, so that the answer stays true: a
/// container that comes too late finds it taken. It is read first, because a datastore that
/// ignores conditions would let the revocation replace a live claim.
pub(super) async fn claim(shared: &Shared, recorded: &Recorded) -> anyhow::Result<Option<Claim>> {
    let launch = &recorded.pending.launch;
    let number = recorded.pending.number;
    let key = layout::claim(&shared.plan.flow, &launch.path, launch.attempt, number);
    if let Some(found) = read_claim(shared, &key).await? {
        return Ok(Some(found));
    }
    let revoked = Claim::Revoked {
        nonce: Uuid::new_v4().to_string(),
    };
    let options = PutOptions {
        mode: PutMode::CreateOnly,
        user_metadata: None,
    };
    let body = serde_json::to_vec(&revoked)?;
    if shared.store.put(&key, body.into(), options).await? == PutOutcome::Written {
        return Ok(None);
    }
    read_claim(shared, &key).await
}

async fn read_claim(shared: &Shared, key: &str) -> anyhow::Result<Option<Claim>> {
    let Some(object) = shared.store.get(key).await? else {
        return Ok(None);
    };
    serde_json::from_slice(&object.body)
        .map(Some)
        .with_context(|| format!("the claim `{key}` is not what a bootstrap writes"))
}
