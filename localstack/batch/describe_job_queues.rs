//! DescribeJobQueues.

use serde_json::{Map, Value, json};

use super::{
    request::{Request, page_of},
    resource::JobQueue,
    service::Shared,
};
use crate::Reply;

/// API reference, DescribeJobQueues.
const MAX_QUEUES: usize = 100;

impl Shared {
    /// Queues by name or ARN, or all.
    pub(super) fn describe_job_queues(&self, request: &Request) -> Reply {
        let (size, start) = request.page(MAX_QUEUES)?;
        let asked = request.texts("jobQueues");
        let names: Vec<&str> = asked
            .iter()
            .filter_map(|asked| self.plain("job-queue", asked))
            .collect();
        let core = self.core();
        let found = core
            .state
            .queues
            .values()
            .filter(|queue| asked.is_empty() || names.contains(&queue.name.as_str()));
        let (page, next) = page_of(found.collect(), size, start);
        let page: Vec<Value> = page
            .into_iter()
            .map(|queue| self.queue_detail(queue))
            .collect();
        let mut answer = json!({"jobQueues": page});
        if let Some(next) = next {
            answer["nextToken"] = next.into();
        }
        Ok(answer)
    }

    fn queue_detail(&self, queue: &JobQueue) -> Value {
        let order = (1..).zip(&queue.environments);
        let order = order.map(|(number, name)| json!({"order": number, "computeEnvironment": self.environment_arn(name)}));
        let mut all: Map<String, Value> = queue.given.clone();
        all.entry("jobStateTimeLimitActions")
            .or_insert_with(|| json!([]));
        let order: Vec<Value> = order.collect();
        let mut set = |name: &str, value: Value| all.insert(name.to_owned(), value);
        set("jobQueueName", queue.name.clone().into());
        set("jobQueueArn", self.queue_arn(&queue.name).into());
        set(
            "state",
            if queue.enabled { "ENABLED" } else { "DISABLED" }.into(),
        );
        set("status", "VALID".into());
        set("statusReason", "JobQueue Healthy".into());
        set("priority", queue.priority.into());
        set("computeEnvironmentOrder", order.into());
        set("tags", json!(queue.tags));
        if let Some(policy) = &queue.scheduling_policy {
            set(
                "schedulingPolicyArn",
                self.arn(&format!("scheduling-policy/{policy}")).into(),
            );
        }
        all.into()
    }
}
