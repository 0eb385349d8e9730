//! DescribeJobDefinitions.

use serde_json::{Map, Value, json};

use super::{
    describe_jobs::platform_name,
    job::DefinitionKey,
    request::{Request, page_of},
    resource::JobDefinition,
    service::Shared,
};
use crate::{ApiError, Reply};

/// API reference, DescribeJobDefinitions.
const MAX_DEFINITIONS: usize = 100;

impl Shared {
    /// Revisions by name, ARN and status.
    pub(super) fn describe_job_definitions(&self, request: &Request) -> Reply {
        let (size, start) = request.page(MAX_DEFINITIONS)?;
        let asked = request.texts("jobDefinitions");
        if asked.len() > MAX_DEFINITIONS {
            return Err(ApiError::client(format!(
                "jobDefinitions must contain at most {MAX_DEFINITIONS} names."
            )));
        }
        let status = request.text("status");
        let core = self.core();
        let all = core.state.definitions.values().flatten();
        let found = all.filter(|definition| {
            request
                .text("jobDefinitionName")
                .is_none_or(|name| name == definition.name)
                && (asked.is_empty() || asked.iter().any(|asked| self.is_meant(asked, definition)))
                && status.is_none_or(|status| status == status_of(definition))
        });
        let (page, next) = page_of(found.collect(), size, start);
        let page: Vec<Value> = page
            .into_iter()
            .map(|definition| self.definition_detail(definition))
            .collect();
        let mut answer = json!({"jobDefinitions": page});
        if let Some(next) = next {
            answer["nextToken"] = next.into();
        }
        Ok(answer)
    }

    fn is_meant(&self, asked: &str, definition: &JobDefinition) -> bool {
        let Some(plain) = self.plain("job-definition", asked) else {
            return false;
        };
        match plain.split_once(':') {
            None => plain == definition.name,
            Some((name, revision)) => {
                name == definition.name && revision == definition.revision.to_string()
            }
        }
    }

    fn definition_detail(&self, definition: &JobDefinition) -> Value {
        let key = DefinitionKey {
            name: definition.name.clone(),
            revision: definition.revision,
        };
        let mut container = definition.container.clone();
        for name in [
            "command",
            "volumes",
            "environment",
            "mountPoints",
            "ulimits",
            "resourceRequirements",
            "secrets",
        ] {
            container.entry(name).or_insert_with(|| json!([]));
        }
        let mut all: Map<String, Value> = definition.given.clone();
        let mut set = |name: &str, value: Value| all.insert(name.to_owned(), value);
        set("jobDefinitionName", definition.name.clone().into());
        set("jobDefinitionArn", self.definition_arn(&key).into());
        set("revision", definition.revision.into());
        set("status", status_of(definition).into());
        set("type", "container".into());
        set("containerOrchestrationType", "ECS".into());
        set("parameters", json!(definition.parameters));
        set("containerProperties", container.into());
        set("tags", json!(definition.tags));
        set("propagateTags", definition.propagate_tags.into());
        set(
            "platformCapabilities",
            json!([platform_name(definition.platform)]),
        );
        if let Some(retry) = &definition.retry {
            set("retryStrategy", retry.describe());
        }
        if let Some(seconds) = definition.timeout_seconds {
            set("timeout", json!({"attemptDurationSeconds": seconds}));
        }
        all.into()
    }
}

fn status_of(definition: &JobDefinition) -> &'static str {
    if definition.active {
        "ACTIVE"
    } else {
        "INACTIVE"
    }
}
