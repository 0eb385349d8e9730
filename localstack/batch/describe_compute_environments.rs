//! DescribeComputeEnvironments.

use serde_json::{Map, Value, json};

use super::{
    request::{Request, page_of},
    resource::ComputeEnvironment,
    service::Shared,
};
use crate::Reply;

/// API reference, DescribeComputeEnvironments.
const MAX_ENVIRONMENTS: usize = 100;

impl Shared {
    /// Environments by name or ARN, or all.
    pub(super) fn describe_compute_environments(&self, request: &Request) -> Reply {
        let (size, start) = request.page(MAX_ENVIRONMENTS)?;
        let asked = request.texts("computeEnvironments");
        let names: Vec<&str> = asked
            .iter()
            .filter_map(|asked| self.plain("compute-environment", asked))
            .collect();
        let core = self.core();
        let all = core.state.environments.values();
        let found = all
            .filter(|environment| asked.is_empty() || names.contains(&environment.name.as_str()));
        let (page, next) = page_of(found.collect(), size, start);
        let page: Vec<Value> = page
            .into_iter()
            .map(|environment| self.environment_detail(environment))
            .collect();
        let mut answer = json!({"computeEnvironments": page});
        if let Some(next) = next {
            answer["nextToken"] = next.into();
        }
        Ok(answer)
    }

    fn environment_detail(&self, environment: &ComputeEnvironment) -> Value {
        let name = &environment.name;
        let mut all: Map<String, Value> = environment.given.clone();
        let mut set = |name: &str, value: Value| all.insert(name.to_owned(), value);
        set("computeEnvironmentName", name.clone().into());
        set("computeEnvironmentArn", self.environment_arn(name).into());
        set(
            "ecsClusterArn",
            self.context
                .arn("ecs", &format!("cluster/AWSBatch-{name}"))
                .into(),
        );
        set("tags", json!(environment.tags));
        set("type", environment.kind.clone().into());
        set(
            "state",
            if environment.enabled {
                "ENABLED"
            } else {
                "DISABLED"
            }
            .into(),
        );
        let (status, reason) = match &environment.invalid {
            None => ("VALID", "ComputeEnvironment Healthy"),
            Some(reason) => ("INVALID", reason.as_str()),
        };
        set("status", status.into());
        set("statusReason", reason.into());
        set("containerOrchestrationType", "ECS".into());
        set("uuid", environment.uuid.clone().into());
        if !environment.compute_resources.is_empty() {
            let mut resources = environment.compute_resources.clone();
            if resources.contains_key("minvCpus") {
                // AWS Batch moves it with the load.
                let least = resources
                    .get("minvCpus")
                    .and_then(Value::as_u64)
                    .unwrap_or(0);
                let used = environment.used.milli_vcpus.div_ceil(1000);
                resources.insert("desiredvCpus".to_owned(), used.max(least).into());
            }
            set("computeResources", resources.into());
        }
        all.into()
    }
}
