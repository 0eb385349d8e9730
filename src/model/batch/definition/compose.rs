//! From options to a job definition.

use super::{
    ContainerProperties, Device, EfsVolume, Entry, EphemeralStorage, HostVolume, JobDefinition,
    LinuxParameters, LogConfiguration, MountPoint, NetworkConfiguration, OptionError, Options,
    Platform, ResourceRequirement, Tmpfs, Variable, Volume, Warning,
};
use crate::batch::python::{int, int_of_float};

/// Resources of every definition, as upstream's; each submission overrides them.
const PLACEHOLDERS: [(&str, &str); 2] = [("VCPU", "1"), ("MEMORY", "4096")];

/// What Fargate has no setting for and upstream drops there.
const EC2_ONLY: [&str; 3] = ["shared_memory", "max_swap", "swappiness"];

/// Where a tmpfs is mounted unless the step says (metaflow/plugins/aws/batch/batch_decorator.py).
const TMPFS_PATH: &str = "/metaflow_temp";

pub(super) fn job_definition(
    options: Options<'_>,
    platform: Platform,
    entry: &Entry,
) -> Result<(JobDefinition, Vec<Warning>), OptionError> {
    refuse_multinode(options, platform)?;
    let (volumes, mount_points) = volumes(options);
    let mut container = ContainerProperties {
        image: options.text("image").ok_or(OptionError::NoImage)?,
        job_role_arn: options.text("iam_role").ok_or(OptionError::NoRole)?,
        execution_role_arn: None,
        command: entry.command.clone(),
        environment: variables(&entry.environment),
        resource_requirements: placeholders(),
        privileged: options.flag("privileged"),
        log_configuration: log_configuration(options)?,
        network_configuration: None,
        ephemeral_storage: None,
        linux_parameters: LinuxParameters {
            init_process_enabled: true,
            ..LinuxParameters::default()
        },
        volumes,
        mount_points,
    };
    let mut warnings = Vec::new();
    if platform.is_fargate() {
        set_fargate(options, &mut container)?;
        let ignored = EC2_ONLY
            .iter()
            .filter(|option| options.text(option).is_some());
        warnings.extend(ignored.map(|option| Warning { option }));
    } else {
        set_ec2(options, &mut container.linux_parameters)?;
    }
    add_neuron_devices(options, platform, &mut container.linux_parameters)?;
    add_tmpfs(options, platform, &mut container.linux_parameters)?;
    add_efa_device(options, &mut container.linux_parameters)?;
    let definition = JobDefinition {
        kind: "container",
        container_properties: container,
        propagate_tags: true,
        platform_capabilities: if platform.is_fargate() {
            vec!["FARGATE"]
        } else {
            Vec::new()
        },
    };
    Ok((definition, warnings))
}

fn refuse_multinode(options: Options<'_>, platform: Platform) -> Result<(), OptionError> {
    match options.integer("num_parallel", "num-parallel")? {
        ..=0 => Ok(()),
        2.. if platform.is_fargate() => Err(OptionError::MultinodeOnFargate),
        _ => Err(OptionError::Multinode),
    }
}

fn variables(environment: &[(String, String)]) -> Vec<Variable> {
    let variable = |(name, value): &(String, String)| Variable {
        name: name.clone(),
        value: value.clone(),
    };
    environment.iter().map(variable).collect()
}

fn placeholders() -> Vec<ResourceRequirement> {
    let requirement = |(kind, value): (&'static str, &str)| ResourceRequirement {
        kind,
        value: value.to_owned(),
    };
    PLACEHOLDERS.map(requirement).to_vec()
}

fn log_configuration(options: Options<'_>) -> Result<Option<LogConfiguration>, OptionError> {
    let given = options.list("log_options");
    let driver = options
        .text("log_driver")
        .filter(|driver| !driver.is_empty());
    let Some(log_driver) = driver else {
        return if given.is_empty() {
            Ok(None)
        } else {
            Err(OptionError::NoLogDriver)
        };
    };
    let pair = |option: &String| match option.split_once(':') {
        Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
        None => Err(OptionError::LogOption(option.clone())),
    };
    Ok(Some(LogConfiguration {
        log_driver,
        options: given.iter().map(pair).collect::<Result<_, _>>()?,
    }))
}

fn set_fargate(
    options: Options<'_>,
    container: &mut ContainerProperties,
) -> Result<(), OptionError> {
    let role = options
        .text("execution_role")
        .ok_or(OptionError::NoExecutionRole)?;
    container.execution_role_arn = Some(role);
    container.network_configuration = Some(NetworkConfiguration {
        assign_public_ip: "ENABLED",
    });
    let size_in_gib = options.integer("ephemeral_storage", "ephemeral-storage")?;
    container.ephemeral_storage = (size_in_gib != 0).then_some(EphemeralStorage { size_in_gib });
    Ok(())
}

fn set_ec2(options: Options<'_>, linux: &mut LinuxParameters) -> Result<(), OptionError> {
    if let Some(text) = options.text("shared_memory") {
        let size = int_of_float(&text).filter(|size| *size > 0);
        linux.shared_memory_size = Some(size.ok_or(OptionError::SharedMemory(text))?);
    }
    if let Some(text) = options.text("swappiness") {
        let swappiness = int(&text).filter(|value| (0..100).contains(value));
        linux.swappiness = Some(swappiness.ok_or(OptionError::Swappiness(text))?);
    }
    if let Some(text) = options.text("max_swap") {
        let size = int(&text).filter(|size| *size >= 0);
        linux.max_swap = Some(size.ok_or(OptionError::MaxSwap(text))?);
    }
    if options.integer("ephemeral_storage", "ephemeral-storage")? != 0 {
        return Err(OptionError::EphemeralStorage);
    }
    Ok(())
}

/// Inferentia and Trainium: Batch does not count them, it only passes the devices on.
fn add_neuron_devices(
    options: Options<'_>,
    platform: Platform,
    linux: &mut LinuxParameters,
) -> Result<(), OptionError> {
    let Some(text) = options.text("inferentia").filter(|text| !text.is_empty()) else {
        return Ok(());
    };
    if platform.is_fargate() {
        return Err(OptionError::InferentiaOnFargate);
    }
    let count = int(&text).ok_or(OptionError::Inferentia(text))?;
    linux.devices.extend((0..count).map(|index| Device {
        host_path: format!("/dev/neuron{index}"),
        container_path: Some(format!("/dev/neuron{index}")),
        permissions: vec!["READ", "WRITE"],
    }));
    Ok(())
}

fn add_tmpfs(
    options: Options<'_>,
    platform: Platform,
    linux: &mut LinuxParameters,
) -> Result<(), OptionError> {
    if !options.has_tmpfs() {
        return Ok(());
    }
    if platform.is_fargate() {
        return Err(OptionError::TmpfsOnFargate);
    }
    let size = if let Some(text) = options.text("tmpfs_size").filter(|size| !size.is_empty()) {
        int(&text).ok_or(OptionError::Tmpfs(text))?
    } else {
        // Half of the memory, as tmpfs(5) has it.
        let memory = options.text("memory").unwrap_or_else(|| "None".to_owned());
        int_of_float(&memory).ok_or(OptionError::Memory(memory))? / 2
    };
    linux.tmpfs.push(Tmpfs {
        container_path: options
            .text("tmpfs_path")
            .unwrap_or_else(|| TMPFS_PATH.to_owned()),
        size,
        mount_options: vec!["defaults"],
    });
    Ok(())
}

/// A job on one node gets the first adapter, however many are asked for.
fn add_efa_device(options: Options<'_>, linux: &mut LinuxParameters) -> Result<(), OptionError> {
    if options.integer("efa", "efa")? != 0 {
        linux.devices.push(Device {
            host_path: "/dev/infiniband/uverbs0".to_owned(),
            container_path: None,
            permissions: Vec::new(),
        });
    }
    Ok(())
}

fn volumes(options: Options<'_>) -> (Vec<Volume>, Vec<MountPoint>) {
    let hosts = options.list("host_volumes").into_iter().map(|volume| {
        let (host, container) = match volume.split_once(':') {
            Some((host, container)) => (host.to_owned(), container.to_owned()),
            None => (volume.clone(), volume),
        };
        let name = host.replace(['/', '.'], "_");
        let host = Some(HostVolume { source_path: host });
        (name, host, None, container)
    });
    let file_systems = options.list("efs_volumes").into_iter().map(|volume| {
        let (id, container) = match volume.split_once(':') {
            Some((id, container)) => (id.to_owned(), container.to_owned()),
            None => (volume.clone(), format!("/mnt/{volume}")),
        };
        let name = format!("efs_{id}");
        let efs = Some(EfsVolume {
            file_system_id: id,
            transit_encryption: "ENABLED",
        });
        (name, None, efs, container)
    });
    let mounted = hosts.chain(file_systems);
    mounted
        .map(|(name, host, efs_volume_configuration, container_path)| {
            let mount_point = MountPoint {
                source_volume: name.clone(),
                container_path,
            };
            let volume = Volume {
                name,
                host,
                efs_volume_configuration,
            };
            (volume, mount_point)
        })
        .unzip()
}
