//! One attempt of a job, from its place on a host to its end.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError},
    time::Duration,
};

use serde_json::json;
use tokio::sync::watch;

use super::{
    container,
    event::Outcome,
    job::{JobKey, Needs, Submission},
    outcome::{exited, failed, not_started, outcome, stopped, task_id},
    process::{self, Ended, Job, Killed, StartError},
    resource::{ComputeEnvironment, JobDefinition, Platform},
    service::{Control, Shared},
    simulated,
    state::State,
    substitution::command_of,
};
use crate::{
    Context,
    faults::Fault,
    logs::{StreamWriter, stream_name},
    simulate::Simulator,
};

/// Between SIGTERM and SIGKILL (ECS, `ECS_CONTAINER_STOP_TIMEOUT`).
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

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
    /// What is to go wrong.
    pub(super) fault: Option<Fault>,
}

impl Order {
    pub(super) fn new(
        context: &Context,
        state: &State,
        key: JobKey,
        fault: Option<Fault>,
    ) -> Option<Self> {
        let submission = state.submission(key.submission)?;
        let definition = state.definition_of(submission)?;
        let compute_environment = state.placed.get(&key)?.environment.clone();
        let job_id = submission.id(key.index);
        let attempt = submission.job(key.index)?.attempt();
        let text = |name: &str| Some(definition.container.get(name)?.as_str()?.to_owned());
        let environment = environment(definition, submission);
        let environments = &state.environments;
        let platform = environments
            .get(&compute_environment)
            .map(ComputeEnvironment::platform);
        let late = match &fault {
            Some(Fault::LateTimeout(late)) => *late,
            _ => Duration::ZERO,
        };
        let timeout = submission.spec.timeout_seconds.map(u64::from);
        let timeout = timeout.map(|seconds| Duration::from_secs(seconds) + late);
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
            fault,
        })
    }

    /// A name for one start of the attempt, of which a fault can make two: that of its ECS task.
    pub(super) fn task(&self, start: Start) -> String {
        let id = task_id(&self.job_id, self.attempt);
        format!("{id}{}", start.suffix())
    }

    /// When a fault intervenes, in real time from the start of the process, and how long the process then has to end by
    /// itself.
    pub(super) fn intervention(&self, context: &Context) -> Option<(Duration, Duration)> {
        let (after, grace) = match self.fault.as_ref()? {
            Fault::LoseHost(after)
            | Fault::OutOfMemory(after)
            | Fault::FailWhileAlive { after, .. } => (after, Duration::ZERO),
            Fault::DrainHost { after, grace } => (after, *grace),
            Fault::ReclaimFargate(after) | Fault::Interrupt(after) => (after, STOP_TIMEOUT),
            _ => return None,
        };
        Some((context.clock.real(*after), context.clock.real(grace)))
    }
}

/// What a container is told: the override's variables come after the definition's.
pub(super) fn environment(
    definition: &JobDefinition,
    submission: &Submission,
) -> BTreeMap<String, String> {
    container::variables(&definition.container)
        .chain(container::variables(&submission.spec.overrides))
        .collect()
}

/// Which start of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    First,
    /// At the same time.
    Second,
}

impl Start {
    /// Tells the two apart in names.
    pub(super) fn suffix(self) -> &'static str {
        match self {
            Self::First => "",
            Self::Second => "-again",
        }
    }
}

/// Why a process was not left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    Exited,
    /// Somebody asked for it.
    Stopped,
    TimedOut,
    StackEnds,
    Fault,
}

/// Runs an attempt.
pub(super) async fn run(
    shared: &Arc<Shared>,
    order: Order,
    mut stop: watch::Receiver<Control>,
) -> Outcome {
    match &order.fault {
        Some(Fault::SucceedWithoutRunning) => {
            shared.running(order.key, order.attempt, None);
            return exited(&order, 0, Killed::No);
        }
        Some(Fault::FailToStart {
            status_reason,
            reason,
        }) => {
            return Outcome {
                reason: reason.clone().map(Into::into),
                ..failed(status_reason, None)
            };
        }
        Some(Fault::Delay(duration)) => {
            tokio::select! {
                () = shared.context.clock.sleep(*duration) => {}
                _ = asked(&mut stop) => {}
            }
        }
        _ => {}
    }
    if let Some(simulator) = shared.simulator_of(&order) {
        return simulated::run(shared, &order, simulator, &mut stop).await;
    }
    tell_of_image(shared, &order.image);
    let writer = match StreamWriter::create(&shared.context.folder, &order.log_stream) {
        Ok(writer) => writer,
        Err(error) => {
            return not_started(&format!(
                "ResourceInitializationError: failed to initialize logging driver: {error}"
            ));
        }
    };
    let outcome = run_process(shared, &order, &writer, &mut stop).await;
    for start in [Start::First, Start::Second] {
        shared.credentials.revoke(&order.task(start));
    }
    outcome
}

impl Shared {
    /// Who plays the container of an attempt, if anybody does.
    fn simulator_of(&self, order: &Order) -> Option<&Simulator> {
        let simulator = self.simulator.as_deref()?;
        let core = self.core();
        let submission = core.state.submission(order.key.submission)?;
        simulator
            .plays(&submission.spec.parameters)
            .then_some(simulator)
    }
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
    writer: &StreamWriter,
    stop: &mut watch::Receiver<Control>,
) -> Outcome {
    if *stop.borrow() != Control::Run {
        return stopped(shared, order, None);
    }
    let first = match start(shared, order, Start::First, writer).await {
        Ok(job) => job,
        Err(StartError::Command(reason)) => return not_started(&reason),
        Err(StartError::Machine(error)) => {
            return not_started(&format!("CannotCreateContainerError: {error}"));
        }
    };
    let process = first.process;
    let mut processes = vec![(Start::First, first)];
    if order.fault == Some(Fault::StartTwice)
        && let Ok(second) = start(shared, order, Start::Second, writer).await
    {
        processes.push((Start::Second, second));
    }
    shared.running(order.key, order.attempt, Some(process));
    for (start, job) in &processes {
        let detail = json!({
            "jobId": order.job_id,
            "jobName": order.job_name,
            "attempt": order.attempt,
            "task": order.task(*start),
            "pid": job.process.pid,
            "command": order.command,
        });
        shared.record("process.started", detail);
    }
    let mut cause = wait(shared, order, &mut processes, stop).await;
    if cause == Cause::Fault && matches!(order.fault, Some(Fault::FailWhileAlive { .. })) {
        let ended = Ended {
            code: 0,
            killed: Killed::No,
        };
        let called = outcome(shared, order, cause, ended);
        shared.ended(order.key, order.attempt, called);
        cause = live_on(&mut processes, stop).await;
    }
    let ended = end(shared, order, processes).await;
    outcome(shared, order, cause, ended)
}

async fn start(
    shared: &Arc<Shared>,
    order: &Order,
    start: Start,
    writer: &StreamWriter,
) -> Result<Job, StartError> {
    let task = order.task(start);
    let role = order.role.as_deref();
    let variables = shared.credentials.issue(&task, &order.job_id, role);
    process::start(shared, order, &variables, start, writer.clone()).await
}

/// Ends what is left. Either process can have done the work; the job succeeded if one of them did.
async fn end(shared: &Shared, order: &Order, processes: Vec<(Start, Job)>) -> Ended {
    let mut ends = Vec::new();
    for (start, job) in processes {
        let pid = job.process.pid;
        let ended = job.end().await;
        let detail = json!({
            "jobId": order.job_id,
            "attempt": order.attempt,
            "task": order.task(start),
            "pid": pid,
            "exitCode": ended.code,
        });
        shared.record("process.ended", detail);
        ends.push(ended);
    }
    let well = ends.iter().find(|ended| ended.code == 0);
    let first = well.or(ends.first()).copied();
    first.expect("an attempt that is ended has been started")
}

/// Waits for the end of all, or for what brings it about.
async fn wait(
    shared: &Arc<Shared>,
    order: &Order,
    processes: &mut [(Start, Job)],
    stop: &mut watch::Receiver<Control>,
) -> Cause {
    let intervention = order.intervention(&shared.context);
    let timeout = after(order.timeout);
    let fault = after(intervention.map(|(after, _)| after));
    tokio::pin!(timeout, fault);
    let cause = tokio::select! {
        () = all_exited(processes) => return Cause::Exited,
        cause = asked(stop) => cause,
        () = &mut timeout => Cause::TimedOut,
        () = &mut fault => Cause::Fault,
    };
    let grace = match (cause, intervention) {
        (Cause::Fault, Some((_, grace))) => grace,
        (Cause::StackEnds, _) => Duration::ZERO,
        _ => shared.context.clock.real(STOP_TIMEOUT),
    };
    if grace.is_zero() {
        return cause;
    }
    for (_, job) in &*processes {
        job.terminate();
    }
    // Who does not end is ended by `Job::end`.
    let _ = tokio::time::timeout(grace, all_exited(processes)).await;
    cause
}

/// The job was called a failure; until its process ends by itself, or the stack does.
async fn live_on(processes: &mut [(Start, Job)], stop: &mut watch::Receiver<Control>) -> Cause {
    let killed = stop.wait_for(|control| *control == Control::Kill);
    tokio::select! {
        () = all_exited(processes) => Cause::Exited,
        _ = killed => Cause::StackEnds,
    }
}

async fn all_exited(processes: &mut [(Start, Job)]) {
    for (_, job) in processes {
        job.exited().await;
    }
}

pub(super) async fn after(time: Option<Duration>) {
    match time {
        Some(time) => tokio::time::sleep(time).await,
        None => std::future::pending().await,
    }
}

pub(super) async fn asked(stop: &mut watch::Receiver<Control>) -> Cause {
    match stop
        .wait_for(|control| *control != Control::Run)
        .await
        .map(|control| *control)
    {
        Ok(Control::Kill) => Cause::StackEnds,
        Ok(_) => Cause::Stopped,
        Err(_) => std::future::pending().await,
    }
}
