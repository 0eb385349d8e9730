//! What happened to an attempt: first what the datastore says, then what Batch says
//! (docs/launch-protocol.md, "What happened to a task").

use anyhow::Context;
use datastore::{
    AttemptRef, ObjectStore, PutMode, PutOptions, PutOutcome, TaskResult, task_result,
};
use model::{
    batch::{JobDetail, JobEnd, JobId, JobStatus},
    layout,
    spec::{self, Claim, Stopped, TaskOutcome},
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
}

/// Whether the datastore says that the attempt succeeded.
pub(super) async fn is_success(shared: &Shared, recorded: &Recorded) -> bool {
    match outcome(shared, recorded).await {
        Ok(Some(outcome)) => {
            outcome.ended
                == (spec::Ended::Exited {
                    code: 0,
                    stopped: None,
                })
        }
        _ => false,
    }
}

/// Judges an attempt. Called after Batch reported the job terminal, or when the datastore says
/// all there is to say.
pub(super) async fn judge(
    shared: &Shared,
    recorded: &Recorded,
    job: &JobId,
    detail: Option<&JobDetail>,
) -> anyhow::Result<Verdict> {
    if let Some(outcome) = outcome(shared, recorded).await? {
        return judge_outcome(shared, recorded, &outcome, detail)
            .await
            .map(Verdict::Over);
    }
    // The container may have been lost after its task had succeeded.
    if let TaskResult::Succeeded(transition) = result(shared, recorded).await? {
        return Ok(Verdict::Over(Ended {
            outcome: Outcome::Succeeded(transition),
            return_code: Some(0),
            explanation: String::new(),
        }));
    }
    let end = detail.map_or(JobEnd::unseen(), JobEnd::of);
    match claim(shared, recorded).await? {
        Some(Claim::Claimed { job: holder, .. }) if holder != job.as_str() => {
            Ok(Verdict::Elsewhere(JobId::new(holder)))
        }
        Some(Claim::Claimed { .. }) => Ok(Verdict::Over(without_outcome(&end))),
        Some(Claim::Revoked { .. }) | None => Ok(never_began(recorded, detail, &end)),
    }
}

async fn judge_outcome(
    shared: &Shared,
    recorded: &Recorded,
    outcome: &TaskOutcome,
    detail: Option<&JobDetail>,
) -> anyhow::Result<Ended> {
    let (code, stopped) = match &outcome.ended {
        spec::Ended::NotStarted { message } => {
            return Ok(failed(None, format!("The task did not start: {message}")));
        }
        spec::Ended::Exited { code, stopped } => (*code, *stopped),
        spec::Ended::Signaled { signal, stopped } => (-*signal, *stopped),
    };
    if code == 0 {
        return Ok(match result(shared, recorded).await? {
            TaskResult::Succeeded(transition) => Ended {
                outcome: Outcome::Succeeded(transition),
                return_code: Some(0),
                explanation: String::new(),
            },
            unfinished => failed(
                Some(0),
                format!("The task ended with exit code 0, but {unfinished}."),
            ),
        });
    }
    let end = detail.map_or(JobEnd::unseen(), JobEnd::of);
    let explanation = match (stopped, outcome.oom_kills) {
        (Some(Stopped::TimeLimit), _) => "The task reached its time limit.".to_owned(),
        (Some(Stopped::Terminated), _) if end.is_host_lost() => {
            return Ok(Ended {
                outcome: Outcome::Lost,
                return_code: Some(code),
                explanation: end.explanation(),
            });
        }
        (Some(Stopped::Terminated), _) => return Ok(stopped_from_outside(code, &end)),
        (None, kills) if kills > 0 => format!(
            "The task ran out of memory (the kernel killed {kills} of its processes; peak {} MiB). \
             Ask for more with @resources(memory=…).",
            outcome.usage.peak_memory >> 20
        ),
        (None, _) if code < 0 => format!("The task was ended by signal {}.", -code),
        (None, _) => format!("The task failed with exit code {code}."),
    };
    Ok(failed(Some(code), explanation))
}

/// The container got SIGTERM and its host was not lost: somebody terminated the job.
fn stopped_from_outside(code: i32, end: &JobEnd) -> Ended {
    Ended {
        outcome: Outcome::Failed(if end.is_cancelled() {
            FailureClass::NoRetry
        } else {
            FailureClass::User
        }),
        return_code: Some(code),
        explanation: end.explanation(),
    }
}

/// The container began and could not say how it ended.
fn without_outcome(end: &JobEnd) -> Ended {
    let outcome = if end.is_host_lost() {
        Outcome::Lost
    } else if end.is_cancelled() {
        Outcome::Failed(FailureClass::NoRetry)
    } else {
        Outcome::Failed(FailureClass::User)
    };
    Ended {
        outcome,
        return_code: end.exit_code(),
        explanation: end.explanation(),
    }
}

/// No container of this launch ran, and none ever will.
fn never_began(recorded: &Recorded, detail: Option<&JobDetail>, end: &JobEnd) -> Verdict {
    let silent_success = detail.is_some_and(|d| d.status == JobStatus::Succeeded);
    let why = if silent_success {
        "The job ended well without having run the task; does the image's entrypoint run the \
         command that it is given?"
            .to_owned()
    } else {
        end.explanation()
    };
    let free = silent_success || end.is_host_lost() || end.is_retryable();
    if free && !end.is_cancelled() && recorded.pending.number < MAX_FREE_LAUNCHES {
        return Verdict::Again { why };
    }
    Verdict::Over(Ended {
        outcome: Outcome::Failed(if end.is_cancelled() {
            FailureClass::NoRetry
        } else {
            FailureClass::User
        }),
        return_code: end.exit_code(),
        explanation: why,
    })
}

fn failed(return_code: Option<i32>, explanation: String) -> Ended {
    Ended {
        outcome: Outcome::Failed(FailureClass::User),
        return_code,
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

/// The claim of the launch. Where there is none, it is revoked first, so that the answer stays
/// true: a container that comes too late finds it taken.
async fn claim(shared: &Shared, recorded: &Recorded) -> anyhow::Result<Option<Claim>> {
    let launch = &recorded.pending.launch;
    let number = recorded.pending.number;
    let key = layout::claim(&shared.plan.flow, &launch.path, launch.attempt, number);
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
    let Some(object) = shared.store.get(&key).await? else {
        return Ok(None);
    };
    serde_json::from_slice(&object.body)
        .map(Some)
        .with_context(|| format!("the claim `{key}` is not what a bootstrap writes"))
}
