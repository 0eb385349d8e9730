//! UpdateJobQueue.

use serde_json::json;

use super::{create_job_queue::checked_priority, event::Event, request::Request, service::Shared};
use crate::{ApiError, Reply};

impl Shared {
    /// Changes what is given.
    pub(super) fn update_job_queue(&self, request: &Request) -> Reply {
        let asked = request.required("jobQueue");
        let mut core = self.core();
        let Some(mut queue) = self.queue(&core.state, asked).cloned() else {
            return Err(ApiError::client(format!("JobQueue {asked} not found.")));
        };
        if let Some(state) = request.text("state") {
            queue.enabled = state == "ENABLED";
        }
        if let Some(priority) = checked_priority(request.integer("priority"))? {
            queue.priority = priority;
        }
        if !request.list("computeEnvironmentOrder").is_empty() {
            queue.environments = self.environment_order(&core.state, request)?;
        }
        let policy = self.policy_of(&core.state, request)?;
        if policy.is_some() {
            if queue.scheduling_policy.is_none() {
                return Err(ApiError::client(
                    "A scheduling policy cannot be added to a job queue that has none.",
                ));
            }
            queue.scheduling_policy = policy;
        }
        queue
            .given
            .extend(request.given(&["jobStateTimeLimitActions"]));
        let name = queue.name.clone();
        self.apply(&mut core, Event::JobQueue(Box::new(queue)))?;
        Ok(json!({"jobQueueName": name, "jobQueueArn": self.queue_arn(&name)}))
    }
}
