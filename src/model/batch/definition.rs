//! Job definitions: everything of a job that a submission cannot override.
//!
//! Fields and their order of checks follow `BatchJob._register_job_definition` of
//! metaflow/plugins/aws/batch/batch_client.py. Names and nesting are those of the Batch API
//! (RegisterJobDefinition), so that the document can be compared with what upstream sends.

mod compose;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, fmt};

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::{OptionError, Options};

/// Digits of the content's SHA-256 that are part of a definition's name.
const NAME_DIGITS: usize = 40;

/// What kind of hosts a queue has: the type of its first compute environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Platform {
    /// EC2
    Ec2,
    /// SPOT
    Spot,
    /// FARGATE
    Fargate,
    /// FARGATE_SPOT
    FargateSpot,
}

impl Platform {
    /// Reads `computeResources.type` of a compute environment. An unmanaged one has none: its
    /// hosts are the user's own EC2 instances.
    pub fn from_compute_type(kind: Option<&str>) -> Self {
        match kind {
            Some("SPOT") => Self::Spot,
            Some("FARGATE") => Self::Fargate,
            Some("FARGATE_SPOT") => Self::FargateSpot,
            _ => Self::Ec2,
        }
    }

    /// Whether there are no hosts of one's own.
    pub fn is_fargate(self) -> bool {
        matches!(self, Self::Fargate | Self::FargateSpot)
    }
}

/// What every container of a definition starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Program and arguments.
    pub command: Vec<String>,
    /// Variables, which an override may replace.
    pub environment: Vec<(String, String)>,
}

/// An option that upstream silently ignores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The option, as `@batch` spells it.
    pub option: &'static str,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let option = self.option;
        write!(f, "{option} is ignored: AWS Fargate has no such setting")
    }
}

/// Content of a job definition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JobDefinition {
    /// Always `container`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The container.
    pub container_properties: ContainerProperties,
    /// Whether ECS tasks get the job's tags.
    pub propagate_tags: bool,
    /// `FARGATE`; empty means EC2.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub platform_capabilities: Vec<&'static str>,
}

impl JobDefinition {
    /// The definition that upstream would register for these options on this platform, and what
    /// it ignores there.
    pub fn new(
        options: Options<'_>,
        platform: Platform,
        entry: &Entry,
    ) -> Result<(Self, Vec<Warning>), OptionError> {
        compose::job_definition(options, platform, entry)
    }

    /// The name under which it is registered: the same content has the same name.
    pub fn name(&self) -> String {
        let content = serde_json::to_value(self).map(|value| value.to_string());
        let content = content.expect("a definition holds only strings, numbers and lists");
        let digest = hex::encode(Sha256::digest(content));
        format!("metaflow_ff_{}", &digest[..NAME_DIGITS])
    }
}

/// Batch API reference, ContainerProperties.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerProperties {
    /// Container image.
    pub image: String,
    /// Role of the task.
    pub job_role_arn: String,
    /// Role of the ECS agent; Fargate only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub execution_role_arn: Option<String>,
    /// Program and arguments.
    pub command: Vec<String>,
    /// Variables.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub environment: Vec<Variable>,
    /// Upstream's placeholders; each submission overrides them.
    pub resource_requirements: Vec<ResourceRequirement>,
    /// Whether the container is privileged.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub privileged: bool,
    /// Where standard output goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_configuration: Option<LogConfiguration>,
    /// Fargate only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_configuration: Option<NetworkConfiguration>,
    /// Fargate only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ephemeral_storage: Option<EphemeralStorage>,
    /// Settings of the Linux kernel.
    pub linux_parameters: LinuxParameters,
    /// Volumes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<Volume>,
    /// Where they appear.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mount_points: Vec<MountPoint>,
}

/// Batch API reference, KeyValuePair.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// Batch API reference, ResourceRequirement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ResourceRequirement {
    /// `VCPU`, `MEMORY` (MiB) or `GPU`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// How much.
    pub value: String,
}

/// Batch API reference, LogConfiguration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LogConfiguration {
    /// The driver.
    pub log_driver: String,
    /// Its options.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
}

/// Batch API reference, NetworkConfiguration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NetworkConfiguration {
    /// `ENABLED`.
    pub assign_public_ip: &'static str,
}

/// Batch API reference, EphemeralStorage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EphemeralStorage {
    /// Its size in GiB.
    #[serde(rename = "sizeInGiB")]
    pub size_in_gib: i32,
}

/// Batch API reference, LinuxParameters.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LinuxParameters {
    /// Whether an init process forwards signals and reaps children.
    pub init_process_enabled: bool,
    /// Size of /dev/shm in MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shared_memory_size: Option<i32>,
    /// The kernel's `vm.swappiness` for the container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub swappiness: Option<i32>,
    /// Swap in MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_swap: Option<i32>,
    /// Devices of the host.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<Device>,
    /// Memory file systems.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tmpfs: Vec<Tmpfs>,
}

/// Batch API reference, Device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Device {
    /// Its path on the host.
    pub host_path: String,
    /// Its path in the container, where it is not the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_path: Option<String>,
    /// `READ`, `WRITE`; empty means all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub permissions: Vec<&'static str>,
}

/// Batch API reference, Tmpfs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Tmpfs {
    /// Where it is mounted.
    pub container_path: String,
    /// Its size in MiB.
    pub size: i32,
    /// Options of mount(8).
    pub mount_options: Vec<&'static str>,
}

/// Batch API reference, Volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Volume {
    /// Its name, to which a mount point refers.
    pub name: String,
    /// A folder of the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<HostVolume>,
    /// An EFS file system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub efs_volume_configuration: Option<EfsVolume>,
}

/// Batch API reference, Host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HostVolume {
    /// The folder.
    pub source_path: String,
}

/// Batch API reference, EFSVolumeConfiguration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EfsVolume {
    /// The file system.
    pub file_system_id: String,
    /// `ENABLED`.
    pub transit_encryption: &'static str,
}

/// Batch API reference, MountPoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MountPoint {
    /// Name of the volume.
    pub source_volume: String,
    /// Where it appears.
    pub container_path: String,
}
