//! Compute environments, job queues, scheduling policies and job definitions.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    job::{JobKey, Needs},
    retry::RetryStrategy,
};

/// The platforms that a definition or an environment can be for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Platform {
    Ec2,
    Fargate,
}

/// A compute environment.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct ComputeEnvironment {
    pub(super) name: String,
    /// MANAGED or UNMANAGED.
    pub(super) kind: String,
    pub(super) enabled: bool,
    /// As given.
    pub(super) compute_resources: Map<String, Value>,
    /// Other members that DescribeComputeEnvironments repeats.
    pub(super) given: Map<String, Value>,
    pub(super) uuid: String,
    pub(super) tags: BTreeMap<String, String>,
    /// Why it is INVALID, if it is.
    #[serde(default)]
    pub(super) invalid: Option<String>,
    /// What its jobs take at the moment.
    #[serde(default)]
    pub(super) used: Needs,
}

impl ComputeEnvironment {
    /// EC2, SPOT, FARGATE, …
    pub(super) fn resource_type(&self) -> &str {
        let kind = self.compute_resources.get("type");
        kind.and_then(Value::as_str).unwrap_or("EC2")
    }

    pub(super) fn platform(&self) -> Platform {
        if self.resource_type().starts_with("FARGATE") {
            Platform::Fargate
        } else {
            Platform::Ec2
        }
    }

    pub(super) fn max_vcpus(&self) -> u64 {
        let max = self.compute_resources.get("maxvCpus");
        max.and_then(Value::as_u64).unwrap_or(u64::MAX / 1000)
    }
}

/// A job queue.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct JobQueue {
    pub(super) name: String,
    pub(super) enabled: bool,
    pub(super) priority: i64,
    /// Names of environments, in order.
    pub(super) environments: Vec<String>,
    pub(super) scheduling_policy: Option<String>,
    /// Other members that DescribeJobQueues repeats.
    pub(super) given: Map<String, Value>,
    pub(super) tags: BTreeMap<String, String>,
    /// RUNNABLE jobs, first come first. Jobs that were stopped stay until they are met.
    #[serde(default)]
    pub(super) runnable: VecDeque<JobKey>,
}

/// A scheduling policy.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct SchedulingPolicy {
    pub(super) name: String,
    pub(super) fairshare: Option<Value>,
    pub(super) tags: BTreeMap<String, String>,
}

/// A revision of a job definition.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct JobDefinition {
    pub(super) name: String,
    pub(super) revision: u32,
    pub(super) active: bool,
    pub(super) platform: Platform,
    pub(super) parameters: BTreeMap<String, String>,
    pub(super) container: Map<String, Value>,
    pub(super) retry: Option<RetryStrategy>,
    pub(super) timeout_seconds: Option<u32>,
    pub(super) propagate_tags: bool,
    /// Other members that DescribeJobDefinitions repeats.
    pub(super) given: Map<String, Value>,
    pub(super) tags: BTreeMap<String, String>,
}
