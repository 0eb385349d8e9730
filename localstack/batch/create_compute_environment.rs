//! CreateComputeEnvironment.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{
    event::Event, names::check_name, request::Request, resource::ComputeEnvironment,
    service::Shared, tags::check_tags,
};
use crate::{ApiError, Reply};

/// Members that are repeated by DescribeComputeEnvironments.
const REPEATED: [&str; 4] = ["serviceRole", "context", "unmanagedvCpus", "ecsSettings"];

impl Shared {
    /// Makes an environment, which is VALID, or not, at once.
    pub(super) fn create_compute_environment(&self, request: &Request) -> Reply {
        let name = request.required("computeEnvironmentName");
        check_name("Compute environment name", name)?;
        if request.object("eksConfiguration").is_some() {
            return Err(ApiError::client("The embedded stack has no EKS."));
        }
        let tags = request.map("tags");
        check_tags(&tags)?;
        let resources = request.object("computeResources");
        match (request.required("type"), resources) {
            ("MANAGED", None) => {
                return Err(ApiError::client(
                    "computeResources must be provided for a MANAGED compute environment",
                ));
            }
            ("UNMANAGED", Some(_)) => {
                return Err(ApiError::client(
                    "computeResources must not be provided for an UNMANAGED compute environment",
                ));
            }
            _ => {}
        }
        let mut resources = resources.cloned().unwrap_or_default();
        check_resources(&Request::from(resources.clone()))?;
        let is_fargate = resources
            .get("type")
            .and_then(Value::as_str)
            .is_some_and(|kind| kind.starts_with("FARGATE"));
        if !resources.is_empty() && !is_fargate {
            resources.entry("minvCpus").or_insert(0.into());
            resources
                .entry("allocationStrategy")
                .or_insert("BEST_FIT".into());
        }
        let mut core = self.core();
        if core.state.environments.contains_key(name) {
            return Err(ApiError::client("Object already exists"));
        }
        let given = request.given(&REPEATED);
        let environment = ComputeEnvironment {
            invalid: self.why_invalid(&given),
            name: name.to_owned(),
            kind: request.required("type").to_owned(),
            enabled: request.text("state") != Some("DISABLED"),
            compute_resources: resources,
            given,
            uuid: Uuid::new_v4().to_string(),
            tags,
            used: super::job::Needs::default(),
        };
        self.apply(&mut core, Event::ComputeEnvironment(Box::new(environment)))?;
        Ok(
            json!({"computeEnvironmentName": name, "computeEnvironmentArn": self.environment_arn(name)}),
        )
    }

    /// AWS Batch takes any service role, and finds out later that it cannot assume it; a role of another account it never can.
    /// The words are those of hashicorp/terraform-provider-aws#21281.
    pub(super) fn why_invalid(&self, given: &Map<String, Value>) -> Option<String> {
        let role = given.get("serviceRole")?.as_str()?;
        let account = role.strip_prefix("arn:")?.split(':').nth(3)?;
        (account != self.context.account).then(|| {
            format!(
                "CLIENT_ERROR - User: batch.amazonaws.com is not authorized to perform: sts:AssumeRole on resource: {role} (Service: AWSSecurityTokenService; Status Code: 403; Error Code: AccessDenied)"
            )
        })
    }
}

/// API reference, ComputeResource.
pub(super) fn check_resources(resources: &Request) -> Result<(), ApiError> {
    let [min, max, desired] =
        ["minvCpus", "maxvCpus", "desiredvCpus"].map(|name| resources.integer(name));
    if [min, max, desired]
        .into_iter()
        .flatten()
        .any(|number| number < 0)
    {
        return Err(ApiError::client(
            "minvCpus, maxvCpus and desiredvCpus must not be negative.",
        ));
    }
    if min.zip(max).is_some_and(|(min, max)| min > max) {
        return Err(ApiError::client(
            "minvCpus must not be greater than maxvCpus.",
        ));
    }
    let kind = resources.text("type").unwrap_or_default();
    let ec2_only = [
        "minvCpus",
        "desiredvCpus",
        "instanceTypes",
        "instanceRole",
        "allocationStrategy",
        "imageId",
        "launchTemplate",
    ];
    if kind.starts_with("FARGATE")
        && let Some(name) = ec2_only.iter().find(|name| {
            resources
                .members
                .get(**name)
                .is_some_and(|value| !value.is_null())
        })
    {
        return Err(ApiError::client(format!(
            "{name} is not applicable to Fargate compute environments."
        )));
    }
    if kind == "ECS_MANAGED_INSTANCES" {
        return Err(ApiError::client(
            "The embedded stack has no ECS_MANAGED_INSTANCES.",
        ));
    }
    Ok(())
}
