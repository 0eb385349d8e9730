//! RegisterJobDefinition.

use aws_sdk_batch::types::{
    AssignPublicIp, ContainerProperties, Device, DeviceCgroupPermission, EfsTransitEncryption,
    EfsVolumeConfiguration, EphemeralStorage, Host, JobDefinitionType, KeyValuePair,
    LinuxParameters, LogConfiguration, LogDriver, MountPoint, NetworkConfiguration,
    PlatformCapability, ResourceRequirement, Tmpfs, Volume,
};
use model::batch::{JobDefinition, definition};

use super::{BatchError, Client};

const ACTION: &str = "RegisterJobDefinition";

impl Client {
    /// Registers a revision, once: a repeated call makes another revision. Throttled calls made
    /// none and are tried again.
    pub(super) async fn register_job_definition(
        &self,
        name: &str,
        content: &JobDefinition,
    ) -> Result<String, BatchError> {
        let call = async || {
            let call = self
                .sdk
                .register_job_definition()
                .job_definition_name(name)
                .r#type(JobDefinitionType::from(content.kind))
                .container_properties(container_properties(&content.container_properties))
                .propagate_tags(content.propagate_tags);
            let platforms = content.platform_capabilities.iter().copied();
            let platforms: Vec<_> = platforms.map(PlatformCapability::from).collect();
            let call = call.set_platform_capabilities((!platforms.is_empty()).then_some(platforms));
            Ok(call.send().await?)
        };
        let answer = self
            .unless_throttled(ACTION, &self.limits.setup, call)
            .await?;
        // The SDK fills required members that an answer lacks with empty texts.
        let arn = answer.job_definition_arn.filter(|arn| !arn.is_empty());
        arn.ok_or_else(|| BatchError::incomplete(ACTION, "ARN"))
    }
}

fn container_properties(content: &definition::ContainerProperties) -> ContainerProperties {
    let variables = content.environment.iter().map(|variable| {
        KeyValuePair::builder()
            .name(&variable.name)
            .value(&variable.value)
            .build()
    });
    let requirements = content.resource_requirements.iter().map(|requirement| {
        ResourceRequirement::builder()
            .r#type(requirement.kind.into())
            .value(&requirement.value)
            .build()
    });
    ContainerProperties::builder()
        .image(&content.image)
        .job_role_arn(&content.job_role_arn)
        .set_execution_role_arn(content.execution_role_arn.clone())
        .set_command(Some(content.command.clone()))
        .set_environment(filled(variables.collect()))
        .set_resource_requirements(Some(requirements.collect()))
        .set_privileged(content.privileged.then_some(true))
        .set_log_configuration(content.log_configuration.as_ref().map(log_configuration))
        .set_network_configuration(content.network_configuration.as_ref().map(|network| {
            NetworkConfiguration::builder()
                .assign_public_ip(AssignPublicIp::from(network.assign_public_ip))
                .build()
        }))
        .set_ephemeral_storage(content.ephemeral_storage.as_ref().map(|storage| {
            EphemeralStorage::builder()
                .size_in_gib(storage.size_in_gib)
                .build()
        }))
        .linux_parameters(linux_parameters(&content.linux_parameters))
        .set_volumes(filled(content.volumes.iter().map(volume).collect()))
        .set_mount_points(filled(
            content.mount_points.iter().map(mount_point).collect(),
        ))
        .build()
}

/// An absent list instead of an empty one.
fn filled<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

fn log_configuration(content: &definition::LogConfiguration) -> LogConfiguration {
    let options = content.options.clone().into_iter().collect();
    LogConfiguration::builder()
        .log_driver(LogDriver::from(content.log_driver.as_str()))
        .set_options((!content.options.is_empty()).then_some(options))
        .build()
}

fn linux_parameters(content: &definition::LinuxParameters) -> LinuxParameters {
    let devices = content.devices.iter().map(|device| {
        let permissions = device.permissions.iter().copied();
        Device::builder()
            .host_path(&device.host_path)
            .set_container_path(device.container_path.clone())
            .set_permissions(filled(
                permissions.map(DeviceCgroupPermission::from).collect(),
            ))
            .build()
    });
    let tmpfs = content.tmpfs.iter().map(|tmpfs| {
        let options = tmpfs
            .mount_options
            .iter()
            .map(|option| (*option).to_owned());
        Tmpfs::builder()
            .container_path(&tmpfs.container_path)
            .size(tmpfs.size)
            .set_mount_options(Some(options.collect()))
            .build()
    });
    LinuxParameters::builder()
        .init_process_enabled(content.init_process_enabled)
        .set_shared_memory_size(content.shared_memory_size)
        .set_swappiness(content.swappiness)
        .set_max_swap(content.max_swap)
        .set_devices(filled(devices.collect()))
        .set_tmpfs(filled(tmpfs.collect()))
        .build()
}

fn volume(content: &definition::Volume) -> Volume {
    let host = content.host.as_ref();
    let efs = content.efs_volume_configuration.as_ref();
    Volume::builder()
        .name(&content.name)
        .set_host(host.map(|host| Host::builder().source_path(&host.source_path).build()))
        .set_efs_volume_configuration(efs.map(|efs| {
            EfsVolumeConfiguration::builder()
                .file_system_id(&efs.file_system_id)
                .transit_encryption(EfsTransitEncryption::from(efs.transit_encryption))
                .build()
        }))
        .build()
}

fn mount_point(content: &definition::MountPoint) -> MountPoint {
    MountPoint::builder()
        .source_volume(&content.source_volume)
        .container_path(&content.container_path)
        .build()
}
