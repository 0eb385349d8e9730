//! DescribeJobs, and the parts that ListJobs shows of a job.

use serde_json::{Map, Value, json};

use super::{
    container,
    job::{Attempt, Body, DependencyKind, Job, JobKey, JobStatus, Phase, StopKind, Submission},
    outcome::task_id,
    request::{Request, text_of},
    resource::{JobDefinition, Platform},
    service::Shared,
    state::State,
    substitution::command_of,
};
use crate::{ApiError, Reply, faults::Fault, logs::stream_name};

/// API reference, DescribeJobs.
const MAX_JOBS: usize = 100;
/// Members of a definition's container that a job shows as they are.
const SHOWN: [&str; 19] = [
    "image",
    "jobRoleArn",
    "executionRoleArn",
    "volumes",
    "mountPoints",
    "readonlyRootFilesystem",
    "privileged",
    "ulimits",
    "user",
    "instanceType",
    "linuxParameters",
    "logConfiguration",
    "secrets",
    "networkConfiguration",
    "fargatePlatformConfiguration",
    "ephemeralStorage",
    "runtimePlatform",
    "repositoryCredentials",
    "enableExecuteCommand",
];

impl Shared {
    /// Jobs by id. What is not known is left out.
    pub(super) fn describe_jobs(&self, request: &Request) -> Reply {
        let ids = request.texts("jobs");
        if ids.len() > MAX_JOBS {
            return Err(ApiError::client(format!(
                "jobs must contain at most {MAX_JOBS} ids."
            )));
        }
        let core = self.core();
        let state = core.told(&self.context, request);
        let keys = ids
            .iter()
            .filter_map(|id| state.key(id.strip_prefix(&self.job_arn("")).unwrap_or(id)));
        let describe = |key: JobKey| {
            let mut detail = self.job_detail(state, key)?;
            if let Some(Fault::StaleSummary(lag)) = request.fault
                && key.index.is_none()
                && let Some(submission) = state.submission(key.submission)
                && let Some(size) = submission.spec.size
            {
                let old = core.ago(&self.context, lag).submission(key.submission);
                let none = || summary_of(size, &[0; 7], submission.whole().created_at);
                detail["arrayProperties"] = old.and_then(status_summary).unwrap_or_else(none);
            }
            Some(detail)
        };
        let jobs: Vec<Value> = keys.filter_map(describe).collect();
        Ok(json!({"jobs": jobs}))
    }

    fn job_detail(&self, state: &State, key: JobKey) -> Option<Value> {
        let submission = state.submission(key.submission)?;
        let job = submission.job(key.index)?;
        let definition = state.definition_of(submission)?;
        let spec = &submission.spec;
        let mut detail = self.common(submission, key.index, job);
        let mut set = |name: &str, value: Value| detail.insert(name.to_owned(), value);
        set("jobQueue", self.queue_arn(&spec.queue).into());
        set("retryStrategy", spec.retry.describe());
        set("parameters", json!(spec.parameters));
        set("tags", json!(spec.tags));
        set("propagateTags", spec.propagate_tags.into());
        set("dependsOn", depends_on(submission));
        set(
            "platformCapabilities",
            json!([platform_name(definition.platform)]),
        );
        if let Some(seconds) = spec.timeout_seconds {
            set("timeout", json!({"attemptDurationSeconds": seconds}));
        }
        if let Some(share) = &spec.share {
            set("shareIdentifier", share.clone().into());
        }
        if let Some(priority) = spec.priority {
            set("schedulingPriority", priority.into());
        }
        let id = submission.id(key.index);
        let tasks = Tasks {
            shared: self,
            definition,
            environment: environment_of(state, key, spec.queue.as_str()),
            id: &id,
        };
        let attempts = (1..).zip(&job.attempts);
        let attempts: Vec<Value> = attempts
            .map(|(number, attempt)| tasks.attempt(number, attempt))
            .collect();
        set("attempts", attempts.into());
        set("container", tasks.container(submission, job).into());
        Some(detail.into())
    }

    /// What DescribeJobs and ListJobs both show.
    pub(super) fn common(
        &self,
        submission: &Submission,
        index: Option<u32>,
        job: &Job,
    ) -> Map<String, Value> {
        let id = submission.id(index);
        let mut all = Map::new();
        let mut set = |name: &str, value: Value| all.insert(name.to_owned(), value);
        set("jobArn", self.job_arn(&id).into());
        set("jobId", id.into());
        set("jobName", submission.spec.name.clone().into());
        set(
            "jobDefinition",
            self.definition_arn(&submission.spec.definition).into(),
        );
        set("status", job.status().as_str().into());
        set("createdAt", job.created_at.into());
        if let Some(reason) = &job.status_reason {
            set("statusReason", reason.clone().into());
        }
        let last = job.attempts.last();
        let started = match job.phase {
            Phase::Running { started_at } => Some(started_at),
            Phase::Starting => None,
            _ => last.and_then(|attempt| attempt.started_at),
        };
        if let Some(at) = started {
            set("startedAt", at.into());
        }
        if let Phase::Succeeded { stopped_at } | Phase::Failed { stopped_at } = job.phase {
            set("stoppedAt", stopped_at.into());
        }
        set(
            "isCancelled",
            job.stop
                .as_ref()
                .is_some_and(|stop| stop.kind == StopKind::Cancel)
                .into(),
        );
        set(
            "isTerminated",
            job.stop
                .as_ref()
                .is_some_and(|stop| stop.kind == StopKind::Terminate)
                .into(),
        );
        match (&submission.body, index) {
            (Body::Array { .. }, Some(index)) => {
                set("arrayProperties", json!({"index": index}));
            }
            (_, None) => {
                if let Some(summary) = status_summary(submission) {
                    set("arrayProperties", summary);
                }
            }
            _ => {}
        }
        all
    }
}

/// Of an array, how many of its children are in each status.
fn status_summary(submission: &Submission) -> Option<Value> {
    match (&submission.body, submission.spec.size) {
        (
            Body::Array {
                counts, updated_at, ..
            },
            Some(size),
        ) => Some(summary_of(size, counts, *updated_at)),
        _ => None,
    }
}

fn summary_of(size: u32, counts: &[u32; 7], updated_at: i64) -> Value {
    let counts = JobStatus::ALL
        .iter()
        .zip(counts)
        .map(|(status, count)| (status.as_str().to_owned(), (*count).into()));
    let counts: Map<String, Value> = counts.collect();
    json!({
        "size": size,
        "statusSummary": counts,
        "statusSummaryLastUpdatedAt": updated_at,
    })
}

pub(super) fn platform_name(platform: Platform) -> &'static str {
    match platform {
        Platform::Ec2 => "EC2",
        Platform::Fargate => "FARGATE",
    }
}

/// Where the job is; once it has left, the first environment of its queue.
fn environment_of<'a>(state: &'a State, key: JobKey, queue: &str) -> &'a str {
    let placed = state
        .placed
        .get(&key)
        .map(|placed| placed.environment.as_str());
    let first = || Some(state.queues.get(queue)?.environments.first()?.as_str());
    placed.or_else(first).unwrap_or("unknown")
}

fn depends_on(submission: &Submission) -> Value {
    let all = submission
        .spec
        .depends_on
        .iter()
        .map(|on| match (on.kind, &on.job) {
            (DependencyKind::Whole, job) => json!({"jobId": job}),
            (DependencyKind::NToN, job) => json!({"jobId": job, "type": "N_TO_N"}),
            (DependencyKind::Sequential, _) => json!({"type": "SEQUENTIAL"}),
        });
    all.collect::<Vec<_>>().into()
}

/// What is said of the ECS tasks of one job.
struct Tasks<'a> {
    shared: &'a Shared,
    definition: &'a JobDefinition,
    environment: &'a str,
    id: &'a str,
}

impl Tasks<'_> {
    fn cluster(&self) -> String {
        format!("AWSBatch-{}", self.environment)
    }

    /// Who runs an attempt, and where its logs are if it came to print any.
    fn task(&self, number: u32, has_logs: bool) -> Map<String, Value> {
        let task = task_id(self.id, number);
        let arn = |kind: &str, id: &str| {
            self.shared
                .context
                .arn("ecs", &format!("{kind}/{}/{id}", self.cluster()))
        };
        let mut all = Map::new();
        all.insert("taskArn".to_owned(), arn("task", &task).into());
        if self.definition.platform == Platform::Ec2 {
            let instance = task_id(self.environment, 0);
            all.insert(
                "containerInstanceArn".to_owned(),
                arn("container-instance", &instance).into(),
            );
        }
        if has_logs {
            all.insert(
                "logStreamName".to_owned(),
                stream_name(&self.definition.name, &task).into(),
            );
        }
        all.insert("networkInterfaces".to_owned(), json!([]));
        all
    }

    fn attempt(&self, number: u32, attempt: &Attempt) -> Value {
        let mut container = self.task(number, attempt.started_at.is_some());
        container.extend(ending(attempt));
        let mut all = json!({"container": container, "stoppedAt": attempt.stopped_at, "statusReason": attempt.status_reason});
        if let Some(at) = attempt.started_at {
            all["startedAt"] = at.into();
        }
        all
    }

    fn container(&self, submission: &Submission, job: &Job) -> Map<String, Value> {
        let definition = &self.definition.container;
        let overrides = &submission.spec.overrides;
        let shown = SHOWN
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), definition.get(*name)?.clone())));
        let mut all: Map<String, Value> = shown.collect();
        for name in ["volumes", "mountPoints", "ulimits", "secrets"] {
            all.entry(name).or_insert_with(|| json!([]));
        }
        all.insert(
            "command".to_owned(),
            json!(command_of(submission, self.definition)),
        );
        let mut variables: Vec<(String, String)> = container::variables(definition).collect();
        for (name, value) in container::variables(overrides) {
            variables.retain(|(known, _)| *known != name);
            variables.push((name, value));
        }
        let variables = variables
            .into_iter()
            .map(|(name, value)| json!({"name": name, "value": value}));
        all.insert(
            "environment".to_owned(),
            variables.collect::<Vec<_>>().into(),
        );
        all.extend(resources(definition, overrides));
        let (number, is_running) = match job.phase {
            Phase::Starting => (Some(job.attempt()), false),
            Phase::Running { .. } => (Some(job.attempt()), true),
            _ => (
                job.attempts
                    .len()
                    .try_into()
                    .ok()
                    .filter(|number| *number > 0),
                false,
            ),
        };
        let last = job
            .attempts
            .last()
            .filter(|_| !matches!(job.phase, Phase::Starting | Phase::Running { .. }));
        match number {
            Some(number) => {
                let has_logs =
                    is_running || last.is_some_and(|attempt| attempt.started_at.is_some());
                all.extend(self.task(number, has_logs));
            }
            None => {
                all.insert("networkInterfaces".to_owned(), json!([]));
            }
        }
        all.extend(last.map(ending).unwrap_or_default());
        all
    }
}

/// The exit code and the container's reason.
pub(super) fn ending(attempt: &Attempt) -> Map<String, Value> {
    let mut all = Map::new();
    if let Some(code) = attempt.exit_code {
        all.insert("exitCode".to_owned(), code.into());
    }
    if let Some(reason) = &attempt.reason {
        all.insert("reason".to_owned(), reason.clone().into());
    }
    all
}

/// Requirements of the override over those of the definition; the keys of old as they were given.
fn resources(
    definition: &Map<String, Value>,
    overrides: &Map<String, Value>,
) -> Map<String, Value> {
    let list = |from: &Map<String, Value>| {
        from.get("resourceRequirements")
            .and_then(Value::as_array)
            .cloned()
    };
    let mut all: Vec<Value> = list(definition).unwrap_or_default();
    for requirement in list(overrides).unwrap_or_default() {
        all.retain(|known| text_of(known, "type") != text_of(&requirement, "type"));
        all.push(requirement);
    }
    let mut shown = Map::new();
    shown.insert("resourceRequirements".to_owned(), all.into());
    for name in ["vcpus", "memory"] {
        if let Some(value) = overrides.get(name).or(definition.get(name)) {
            shown.insert(name.to_owned(), value.clone());
        }
    }
    shown
}
