//! One attempt of a job, from its place on a host to its end.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError},
    time::Duration,
};

use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::sync::watch;

use super::{
    event::Outcome,
    job::{JobKey, Needs},
    process::{self, Ended, Job, Killed, StartError},
    resource::{ComputeEnvironment, Platform},
    service::{Control, Shared},
    state::State,
    substitution::command_of,
};
use crate::{
    Context,
    faults::Fault,
    logs::{StreamWriter, stream_name},
};

/// Between SIGTERM and SIGKILL (ECS, `ECS_CONTAINER_STOP_TIMEOUT`).
const STOP_TIMEOUT: Duration = Duration::from_secs(30);
const ESSENTIAL_EXITED: &str = "Essential container in task exited";
const TIMED_OUT: &str = "Job attempt duration exceeded timeout";
const FAILED_TO_START: &str = "Task failed to start";
const OUT_OF_MEMORY: &str = "OutOfMemoryError: Container killed due to memory usage";
const OUT_OF_MEMORY_FARGATE: &str = "OutOfMemoryError: container killed due to memory usage";
/// Longest `container.reason` (API reference, ContainerDetail).
const REASON_LENGTH: usize = 255;

/// All that an attempt needs to know.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) key: JobKey,
    pub(super) job_id: String,
    pub(super) job_name: String,
    pub(super) attempt: u32,
    pub(super) platform: Platform,
    pub(super) image: String,
    pub(super) command: Vec<String>,
    pub(super) environment: BTreeMap<String, String>,
    pub(super) needs: Needs,
    pub(super) timeout: Option<Duration>,
    pub(super) role: Option<String>,
    pub(super) queue: String,
    pub(super) compute_environment: String,
    pub(super) log_stream: String,
}

impl Order {
    pub(super) fn new(context: &Context, state: &State, key: JobKey) -> Option<Self> {
        let submission = state.submission(key.submission)?;
        let definition = state.definition_of(submission)?;
        let compute_environment = state.placed.get(&key)?.environment.clone();
        let job_id = submission.id(key.index);
        let attempt = submission.job(key.index)?.attempt();
        let text = |name: &str| Some(definition.container.get(name)?.as_str()?.to_owned());
        let environment = super::container::variables(&definition.container)
            .chain(super::container::variables(&submission.spec.overrides))
            .collect();
        let environments = &state.environments;
        let platform = environments
            .get(&compute_environment)
            .map(ComputeEnvironment::platform);
        let timeout = submission
            .spec
            .timeout_seconds
            .map(u64::from)
            .map(Duration::from_secs);
        Some(Self {
            key,
            attempt,
            platform: platform.unwrap_or(definition.platform),
            image: text("image").unwrap_or_default(),
            command: command_of(submission, definition),
            environment,
            needs: submission.spec.needs,
            timeout: timeout.map(|timeout| context.clock.real(timeout)),
            role: text("jobRoleArn"),
            queue: submission.spec.queue.clone(),
            compute_environment,
            log_stream: stream_name(&definition.name, &task_id(&job_id, attempt)),
            job_name: submission.spec.name.clone(),
            job_id,
        })
    }
}

/// The id of the ECS task of an attempt.
pub(super) fn task_id(job_id: &str, attempt: u32) -> String {
    let digest = Sha256::digest(format!("{job_id} {attempt}"));
    hex::encode(&digest[..16])
}

/// What an attempt says whose host is gone.
pub(super) fn host_lost(job_id: &str, attempt: u32) -> Outcome {
    let instance = &task_id(job_id, attempt)[..16];
    Outcome {
        succeeded: false,
        exit_code: None,
        status_reason: format!("Host EC2 (instance i-0{instance}) terminated.").into(),
        reason: None,
        retryable: true,
    }
}

/// Runs an attempt.
pub(super) async fn run(
    shared: &Arc<Shared>,
    order: Order,
    mut stopped: watch::Receiver<Control>,
) -> Outcome {
    let faults = &shared.context.faults;
    let fault = faults.of_call("StartJob", &order.job_name, order.key.index);
    match &fault {
        Some(Fault::SucceedWithoutRunning) => {
            shared.running(order.key, order.attempt, None);
            return exited(&order, 0, false);
        }
        Some(Fault::FailToStart {
            status_reason,
            reason,
        }) => {
            return Outcome {
                succeeded: false,
                exit_code: None,
                status_reason: status_reason.clone().into(),
                reason: reason.clone().map(Into::into),
                retryable: true,
            };
        }
        _ => {}
    }
    tell_of_image(shared, &order.image);
    let writer = match StreamWriter::create(&shared.context.folder, &order.log_stream) {
        Ok(writer) => writer,
        Err(error) => {
            return not_started(format!(
                "ResourceInitializationError: failed to initialize logging driver: {error}"
            ));
        }
    };
    let variables = shared
        .credentials
        .issue(&order.job_id, order.role.as_deref());
    let outcome = run_process(shared, &order, fault, variables, &writer, &mut stopped).await;
    shared.credentials.revoke(&order.job_id);
    outcome
}

/// Says once that an image is not used.
fn tell_of_image(shared: &Shared, image: &str) {
    let mut told = shared.images.lock().unwrap_or_else(PoisonError::into_inner);
    if told.insert(image.to_owned()) {
        tracing::info!(
            image,
            "the image is not used: jobs of the embedded stack are processes of this machine"
        );
        shared.record("image.ignored", json!({"image": image}));
    }
}

async fn run_process(
    shared: &Arc<Shared>,
    order: &Order,
    fault: Option<Fault>,
    credentials: Vec<(String, String)>,
    writer: &StreamWriter,
    stopped: &mut watch::Receiver<Control>,
) -> Outcome {
    if *stopped.borrow() != Control::Run {
        return stop_outcome(shared, order, None);
    }
    let start =
        |name: &'static str| process::start(shared, order, &credentials, name, writer.clone());
    let mut first = match start("").await {
        Ok(job) => job,
        Err(StartError::Command(reason)) => return not_started(reason),
        Err(StartError::Machine(error)) => {
            return not_started(format!("CannotCreateContainerError: {error}"));
        }
    };
    let mut second = match &fault {
        Some(Fault::StartTwice) => start("-again").await.ok(),
        _ => None,
    };
    shared.running(order.key, order.attempt, Some(first.process));
    for process in [Some(&first), second.as_ref()].into_iter().flatten() {
        let pid = process.process.pid;
        let detail = json!({"jobId": order.job_id, "attempt": order.attempt, "pid": pid, "command": order.command});
        shared.record("process.started", detail);
    }
    let lost_after = match &fault {
        Some(Fault::LoseHost(after)) => Some(shared.context.clock.real(*after)),
        _ => None,
    };
    let cause = wait(
        shared,
        order,
        &mut first,
        second.as_mut(),
        lost_after,
        stopped,
    )
    .await;
    let mut ended = end(shared, order, first).await;
    if let Some(second) = second {
        // Either process can have done the work; the job succeeded if one of them did.
        let other = end(shared, order, second).await;
        if other.code == 0 {
            ended = other;
        }
    }
    outcome(shared, order, cause, ended, fault)
}

async fn end(shared: &Shared, order: &Order, job: Job) -> Ended {
    let pid = job.process.pid;
    let ended = job.end().await;
    let detail = json!({"jobId": order.job_id, "attempt": order.attempt, "pid": pid, "exitCode": ended.code});
    shared.record("process.ended", detail);
    ended
}

/// Why a process was not left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    Exited,
    Stopped,
    TimedOut,
    HostLost,
}

async fn wait(
    shared: &Arc<Shared>,
    order: &Order,
    first: &mut Job,
    mut second: Option<&mut Job>,
    lost_after: Option<Duration>,
    stopped: &mut watch::Receiver<Control>,
) -> Cause {
    let timeout = after(order.timeout);
    let lost = after(lost_after);
    tokio::pin!(timeout, lost);
    let both = async {
        first.exited().await;
        if let Some(second) = &mut second {
            second.exited().await;
        }
    };
    let cause = tokio::select! {
        () = both => return Cause::Exited,
        cause = asked(stopped) => cause,
        () = &mut timeout => Cause::TimedOut,
        () = &mut lost => Cause::HostLost,
    };
    if cause == Cause::HostLost {
        return cause;
    }
    first.terminate();
    if let Some(second) = &mut second {
        second.terminate();
    }
    let grace = shared.context.clock.real(STOP_TIMEOUT);
    let both = async {
        first.exited().await;
        if let Some(second) = &mut second {
            second.exited().await;
        }
    };
    // Who does not end is ended by `Job::end`.
    let _ = tokio::time::timeout(grace, both).await;
    cause
}

async fn after(time: Option<Duration>) {
    match time {
        Some(time) => tokio::time::sleep(time).await,
        None => std::future::pending().await,
    }
}

async fn asked(stopped: &mut watch::Receiver<Control>) -> Cause {
    match stopped
        .wait_for(|control| *control != Control::Run)
        .await
        .map(|control| *control)
    {
        Ok(Control::Kill) => Cause::HostLost,
        Ok(_) => Cause::Stopped,
        Err(_) => std::future::pending().await,
    }
}

fn outcome(
    shared: &Shared,
    order: &Order,
    cause: Cause,
    ended: Ended,
    fault: Option<Fault>,
) -> Outcome {
    match (cause, fault) {
        (Cause::HostLost, _) => host_lost(&order.job_id, order.attempt),
        (Cause::Stopped, _) => stop_outcome(shared, order, Some(ended.code)),
        (Cause::TimedOut, _) => Outcome {
            succeeded: false,
            exit_code: Some(ended.code),
            status_reason: TIMED_OUT.into(),
            reason: None,
            retryable: false,
        },
        (Cause::Exited, Some(Fault::FailAfterSuccess(reason))) => Outcome {
            succeeded: false,
            exit_code: None,
            status_reason: reason.into(),
            reason: None,
            retryable: true,
        },
        (Cause::Exited, _) => exited(order, ended.code, ended.killed == Killed::ForMemory),
    }
}

fn exited(order: &Order, code: i32, out_of_memory: bool) -> Outcome {
    let text = match order.platform {
        Platform::Ec2 => OUT_OF_MEMORY,
        Platform::Fargate => OUT_OF_MEMORY_FARGATE,
    };
    Outcome {
        succeeded: code == 0,
        exit_code: Some(code),
        status_reason: ESSENTIAL_EXITED.into(),
        reason: (out_of_memory && code != 0).then_some(text.into()),
        retryable: true,
    }
}

fn stop_outcome(shared: &Shared, order: &Order, exit_code: Option<i32>) -> Outcome {
    let core = shared.core();
    let stop = core.state.job(order.key).and_then(|job| job.stop.as_ref());
    let reason = stop.map(|stop| stop.reason.clone());
    Outcome {
        succeeded: false,
        exit_code,
        status_reason: reason.unwrap_or_default().into(),
        reason: None,
        retryable: false,
    }
}

fn not_started(reason: String) -> Outcome {
    let reason: String = reason.chars().take(REASON_LENGTH).collect();
    Outcome {
        succeeded: false,
        exit_code: None,
        status_reason: FAILED_TO_START.into(),
        reason: Some(reason.into()),
        retryable: true,
    }
}
