//! What a fresh stack has: a queue with EC2 hosts, and one with Fargate.

use std::collections::{BTreeMap, VecDeque};

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{
    event::Event,
    job::Needs,
    resource::{ComputeEnvironment, JobQueue},
    service::{Core, Shared},
};
use crate::ApiError;

/// Name of the first environment and its queue; the Fargate ones have it as a prefix.
const NAME: &str = "ferroflow-dev";
/// `maxvCpus` of both, unless the machine has more: what limits jobs is the machine.
const MAX_VCPUS: u64 = 256;

impl Shared {
    /// Makes them if there is no queue and no environment at all.
    pub(super) fn first_resources(&self, core: &mut Core) -> Result<(), ApiError> {
        if !core.state.environments.is_empty() || !core.state.queues.is_empty() {
            return Ok(());
        }
        let max = MAX_VCPUS.max(self.machine.has.milli_vcpus / 1000);
        let ec2 = json!({
            "type": "EC2", "allocationStrategy": "BEST_FIT_PROGRESSIVE", "minvCpus": 0, "maxvCpus": max, "desiredvCpus": 0,
            "instanceTypes": ["optimal"], "subnets": [], "securityGroupIds": [],
        });
        let fargate =
            json!({"type": "FARGATE", "maxvCpus": max, "subnets": [], "securityGroupIds": []});
        for (name, resources) in [(NAME.to_owned(), ec2), (format!("{NAME}-fargate"), fargate)] {
            let Value::Object(compute_resources) = resources else {
                continue;
            };
            let environment = ComputeEnvironment {
                name: name.clone(),
                kind: "MANAGED".to_owned(),
                enabled: true,
                compute_resources,
                given: Map::new(),
                uuid: Uuid::new_v4().to_string(),
                tags: BTreeMap::new(),
                invalid: None,
                used: Needs::default(),
            };
            self.apply(core, Event::ComputeEnvironment(Box::new(environment)))?;
            let queue = JobQueue {
                name: name.clone(),
                enabled: true,
                priority: 1,
                environments: vec![name],
                scheduling_policy: None,
                given: Map::new(),
                tags: BTreeMap::new(),
                runnable: VecDeque::new(),
            };
            self.apply(core, Event::JobQueue(Box::new(queue)))?;
        }
        Ok(())
    }
}
