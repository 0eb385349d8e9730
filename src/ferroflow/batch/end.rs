//! What happened to an attempt: first what the datastore says, then what Batch says
//! (docs/launch-protocol.md, "What happened to a task").

use std::time::Duration;

use anyhow::Context;
use datastore::{AttemptRef, ObjectStore, PutOutcome, TaskResult, task_result};
use model::{
    Attempt, Transition,
    batch::{JobDetail, JobId},
    failure::{Class, Evidence, Explanation, RetryAdvice},
    launch_record::Raise,
    layout,
    spec::{self, Claim, Stopped, TaskOutcome},
};
use scheduler::{FailureClass, Outcome};

use super::{Ended, Failure, Launch, Shared, request, submit::Recorded};
use crate::{
    failpoint,
    stored_run::{FORGOTTEN, is_recent, marks},
};

/// How often a launch that never began is repeated for free, at most.
const MAX_FREE_LAUNCHES: u32 = 2;

/// What is to be done about an attempt whose job ended.
pub(super) enum Verdict {
    /// It is over.
    Over(Ended),
    /// Another job of the same launch runs it.
    Elsewhere(JobId),
    /// Nothing of it can ever start any more: the same attempt may be submitted again, after a
    /// pause.
    Again { why: String, pause: Duration },
    /// It has begun, and nobody says that it has ended.
    Unseen,
}

/// What the outcome in the datastore says, before Batch has said anything.
#[derive(Debug)]
pub(super) enum News {
    /// A success needs no word from Batch.
    Success(Box<TaskOutcome>),
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
        } => News::Success(Box::new(outcome)),
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

/// Judges an attempt, and gives what its container said at its end, if it did. Called after Batch reported
/// the job terminal, or when the datastore says all there is to say. A success that was read before is not read again.
pub(super) async fn judge(
    shared: &Shared,
    recorded: &Recorded,
    job: &JobId,
    detail: Option<&JobDetail>,
    success: Option<&TaskOutcome>,
) -> anyhow::Result<(Verdict, Option<TaskOutcome>)> {
    let terminal = detail.filter(|detail| detail.status.is_terminal());
    let outcome = match success {
        Some(success) => Some(success.clone()),
        None => outcome(shared, recorded).await?,
    };
    if let Some(outcome) = outcome {
        let verdict = judge_outcome(shared, recorded, &outcome, terminal).await?;
        return Ok((verdict, Some(outcome)));
    }
    let verdict = judge_without_outcome(shared, recorded, job, terminal).await?;
    Ok((verdict, None))
}

async fn judge_without_outcome(
    shared: &Shared,
    recorded: &Recorded,
    job: &JobId,
    terminal: Option<&JobDetail>,
) -> anyhow::Result<Verdict> {
    // The container may have been lost after its task had succeeded.
    if let TaskResult::Succeeded(transition) = result(shared, recorded).await? {
        return Ok(Verdict::Over(succeeded(transition)));
    }
    let claimed = match claim(shared, recorded).await? {
        Some(Claim::Claimed { job: holder, .. }) if holder != job.as_str() => {
            return Ok(Verdict::Elsewhere(JobId::new(holder)));
        }
        // Batch does not show the job, but silence never means dead, unless Batch would have forgotten it.
        Some(Claim::Claimed { .. })
            if terminal.is_none()
                && !*shared.cancelled.borrow()
                && is_recent(recorded.at, failpoint::shortened("forgotten", FORGOTTEN)) =>
        {
            return Ok(Verdict::Unseen);
        }
        Some(Claim::Claimed { .. }) => true,
        Some(Claim::Revoked { .. }) | None => false,
    };
    let evidence = Evidence {
        claimed,
        ..evidence(shared, recorded, terminal)
    };
    Ok(failure(shared, recorded, &evidence))
}

async fn judge_outcome(
    shared: &Shared,
    recorded: &Recorded,
    outcome: &TaskOutcome,
    terminal: Option<&JobDetail>,
) -> anyhow::Result<Verdict> {
    if let spec::Ended::Exited { code: 0, stopped } = outcome.ended {
        match result(shared, recorded).await? {
            TaskResult::Succeeded(transition) => return Ok(Verdict::Over(succeeded(transition))),
            unfinished if stopped.is_none() => {
                let cause = format!("The task ended with exit code 0, but {unfinished}");
                return Ok(Verdict::Over(Ended {
                    outcome: Outcome::Failed(FailureClass::User),
                    failure: Some(Failure {
                        class: Class::UserError,
                        explanation: Explanation::of(cause),
                    }),
                }));
            }
            _ => {}
        }
    }
    let evidence = Evidence {
        outcome: Some(outcome),
        claimed: true,
        ..evidence(shared, recorded, terminal)
    };
    Ok(failure(shared, recorded, &evidence))
}

/// What is known without the datastore.
fn evidence<'a>(shared: &Shared, recorded: &Recorded, job: Option<&'a JobDetail>) -> Evidence<'a> {
    Evidence {
        outcome: None,
        job,
        claimed: false,
        ended_by_us: *shared.cancelled.borrow(),
        memory: recorded.memory,
        time_limit: request::time_limit(shared, &recorded.pending.launch).ok(),
    }
}

/// What is to be done about an attempt that did not succeed.
fn failure(shared: &Shared, recorded: &Recorded, evidence: &Evidence<'_>) -> Verdict {
    let class = evidence.class();
    let explanation = evidence.explanation();
    tracing::info!(
        step = %recorded.pending.launch.path.step,
        attempt = recorded.pending.launch.attempt.0,
        %class,
        "an attempt failed"
    );
    let task = recorded.pending.launch.task;
    let next = if class == Class::OutOfMemory && gets_more_memory(shared, recorded) {
        // How often, the raises have counted; the scheduler sees to the numbers of attempts.
        Next::Over(Outcome::Lost {
            free: Attempt::LIMIT,
        })
    } else {
        next(class, evidence.has_begun(), recorded.pending.number)
    };
    match next {
        Next::Again { pause } => Verdict::Again {
            why: explanation.to_string(),
            pause,
        },
        Next::Over(outcome) => Verdict::Over(Ended {
            outcome: beside_raises(outcome, shared.raises.times(task)),
            failure: Some(Failure { class, explanation }),
        }),
    }
}

/// Whether the task gets more memory from now on.
fn gets_more_memory(shared: &Shared, recorded: &Recorded) -> bool {
    let amounts = recorded.memory.zip(recorded.more_memory);
    let Launch { task, attempt, .. } = recorded.pending.launch;
    amounts.is_some_and(|(from, to)| {
        shared.raises.raise(Raise {
            key: task,
            attempt,
            from,
            to,
        })
    })
}

/// The scheduler counts all lost attempts of a task together: those that ran out of memory take none from others.
fn beside_raises(outcome: Outcome, raises: u32) -> Outcome {
    match outcome {
        Outcome::Lost { free } => Outcome::Lost {
            free: free.saturating_add(raises),
        },
        other => other,
    }
}

/// What follows a failure.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    /// The same attempt, after a pause.
    Again { pause: Duration },
    /// The scheduler decides.
    Over(Outcome),
}

/// What follows a failure of a launch that had been repeated `launches` times.
fn next(class: Class, has_begun: bool, launches: u32) -> Next {
    Next::Over(match class.advice() {
        RetryAdvice::Free { times, pause }
            if !has_begun && launches < times.min(MAX_FREE_LAUNCHES) =>
        {
            let pause = Duration::from_secs(pause.into());
            return Next::Again { pause };
        }
        RetryAdvice::Free { times, .. }
            if has_begun || matches!(class, Class::HostLost | Class::LauncherLost) =>
        {
            Outcome::Lost { free: times }
        }
        RetryAdvice::Never if class.is_cancelled() => Outcome::Failed(FailureClass::Cancelled),
        // What would meet the same again is repeated where `@retry` says so, as upstream does it:
        // `@catch` counts attempts.
        RetryAdvice::Free { .. } | RetryAdvice::ByRetry | RetryAdvice::Never => {
            Outcome::Failed(FailureClass::User)
        }
    })
}

fn succeeded(transition: Transition) -> Ended {
    Ended {
        outcome: Outcome::Succeeded(transition),
        failure: None,
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
    if let Some(found) = marks::claim(&shared.store, &key).await? {
        return Ok(Some(found));
    }
    if marks::revoke(&shared.store, &key).await? == PutOutcome::Written {
        return Ok(None);
    }
    marks::claim(&shared.store, &key).await
}

#[cfg(test)]
mod tests {
    use model::failure::{BootstrapFault, Outlook};

    use super::*;

    const USER: Next = Next::Over(Outcome::Failed(FailureClass::User));
    const CANCELLED: Next = Next::Over(Outcome::Failed(FailureClass::Cancelled));

    fn again(seconds: u64) -> Next {
        Next::Again {
            pause: Duration::from_secs(seconds),
        }
    }

    fn lost(free: u32) -> Next {
        Next::Over(Outcome::Lost { free })
    }

    #[test]
    fn a_launch_that_never_began_is_repeated_under_its_number() {
        let not_begun = |class, launches| next(class, false, launches);
        let image = Class::Image(Outlook::Passing);
        assert_eq!(not_begun(image, 0), again(30));
        assert_eq!(not_begun(image, 1), again(30));
        assert_eq!(not_begun(image, 2), USER);
        let role = Class::Configuration(Outlook::Passing);
        assert_eq!(not_begun(role, 0), again(60));
        assert_eq!(not_begun(role, 1), USER);
        assert_eq!(not_begun(Class::HostLost, 1), again(0));
        assert_eq!(not_begun(Class::HostLost, 2), lost(3));
        assert_eq!(not_begun(Class::LauncherLost, 0), again(0));
        assert_eq!(not_begun(Class::LauncherLost, 2), lost(3));
        assert_eq!(not_begun(Class::CancelledByUs, 0), CANCELLED);
        assert_eq!(not_begun(Class::Unknown, 0), again(0));
        assert_eq!(not_begun(Class::Unknown, 1), USER);
        let lasting = Class::Bootstrap(BootstrapFault::Early);
        assert_eq!(not_begun(lasting, 0), USER);
        assert_eq!(not_begun(Class::CancelledBySomebody, 0), CANCELLED);
    }

    #[test]
    fn more_memory_takes_nothing_from_other_losses() {
        assert_eq!(
            beside_raises(Outcome::Lost { free: 3 }, 2),
            Outcome::Lost { free: 5 }
        );
        let failed = Outcome::Failed(FailureClass::User);
        assert_eq!(beside_raises(failed.clone(), 2), failed);
    }

    #[test]
    fn an_attempt_that_had_begun_is_lost_or_has_failed() {
        for (class, follows) in [
            (Class::UserError, USER),
            (Class::OutOfMemory, USER),
            (Class::Timeout, USER),
            (Class::HostLost, lost(3)),
            (Class::LauncherLost, lost(3)),
            (Class::Interrupted, lost(2)),
            (Class::Unknown, lost(1)),
            (Class::Capacity(Outlook::Lasting), USER),
            (Class::CancelledByUs, CANCELLED),
            (Class::CancelledBySomebody, CANCELLED),
        ] {
            assert_eq!(next(class, true, 0), follows, "{class}");
        }
    }
}
