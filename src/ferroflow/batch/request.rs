//! From what the flow host prepared to what Batch and the container are told.

use std::{collections::BTreeMap, env};

use aws::batch::JobQueue;
use compute::host::{BatchTask, protocol::BatchCommand};
use model::{
    batch::{
        JobDefinition, JobNameParts, JobRequest, Options, Resources, Share, TimeLimit, job,
        job_name, overrides, spec_variables,
    },
    launch_record::SpecPlace,
    layout,
    spec::{SPEC_VERSION, TaskSpec},
};

use super::{
    Launch, Shared,
    submit::{Pending, Recorded},
    watch::OutcomePlace,
};

/// The bootstrap stops a step this much later than its `@timeout`, in seconds: after the alarm
/// inside the task, before Batch.
const BOOTSTRAP_GRACE: u64 = 60;

/// What is known of a job before it has a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Job {
    pub(super) queue: String,
    pub(super) definition: String,
    resources: Resources,
    /// What comes after it if that was too little memory, in MiB.
    more_memory: Option<u64>,
    timeout_seconds: i32,
    share: Option<Share>,
    /// Of @environment, as far as an override has room for it.
    environment: BTreeMap<String, String>,
}

/// Resolves queue and definition; both are asked for once per run.
pub(super) async fn job(shared: &Shared, launch: &Launch) -> anyhow::Result<Job> {
    let options = Options::new(&launch.command.common().command_options);
    let queue: JobQueue = shared
        .client
        .job_queue(options.queue().as_deref(), shared.queues)
        .await?;
    shared.tell_that_jobs_will_wait(launch, &queue);
    let (definition, warnings) = JobDefinition::new(options, queue.platform, &shared.entry)?;
    shared.warn_once(launch, &warnings);
    let definition = shared.client.job_definition(&definition).await?;
    let limit = time_limit(shared, launch)?;
    let mut resources = Resources::new(options)?;
    let asked = resources.memory.parse().unwrap_or(0);
    let raise = shared
        .raises
        .of(launch.task, launch.attempt)
        .filter(|raise| raise.to > asked);
    if let Some(raise) = raise {
        resources.memory = raise.to.to_string();
    }
    let memory = raise.map_or(asked, |raise| raise.to);
    let is_fargate = queue.platform.is_fargate();
    Ok(Job {
        more_memory: shared.raises.next(memory, &resources.vcpu, is_fargate),
        share: share(&queue, launch)?,
        environment: overrides::divide(&launch.command.common().container.user_environment).0,
        queue: queue.name,
        definition,
        resources,
        timeout_seconds: limit.attempt_duration_seconds(launch.path.step.as_str())?,
    })
}

/// Where the queue has a scheduling policy: what the user named, or the user.
fn share(queue: &JobQueue, launch: &Launch) -> anyhow::Result<Option<Share>> {
    if !queue.has_scheduling_policy {
        return Ok(None);
    }
    let named = env::var(job::variable::SHARE).unwrap_or_default();
    if named.is_empty() {
        return Ok(Some(Share::of(user(launch.command.common()))));
    }
    Ok(Some(named.parse()?))
}

/// Name of the job that the record `seq` submits for this attempt.
pub(super) fn name(shared: &Shared, pending: &Pending, seq: u64) -> String {
    job_name(JobNameParts {
        user: user(pending.launch.command.common()),
        flow: &shared.plan.flow,
        task: &pending.launch.path,
        attempt: pending.launch.attempt,
        seq,
        root: &shared.plan.datastore.root,
    })
}

impl Job {
    /// What it asks for, in MiB.
    pub(super) fn memory(&self) -> Option<u64> {
        self.resources.memory.parse().ok()
    }

    /// What comes after it if that was too little, in MiB.
    pub(super) fn more_memory(&self) -> Option<u64> {
        self.more_memory
    }

    pub(super) fn resources(&self) -> &Resources {
        &self.resources
    }

    /// What is submitted for these attempts: an array, if they are several.
    pub(super) fn request(
        self,
        shared: &Shared,
        members: &[Recorded],
        name: String,
        record_key: &str,
        place: &SpecPlace,
    ) -> JobRequest {
        let address = shared.store.address().clone();
        let mut environment = spec_variables(&address, record_key, place);
        environment.push(("AWS_DEFAULT_REGION".to_owned(), shared.region.clone()));
        if let Some(endpoint) = address.endpoint {
            environment.push(("METAFLOW_S3_ENDPOINT_URL".to_owned(), endpoint));
        }
        // What the user says wins over what we say.
        environment.retain(|(name, _)| !self.environment.contains_key(name));
        environment.extend(self.environment);
        JobRequest {
            name,
            queue: self.queue,
            definition: self.definition,
            parameters: common(members, BatchTask::parameters),
            tags: common(members, |command| command.common().tags.clone()),
            command: None,
            environment,
            resources: self.resources,
            timeout_seconds: self.timeout_seconds,
            share: self.share,
            array_size: place
                .array
                .as_ref()
                .map(|array| array.children.cast_signed()),
        }
    }
}

/// What is said of all of these attempts.
fn common(
    members: &[Recorded],
    of: impl Fn(&BatchTask) -> BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let mut all = members.iter().map(|one| of(&one.pending.launch.command));
    let mut common = all.next().unwrap_or_default();
    for other in all {
        common.retain(|name, value| other.get(name) == Some(value));
    }
    common
}

/// What the container of an attempt is told.
pub(super) fn spec(
    shared: &Shared,
    pending: &Pending,
    place: OutcomePlace,
) -> Result<TaskSpec, model::batch::options::OptionError> {
    let Launch {
        path,
        attempt,
        command,
        ..
    } = &pending.launch;
    let plan = &shared.plan;
    let common = command.common();
    let container = &common.container;
    let too_long = overrides::divide(&container.user_environment).1;
    shared.tell_what_is_too_long(&pending.launch, &too_long);
    let mut environment = command.environment();
    environment.extend(too_long);
    Ok(TaskSpec {
        version: SPEC_VERSION,
        flow: plan.flow.clone(),
        task: path.clone(),
        attempt: *attempt,
        launch: pending.number,
        store: shared.store.address().clone(),
        claim: layout::claim(&plan.flow, path, *attempt, pending.number),
        outcome: layout::outcome(&plan.flow, &plan.run, place.seq, place.index),
        package: common.code.package.clone(),
        bytecode: common.code.bytecode.clone(),
        prepare: container.prepare.clone(),
        command: command.command(),
        shell: container.shell,
        environment,
        files: container.files.clone(),
        install: container.install,
        time_limit: match time_limit(shared, &pending.launch)? {
            TimeLimit::Decorator(seconds) => seconds.saturating_add(BOOTSTRAP_GRACE),
            TimeLimit::Default(seconds) => seconds,
        },
        lease: shared.lease.as_ref().map(|lease| lease.terms().clone()),
        registers_usage: shared.containers_register(),
    })
}

/// How long a step may run, and who says so.
pub(super) fn time_limit(
    shared: &Shared,
    launch: &Launch,
) -> Result<TimeLimit, model::batch::options::OptionError> {
    let seconds = Options::new(&launch.command.common().command_options).run_time_limit()?;
    let step = shared.plan.steps.get(&launch.path.step);
    Ok(if step.is_some_and(|step| step.timeout) {
        TimeLimit::Decorator(seconds)
    } else {
        TimeLimit::Default(seconds)
    })
}

pub(super) fn user(command: &BatchCommand) -> &str {
    command
        .parameters
        .get("metaflow.user")
        .map_or("", String::as_str)
}
