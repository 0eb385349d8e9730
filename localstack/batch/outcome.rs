//! What an attempt came to, in AWS's words.

use sha2::{Digest, Sha256};

use super::{
    event::Outcome,
    process::{Ended, Killed},
    resource::Platform,
    run::{Cause, Order},
    service::Shared,
};
use crate::faults::Fault;

const ESSENTIAL_EXITED: &str = "Essential container in task exited";
const TIMED_OUT: &str = "Job attempt duration exceeded timeout";
const FAILED_TO_START: &str = "Task failed to start";
const SPOT_INTERRUPTED: &str = "Your Spot Task was interrupted.";
const OUT_OF_MEMORY: &str = "OutOfMemoryError: Container killed due to memory usage";
const OUT_OF_MEMORY_FARGATE: &str = "OutOfMemoryError: container killed due to memory usage";
/// Of a container that was killed: 128 and SIGKILL.
const KILLED: i32 = 137;
/// Longest `container.reason` (API reference, ContainerDetail).
const REASON_LENGTH: usize = 255;

/// The id of the ECS task of an attempt.
pub(super) fn task_id(job_id: &str, attempt: u32) -> String {
    let digest = Sha256::digest(format!("{job_id} {attempt}"));
    hex::encode(&digest[..16])
}

/// What an attempt says whose host is gone.
pub(super) fn host_lost(job_id: &str, attempt: u32) -> Outcome {
    let instance = &task_id(job_id, attempt)[..16];
    failed(
        &format!("Host EC2 (instance i-0{instance}) terminated."),
        None,
    )
}

/// An attempt with this end.
pub(super) fn outcome(shared: &Shared, order: &Order, cause: Cause, ended: Ended) -> Outcome {
    match cause {
        Cause::Exited => match &order.fault {
            Some(Fault::FailAfterSuccess(reason)) => failed(reason, None),
            _ => exited(order, ended.code, ended.killed),
        },
        Cause::StackEnds => host_lost(&order.job_id, order.attempt),
        Cause::Stopped => stopped(shared, order, Some(ended.code)),
        Cause::TimedOut => Outcome {
            retryable: false,
            ..failed(TIMED_OUT, Some(ended.code))
        },
        Cause::Fault => by_fault(order, ended),
    }
}

/// The end that a fault has brought.
fn by_fault(order: &Order, ended: Ended) -> Outcome {
    let lost = || host_lost(&order.job_id, order.attempt);
    match &order.fault {
        // Whoever has ended well in time has ended well.
        Some(Fault::DrainHost { .. } | Fault::ReclaimFargate(_) | Fault::Interrupt(_))
            if ended.code == 0 =>
        {
            exited(order, 0, Killed::No)
        }
        Some(Fault::DrainHost { .. }) => Outcome {
            exit_code: Some(ended.code),
            ..lost()
        },
        Some(Fault::ReclaimFargate(_)) => failed(SPOT_INTERRUPTED, Some(ended.code)),
        Some(Fault::OutOfMemory(_)) => exited(order, KILLED, Killed::ForMemory),
        Some(Fault::FailWhileAlive { status_reason, .. }) => failed(status_reason, None),
        Some(Fault::Interrupt(_)) => exited(order, ended.code, Killed::No),
        _ => lost(),
    }
}

pub(super) fn exited(order: &Order, code: i32, killed: Killed) -> Outcome {
    let text = match order.platform {
        Platform::Ec2 => OUT_OF_MEMORY,
        Platform::Fargate => OUT_OF_MEMORY_FARGATE,
    };
    Outcome {
        succeeded: code == 0,
        reason: (killed == Killed::ForMemory && code != 0).then_some(text.into()),
        ..failed(ESSENTIAL_EXITED, Some(code))
    }
}

/// Somebody asked for its end.
pub(super) fn stopped(shared: &Shared, order: &Order, exit_code: Option<i32>) -> Outcome {
    let core = shared.core();
    let stop = core.state.job(order.key).and_then(|job| job.stop.as_ref());
    let reason = stop.map(|stop| stop.reason.clone());
    Outcome {
        retryable: false,
        ..failed(&reason.unwrap_or_default(), exit_code)
    }
}

pub(super) fn not_started(reason: &str) -> Outcome {
    let reason: String = reason.chars().take(REASON_LENGTH).collect();
    Outcome {
        reason: Some(reason.into()),
        ..failed(FAILED_TO_START, None)
    }
}

pub(super) fn failed(status_reason: &str, exit_code: Option<i32>) -> Outcome {
    Outcome {
        succeeded: false,
        exit_code,
        status_reason: status_reason.to_owned().into(),
        reason: None,
        retryable: true,
    }
}
