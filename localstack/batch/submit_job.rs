//! SubmitJob.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{
    container,
    event::Event,
    job::{DefinitionKey, Dependency, DependencyKind, Needs, Spec},
    names::check_name,
    request::{Request, text_of},
    resource::{ComputeEnvironment, JobDefinition, JobQueue},
    service::Shared,
    state::State,
    tags::check_tags,
};
use crate::{ApiError, Reply};

/// Quotas of AWS Batch (user guide, "Service quotas").
const MAX_REQUEST_BYTES: usize = 30 << 10;
const MAX_DEPENDENCIES: usize = 20;
const ARRAY_SIZE: std::ops::RangeInclusive<i64> = 2..=10_000;
/// What ECS takes of an override. AWS Batch does not look, so the job fails later.
const MAX_OVERRIDE_LENGTH: usize = 8192;
const MAX_PRIORITY: i64 = 9999;
const MAX_SHARE_LENGTH: usize = 255;

/// Parts of requests that jobs of this stack do not have.
const UNSUPPORTED: [&str; 4] = [
    "nodeOverrides",
    "eksPropertiesOverride",
    "ecsPropertiesOverride",
    "consumableResourcePropertiesOverride",
];

impl Shared {
    /// Takes a job or an array of jobs in.
    pub(super) fn submit_job(&self, request: &Request, length: usize) -> Reply {
        if length > MAX_REQUEST_BYTES {
            let kib = length >> 10;
            return Err(ApiError::client(format!(
                "Job size must be less than 30 KiB, got {kib} KiB"
            )));
        }
        let name = request.required("jobName");
        check_name("Job name", name)?;
        if let Some(part) = UNSUPPORTED.iter().find(|part| {
            request
                .members
                .get(**part)
                .is_some_and(|part| !part.is_null())
        }) {
            return Err(ApiError::client(format!(
                "{part} is not supported by the embedded stack."
            )));
        }
        let mut core = self.core();
        let spec = self.spec(&core.state, request, name)?;
        let id = spec.id.clone();
        let detail = json!({
            "jobId": id,
            "jobName": name,
            "jobQueue": spec.queue,
            "jobDefinition": spec.definition.to_string(),
            "size": spec.size,
            "by": request.by,
        });
        self.apply(&mut core, Event::Submitted(Box::new(spec)))?;
        self.record("job.submitted", detail);
        drop(core);
        Ok(json!({"jobArn": self.job_arn(&id), "jobName": name, "jobId": id}))
    }

    fn spec(&self, state: &State, request: &Request, name: &str) -> Result<Spec, ApiError> {
        let queue = self.open_queue(state, request)?;
        let definition = self.active_definition(state, request)?;
        let environment = queue
            .environments
            .first()
            .and_then(|name| state.environments.get(name));
        let platform = environment.map_or(definition.platform, ComputeEnvironment::platform);
        if platform != definition.platform {
            return Err(ApiError::client(format!(
                "The platform capabilities of job definition {}:{} do not match the compute environments of job queue {}.",
                definition.name, definition.revision, queue.name
            )));
        }
        let overrides = request
            .object("containerOverrides")
            .cloned()
            .unwrap_or_default();
        container::check(&overrides)?;
        let size = array_size(request)?;
        let mut parameters = definition.parameters.clone();
        parameters.extend(request.map("parameters"));
        let tags = request.map("tags");
        check_tags(&tags)?;
        let propagate_tags = request
            .boolean("propagateTags")
            .unwrap_or(definition.propagate_tags);
        let retry = container::retry_strategy(request)?.or_else(|| definition.retry.clone());
        let (share, priority) = share(request, queue)?;
        // What has no process takes nothing of the machine.
        let needs = match &self.simulator {
            Some(simulator) if simulator.plays(&parameters) => Needs::default(),
            _ => container::needs(&definition.container, &overrides, platform)?,
        };
        Ok(Spec {
            id: Uuid::new_v4().to_string(),
            name: name.to_owned(),
            queue: queue.name.clone(),
            definition: DefinitionKey {
                name: definition.name.clone(),
                revision: definition.revision,
            },
            parameters,
            retry: retry.unwrap_or_default(),
            timeout_seconds: container::timeout(request)?.or(definition.timeout_seconds),
            depends_on: dependencies(state, request, size)?,
            size,
            tags: all_tags(tags, definition, propagate_tags),
            propagate_tags,
            share,
            priority,
            needs,
            overlong: override_length(&overrides) > MAX_OVERRIDE_LENGTH,
            overrides,
        })
    }

    fn open_queue<'a>(
        &self,
        state: &'a State,
        request: &Request,
    ) -> Result<&'a JobQueue, ApiError> {
        let name = request.required("jobQueue");
        let queue = self.queue(state, name);
        let queue = queue.ok_or_else(|| ApiError::client(format!("JobQueue {name} not found.")))?;
        if queue.enabled {
            return Ok(queue);
        }
        Err(ApiError::client(format!(
            "JobQueue {name} is not in ENABLED state."
        )))
    }

    fn active_definition<'a>(
        &self,
        state: &'a State,
        request: &Request,
    ) -> Result<&'a JobDefinition, ApiError> {
        let name = request.required("jobDefinition");
        let found = self
            .definition(state, name)
            .filter(|definition| definition.active);
        found.ok_or_else(|| {
            ApiError::client(format!(
                "JobDefinition name {name} does not exist or is not in ACTIVE status"
            ))
        })
    }
}

fn array_size(request: &Request) -> Result<Option<u32>, ApiError> {
    let size = request
        .object("arrayProperties")
        .and_then(|array| array.get("size"))
        .and_then(Value::as_i64);
    match size {
        None => Ok(None),
        Some(size) if ARRAY_SIZE.contains(&size) => Ok(u32::try_from(size).ok()),
        Some(_) => Err(ApiError::client("Array size should be between 2 and 10000")),
    }
}

fn dependencies(
    state: &State,
    request: &Request,
    size: Option<u32>,
) -> Result<Vec<Dependency>, ApiError> {
    let given = request.list("dependsOn");
    if given.len() > MAX_DEPENDENCIES {
        return Err(ApiError::client(format!(
            "dependsOn must contain at most {MAX_DEPENDENCIES} jobs."
        )));
    }
    given
        .iter()
        .map(|given| dependency(state, given, size))
        .collect()
}

fn dependency(state: &State, given: &Value, size: Option<u32>) -> Result<Dependency, ApiError> {
    let job = text_of(given, "jobId").map(str::to_owned);
    let kind = match text_of(given, "type") {
        Some("N_TO_N") => DependencyKind::NToN,
        Some(_) => DependencyKind::Sequential,
        None => DependencyKind::Whole,
    };
    if kind != DependencyKind::Whole && size.is_none() {
        return Err(ApiError::client(
            "Dependencies with a type are for array jobs only.",
        ));
    }
    if kind == DependencyKind::Sequential {
        if job.is_some() {
            return Err(ApiError::client(
                "A SEQUENTIAL dependency must not have a jobId.",
            ));
        }
        return Ok(Dependency { job, kind });
    }
    let Some(id) = &job else {
        return Err(ApiError::client(
            "jobId is required for dependencies that are not SEQUENTIAL.",
        ));
    };
    let Some(key) = state.key(id) else {
        return Err(ApiError::client(format!(
            "Job {id} in dependsOn does not exist."
        )));
    };
    let other = state
        .submission(key.submission)
        .and_then(|other| other.spec.size);
    if kind == DependencyKind::NToN && (key.index.is_some() || other != size) {
        return Err(ApiError::client(format!(
            "An N_TO_N dependency needs an array job of the same size; {id} is not."
        )));
    }
    Ok(Dependency { job, kind })
}

/// The queue's scheduling policy decides whether a share must or must not be named.
fn share(request: &Request, queue: &JobQueue) -> Result<(Option<String>, Option<i64>), ApiError> {
    let share = request.text("shareIdentifier").map(str::to_owned);
    let priority = request.integer("schedulingPriorityOverride");
    match (&share, &queue.scheduling_policy) {
        (None, Some(_)) => Err(ApiError::client(format!(
            "shareIdentifier must be specified: job queue {} has a scheduling policy.",
            queue.name
        ))),
        (Some(_), None) => Err(ApiError::client(format!(
            "shareIdentifier can not be specified: job queue {} has no scheduling policy.",
            queue.name
        ))),
        (Some(share), _)
            if share.is_empty()
                || share.len() > MAX_SHARE_LENGTH
                || !share.chars().all(|c| c.is_ascii_alphanumeric()) =>
        {
            Err(ApiError::client(
                "shareIdentifier must be at most 255 letters and digits.",
            ))
        }
        _ if priority.is_some_and(|priority| !(0..=MAX_PRIORITY).contains(&priority)) => Err(
            ApiError::client("schedulingPriorityOverride must be between 0 and 9999."),
        ),
        _ => Ok((share, priority)),
    }
}

fn all_tags(
    own: BTreeMap<String, String>,
    definition: &JobDefinition,
    propagate: bool,
) -> BTreeMap<String, String> {
    let mut tags = if propagate {
        definition.tags.clone()
    } else {
        BTreeMap::new()
    };
    tags.extend(own);
    tags
}

/// What ECS counts: the override's command and environment as JSON without spaces.
fn override_length(overrides: &Map<String, Value>) -> usize {
    let counted: Map<String, Value> = ["command", "environment"]
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), overrides.get(name)?.clone())))
        .collect();
    Value::Object(counted).to_string().chars().count()
}
