//! Hosts of some instance types (Amazon EC2, "Instance types"), for set-ups in which a job is larger than all of them. What
//! is not in the table, or is left to AWS (`optimal`), holds every job.

use serde_json::{Map, Value};

use super::job::Needs;

/// Name, vCPUs, memory in MiB, GPUs.
const HOSTS: [(&str, u64, u64, u64); 8] = [
    ("c5.large", 2, 4_096, 0),
    ("c5.xlarge", 4, 8_192, 0),
    ("c5.2xlarge", 8, 16_384, 0),
    ("m5.large", 2, 8_192, 0),
    ("m5.xlarge", 4, 16_384, 0),
    ("r5.large", 2, 16_384, 0),
    ("g5.xlarge", 4, 16_384, 1),
    ("p3.2xlarge", 8, 62_464, 1),
];

/// ECS keeps some of a host's memory: 32,768 MiB were 31,431 (aws/containers-roadmap#2231).
const KEPT_PERCENT: u64 = 4;

/// Whether a job may fit on one of the hosts of a compute environment.
pub(super) fn may_hold(compute_resources: &Map<String, Value>, needs: Needs) -> bool {
    let types = compute_resources.get("instanceTypes");
    let types = types
        .and_then(Value::as_array)
        .map_or(&[][..], Vec::as_slice);
    let fits = |name: &Value| {
        let host = HOSTS.iter().find(|(known, ..)| name == known);
        host.is_none_or(|(_, vcpus, memory, gpus)| {
            needs.milli_vcpus <= vcpus * 1000
                && needs.memory_mib <= memory * (100 - KEPT_PERCENT) / 100
                && needs.gpus <= *gpus
        })
    };
    types.is_empty() || types.iter().any(fits)
}
