//! The status reason that Batch gives the first job of a queue that it has found to be blocked
//! (AWS Batch user guide, "Jobs stuck in a RUNNABLE status").

/// What Batch says of a blocked queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BlockedReason {
    /// `CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY`
    Capacity,
    /// `MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE`
    MaxResource,
    /// `MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT`
    JobResource,
    /// `MISCONFIGURATION:SERVICE_ROLE_PERMISSIONS`
    ServiceRole,
    /// `MISCONFIGURATION:EC2_INSTANCE_CONFIGURATION_UNSUPPORTED`
    InstanceConfiguration,
    /// `ACTION_REQUIRED`: its compute environments are invalid.
    ActionRequired,
    /// Another `MISCONFIGURATION:`
    OtherMisconfiguration,
    /// Another `CAPACITY:`
    OtherCapacity,
}

impl BlockedReason {
    /// Reads a status reason. `UNDETERMINED` is none: it tells that Batch does not know, either.
    pub fn read(status_reason: &str) -> Option<Self> {
        let begins = |start: &str| status_reason.starts_with(start);
        let all = [
            ("CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY", Self::Capacity),
            (
                "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE",
                Self::MaxResource,
            ),
            (
                "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT",
                Self::JobResource,
            ),
            (
                "MISCONFIGURATION:SERVICE_ROLE_PERMISSIONS",
                Self::ServiceRole,
            ),
            (
                "MISCONFIGURATION:EC2_INSTANCE_CONFIGURATION_UNSUPPORTED",
                Self::InstanceConfiguration,
            ),
            ("ACTION_REQUIRED", Self::ActionRequired),
            ("MISCONFIGURATION:", Self::OtherMisconfiguration),
            ("CAPACITY:", Self::OtherCapacity),
        ];
        let found = all.into_iter().find(|(start, _)| begins(start));
        found.map(|(_, reason)| reason)
    }
}
