//! CreateJobQueue.

use std::collections::VecDeque;

use serde_json::{Value, json};

use super::{
    event::Event,
    names::check_name,
    request::{Request, text_of},
    resource::JobQueue,
    service::Shared,
    state::State,
    tags::check_tags,
};
use crate::{ApiError, Reply};

/// User guide, "Service quotas".
const MAX_ENVIRONMENTS: usize = 3;
const MAX_PRIORITY: i64 = 1000;

impl Shared {
    /// Makes a queue, which is VALID at once.
    pub(super) fn create_job_queue(&self, request: &Request) -> Reply {
        let name = request.required("jobQueueName");
        check_name("Job queue name", name)?;
        let tags = request.map("tags");
        check_tags(&tags)?;
        let mut core = self.core();
        if core.state.queues.contains_key(name) {
            return Err(ApiError::client("Object already exists"));
        }
        let queue = JobQueue {
            name: name.to_owned(),
            enabled: request.text("state") != Some("DISABLED"),
            priority: checked_priority(request.integer("priority"))?.unwrap_or(0),
            environments: self.environment_order(&core.state, request)?,
            scheduling_policy: self.policy_of(&core.state, request)?,
            given: request.given(&["jobStateTimeLimitActions", "jobQueueType"]),
            tags,
            runnable: VecDeque::new(),
        };
        self.apply(&mut core, Event::JobQueue(Box::new(queue)))?;
        Ok(json!({"jobQueueName": name, "jobQueueArn": self.queue_arn(name)}))
    }

    /// The names of the environments in `computeEnvironmentOrder`, in their order.
    pub(super) fn environment_order(
        &self,
        state: &State,
        request: &Request,
    ) -> Result<Vec<String>, ApiError> {
        let mut order: Vec<(i64, &str)> = Vec::new();
        for given in request.list("computeEnvironmentOrder") {
            let number = given.get("order").and_then(Value::as_i64).unwrap_or(0);
            order.push((
                number,
                text_of(given, "computeEnvironment").unwrap_or_default(),
            ));
        }
        if order.is_empty() || order.len() > MAX_ENVIRONMENTS {
            return Err(ApiError::client(
                "computeEnvironmentOrder must contain between 1 and 3 compute environments.",
            ));
        }
        order.sort_unstable();
        let mut names = Vec::new();
        let mut platform = None;
        for (_, asked) in order {
            let known = self
                .plain("compute-environment", asked)
                .and_then(|name| state.environments.get(name));
            let Some(environment) = known else {
                return Err(ApiError::client(format!(
                    "computeEnvironment {asked} does not exist"
                )));
            };
            if *platform.get_or_insert(environment.platform()) != environment.platform() {
                return Err(ApiError::client(
                    "EC2 and Fargate compute environments cannot be mixed in a job queue.",
                ));
            }
            names.push(environment.name.clone());
        }
        Ok(names)
    }

    pub(super) fn policy_of(
        &self,
        state: &State,
        request: &Request,
    ) -> Result<Option<String>, ApiError> {
        let Some(arn) = request.text("schedulingPolicyArn") else {
            return Ok(None);
        };
        match self
            .plain("scheduling-policy", arn)
            .filter(|name| state.policies.contains_key(*name))
        {
            Some(name) => Ok(Some(name.to_owned())),
            None => Err(ApiError::client(format!(
                "SchedulingPolicy {arn} does not exist"
            ))),
        }
    }
}

pub(super) fn checked_priority(priority: Option<i64>) -> Result<Option<i64>, ApiError> {
    match priority {
        Some(priority) if !(0..=MAX_PRIORITY).contains(&priority) => Err(ApiError::client(
            format!("priority must be between 0 and {MAX_PRIORITY}."),
        )),
        priority => Ok(priority),
    }
}
