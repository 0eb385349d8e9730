//! RegisterJobDefinition.

use serde_json::{Map, Value, json};

use super::{
    container,
    event::Event,
    job::DefinitionKey,
    names::check_name,
    request::Request,
    resource::{JobDefinition, Platform},
    service::Shared,
    tags::check_tags,
};
use crate::{ApiError, Reply};

/// User guide, "Service quotas".
const MAX_BYTES: usize = 24 << 10;
const MAX_IMAGE: usize = 255;

impl Shared {
    /// Makes a new revision, also if it is equal to the last one.
    pub(super) fn register_job_definition(&self, request: &Request, length: usize) -> Reply {
        let name = request.required("jobDefinitionName");
        check_name("Job definition name", name)?;
        if length > MAX_BYTES {
            let kib = length >> 10;
            return Err(ApiError::client(format!(
                "Job definition size must be less than 24 KiB, got {kib} KiB"
            )));
        }
        if request.required("type") != "container"
            || request.object("containerProperties").is_none()
        {
            return Err(ApiError::client(
                "The embedded stack runs job definitions of type container with containerProperties only.",
            ));
        }
        let tags = request.map("tags");
        check_tags(&tags)?;
        let platform = platform(request)?;
        let container = request
            .object("containerProperties")
            .cloned()
            .unwrap_or_default();
        check_container(&container, platform)?;
        let mut core = self.core();
        let revision = core.state.definitions.get(name).map_or(0, Vec::len) as u32 + 1;
        let definition = JobDefinition {
            name: name.to_owned(),
            revision,
            active: true,
            platform,
            parameters: request.map("parameters"),
            container,
            retry: container::retry_strategy(request)?,
            timeout_seconds: container::timeout(request)?,
            propagate_tags: request.boolean("propagateTags").unwrap_or(false),
            given: request.given(&["schedulingPriority"]),
            tags,
        };
        self.apply(&mut core, Event::Registered(Box::new(definition)))?;
        let key = DefinitionKey {
            name: name.to_owned(),
            revision,
        };
        Ok(
            json!({"jobDefinitionName": name, "jobDefinitionArn": self.definition_arn(&key), "revision": revision}),
        )
    }
}

fn platform(request: &Request) -> Result<Platform, ApiError> {
    let platforms = request.texts("platformCapabilities");
    let platforms: Vec<&str> = platforms.iter().map(String::as_str).collect();
    match platforms.as_slice() {
        [] | ["EC2"] => Ok(Platform::Ec2),
        ["FARGATE"] => Ok(Platform::Fargate),
        [one] => Err(ApiError::client(format!(
            "The embedded stack has no platform {one}."
        ))),
        _ => Err(ApiError::client(
            "Only one of the platformCapabilities can be specified.",
        )),
    }
}

fn check_container(container: &Map<String, Value>, platform: Platform) -> Result<(), ApiError> {
    let text = |name: &str| container.get(name).and_then(Value::as_str);
    match text("image") {
        None | Some("") => return Err(ApiError::client("Container image is required.")),
        Some(image) if image.len() > MAX_IMAGE => {
            return Err(ApiError::client(
                "Container image must have at most 255 characters.",
            ));
        }
        Some(_) => {}
    }
    container::check(container)?;
    container::needs(container, &Map::new(), platform)?;
    if platform == Platform::Fargate {
        check_fargate(container)?;
    }
    Ok(())
}

/// API reference: what is "not applicable to jobs that are running on Fargate resources", and what they need.
fn check_fargate(container: &Map<String, Value>) -> Result<(), ApiError> {
    let is_set = |name: &str| container.get(name).is_some_and(|value| !value.is_null());
    if !is_set("executionRoleArn") {
        return Err(ApiError::client(
            "executionRoleArn is required for FARGATE jobs.",
        ));
    }
    if container.get("privileged") == Some(&Value::Bool(true)) {
        return Err(ApiError::client(
            "privileged is not supported for FARGATE jobs.",
        ));
    }
    if let Some(old) = ["vcpus", "memory", "instanceType"]
        .iter()
        .find(|name| is_set(name))
    {
        return Err(ApiError::client(format!(
            "{old} is not supported for FARGATE jobs."
        )));
    }
    let linux = container.get("linuxParameters").and_then(Value::as_object);
    let bad = [
        "devices",
        "sharedMemorySize",
        "tmpfs",
        "maxSwap",
        "swappiness",
    ];
    let is_empty = |value: &Value| value.is_null() || value.as_array().is_some_and(Vec::is_empty);
    let found = bad.iter().find(|name| {
        linux
            .and_then(|linux| linux.get(**name))
            .is_some_and(|value| !is_empty(value))
    });
    match found {
        Some(name) => Err(ApiError::client(format!(
            "linuxParameters.{name} is not supported for FARGATE jobs."
        ))),
        None => Ok(()),
    }
}
