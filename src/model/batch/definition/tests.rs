use serde_json::{Value, json};

use super::*;

fn merged(base: &Value, extra: &Value) -> serde_json::Map<String, Value> {
    let mut options = base.as_object().unwrap().clone();
    options.extend(extra.as_object().unwrap().clone());
    options
}

/// Defaults of upstream's decorator.
fn defaults() -> Value {
    json!({
        "cpu": "1", "gpu": "0", "memory": "4096", "image": "python:3.11", "queue": "q",
        "iam_role": "arn:role", "execution_role": null, "shared_memory": null, "max_swap": null,
        "swappiness": null, "inferentia": null, "efa": null, "host_volumes": null,
        "efs_volumes": null, "use_tmpfs": false, "tmpfs_tempdir": true, "tmpfs_size": null,
        "tmpfs_path": "/metaflow_temp", "ephemeral_storage": null, "log_driver": null,
        "log_options": null, "executable": null, "privileged": false, "run-time-limit": 432_000,
    })
}

fn entry() -> Entry {
    Entry {
        command: vec!["run".to_owned(), "it".to_owned()],
        environment: vec![("A".to_owned(), "1".to_owned())],
    }
}

fn compose(
    extra: &Value,
    platform: Platform,
) -> Result<(JobDefinition, Vec<Warning>), OptionError> {
    let options = merged(&defaults(), extra);
    JobDefinition::new(Options::new(&options), platform, &entry())
}

/// The container that comes of the options, beyond what every container has.
fn container(extra: &Value, platform: Platform) -> Value {
    let (definition, _) = compose(extra, platform).unwrap();
    let document = serde_json::to_value(&definition).unwrap();
    let mut container = document["containerProperties"].as_object().unwrap().clone();
    for common in [
        "image",
        "jobRoleArn",
        "command",
        "environment",
        "resourceRequirements",
    ] {
        container.remove(common).unwrap();
    }
    Value::Object(container)
}

#[test]
fn a_plain_definition_is_upstreams_with_our_entry() {
    let (definition, warnings) = compose(&json!({}), Platform::Ec2).unwrap();
    assert_eq!(warnings, []);
    assert_eq!(
        serde_json::to_value(&definition).unwrap(),
        json!({
            "type": "container",
            "propagateTags": true,
            "containerProperties": {
                "image": "python:3.11", "jobRoleArn": "arn:role", "command": ["run", "it"],
                "environment": [{"name": "A", "value": "1"}],
                "resourceRequirements": [
                    {"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "4096"}
                ],
                "linuxParameters": {"initProcessEnabled": true},
            },
        })
    );
}

#[test]
fn options_become_what_upstream_makes_of_them() {
    let linux = |extra: Value| {
        let linux = merged(&json!({"initProcessEnabled": true}), &extra);
        json!({"linuxParameters": linux})
    };
    let uverbs = json!({"hostPath": "/dev/infiniband/uverbs0"});
    let neuron = |i| {
        let path = format!("/dev/neuron{i}");
        json!({"hostPath": path, "containerPath": path, "permissions": ["READ", "WRITE"]})
    };
    let tmpfs = |path: &str, size| json!({"tmpfs": [{"containerPath": path, "size": size, "mountOptions": ["defaults"]}]});
    for (options, want) in [
        (
            json!({"shared_memory": 1000}),
            linux(json!({"sharedMemorySize": 1000})),
        ),
        (
            json!({"shared_memory": "64.9"}),
            linux(json!({"sharedMemorySize": 64})),
        ),
        (
            json!({"swappiness": "0", "max_swap": 0}),
            linux(json!({"swappiness": 0, "maxSwap": 0})),
        ),
        (
            json!({"swappiness": 99, "max_swap": "512"}),
            linux(json!({"swappiness": 99, "maxSwap": 512})),
        ),
        (
            json!({"inferentia": 2}),
            linux(json!({"devices": [neuron(0), neuron(1)]})),
        ),
        (json!({"inferentia": "0"}), linux(json!({}))),
        (json!({"efa": 4}), linux(json!({"devices": [uverbs]}))),
        (
            json!({"inferentia": 1, "efa": "1"}),
            linux(json!({"devices": [neuron(0), uverbs]})),
        ),
        (json!({"efa": 0}), linux(json!({}))),
        (
            json!({"use_tmpfs": true}),
            linux(tmpfs("/metaflow_temp", 2048)),
        ),
        (
            json!({"use_tmpfs": true, "memory": "4097.0"}),
            linux(tmpfs("/metaflow_temp", 2048)),
        ),
        (
            json!({"tmpfs_size": 100, "tmpfs_path": "/t"}),
            linux(tmpfs("/t", 100)),
        ),
        (json!({"ephemeral_storage": 0}), linux(json!({}))),
    ] {
        assert_eq!(container(&options, Platform::Ec2), want, "{options}");
        assert_eq!(container(&options, Platform::Spot), want, "{options}");
    }
}

#[test]
fn volumes_logs_and_privileges_are_passed_on() {
    let got = container(
        &json!({
            "host_volumes": ["/data/a.b", "/x:/y"], "efs_volumes": "fs-1:/efs", "privileged": true,
            "log_driver": "awslogs", "log_options": ["awslogs-group:/aws/x:y"],
        }),
        Platform::Ec2,
    );
    assert_eq!(
        got,
        json!({
            "linuxParameters": {"initProcessEnabled": true},
            "privileged": true,
            "logConfiguration": {"logDriver": "awslogs", "options": {"awslogs-group": "/aws/x:y"}},
            "volumes": [
                {"name": "_data_a_b", "host": {"sourcePath": "/data/a.b"}},
                {"name": "_x", "host": {"sourcePath": "/x"}},
                {"name": "efs_fs-1", "efsVolumeConfiguration":
                    {"fileSystemId": "fs-1", "transitEncryption": "ENABLED"}},
            ],
            "mountPoints": [
                {"sourceVolume": "_data_a_b", "containerPath": "/data/a.b"},
                {"sourceVolume": "_x", "containerPath": "/y"},
                {"sourceVolume": "efs_fs-1", "containerPath": "/efs"},
            ],
        })
    );
    let got = container(&json!({"efs_volumes": ["fs-2"]}), Platform::Ec2);
    assert_eq!(got["mountPoints"][0]["containerPath"], "/mnt/fs-2");
}

#[test]
fn fargate_has_its_own_settings_and_ignores_some_with_a_warning() {
    for platform in [Platform::Fargate, Platform::FargateSpot] {
        let options = json!({
            "execution_role": "arn:exec", "ephemeral_storage": 30,
            "shared_memory": 1, "max_swap": "no number", "swappiness": 1000,
        });
        let (definition, warnings) = compose(&options, platform).unwrap();
        assert_eq!(definition.platform_capabilities, ["FARGATE"]);
        assert_eq!(
            container(&options, platform),
            json!({
                "executionRoleArn": "arn:exec",
                "networkConfiguration": {"assignPublicIp": "ENABLED"},
                "ephemeralStorage": {"sizeInGiB": 30},
                "linuxParameters": {"initProcessEnabled": true},
            })
        );
        let ignored: Vec<_> = warnings.iter().map(|warning| warning.option).collect();
        assert_eq!(ignored, ["shared_memory", "max_swap", "swappiness"]);
        assert_eq!(
            warnings[0].to_string(),
            "shared_memory is ignored: AWS Fargate has no such setting"
        );
    }
}

#[test]
fn what_upstream_refuses_is_refused_in_its_words() {
    let ec2 = Platform::Ec2;
    let fargate = Platform::Fargate;
    let role = |extra: &Value| Value::Object(merged(&json!({"execution_role": "arn:exec"}), extra));
    for (platform, options, text) in [
        (
            ec2,
            json!({"image": null}),
            "Unable to launch AWS Batch job. No docker image specified.",
        ),
        (
            ec2,
            json!({"iam_role": null}),
            "Unable to launch AWS Batch job. No IAM role specified.",
        ),
        (
            ec2,
            json!({"shared_memory": "0"}),
            "Invalid shared memory size value (0); it should be greater than 0",
        ),
        (
            ec2,
            json!({"shared_memory": "big"}),
            "Invalid shared memory size value (big); it should be greater than 0",
        ),
        (
            ec2,
            json!({"swappiness": 100}),
            "Invalid swappiness value (100); (should be 0 or greater and less than 100)",
        ),
        (
            ec2,
            json!({"swappiness": 60.5}),
            "Invalid swappiness value (60.5); (should be 0 or greater and less than 100)",
        ),
        (
            ec2,
            json!({"max_swap": -1}),
            "Invalid swappiness value (-1); (should be 0 or greater)",
        ),
        (
            ec2,
            json!({"ephemeral_storage": 30}),
            "The ephemeral_storage parameter is only available for FARGATE compute environments",
        ),
        (
            ec2,
            json!({"inferentia": "one"}),
            "Invalid inferentia value: (one) (should be 0 or greater)",
        ),
        (
            ec2,
            json!({"tmpfs_size": 10.5}),
            "Invalid tmpfs value: (10.5) (should be 0 or greater)",
        ),
        (
            ec2,
            json!({"efa": "1.5"}),
            "Invalid value for '--efa': '1.5' is not a valid integer.",
        ),
        (
            ec2,
            json!({"num-parallel": 2}),
            "multinode jobs (num_parallel) are not supported by Ferroflow on AWS Batch",
        ),
        (
            ec2,
            json!({"log_options": ["a:b"]}),
            "log_options need a log_driver: AWS Batch takes no options without one",
        ),
        (
            ec2,
            json!({"log_driver": "x", "log_options": "ab"}),
            "Invalid log_options value (ab); it should have the form `option:value`",
        ),
        (
            fargate,
            json!({}),
            "No AWS Fargate task execution IAM role found. Please see https://docs.aws.amazon.com/batch/latest/userguide/execution-IAM-role.html and set the role as METAFLOW_ECS_FARGATE_EXECUTION_ROLE environment variable.",
        ),
        (
            fargate,
            role(&json!({"use_tmpfs": true})),
            "tmpfs is not available for Fargate compute resources",
        ),
        (
            fargate,
            role(&json!({"tmpfs_size": "5"})),
            "tmpfs is not available for Fargate compute resources",
        ),
        (
            fargate,
            role(&json!({"inferentia": 1})),
            "inferentia and trainium devices are not available for Fargate compute resources",
        ),
        (
            fargate,
            role(&json!({"num-parallel": 2})),
            "Fargate does not support multinode jobs.",
        ),
    ] {
        let error = compose(&options, platform).unwrap_err();
        assert_eq!(error.to_string(), text, "{options}");
    }
}

#[test]
fn names_follow_the_content() {
    let name = |extra: &Value, platform| compose(extra, platform).unwrap().0.name();
    let plain = name(&json!({}), Platform::Ec2);
    assert!(plain.starts_with("metaflow_ff_"));
    assert_eq!(plain.len(), "metaflow_ff_".len() + 40);
    assert_eq!(
        plain,
        name(&json!({"cpu": "8", "queue": "other"}), Platform::Spot)
    );
    assert_ne!(plain, name(&json!({"image": "python:3.12"}), Platform::Ec2));
    assert_ne!(plain, name(&json!({"shared_memory": 8}), Platform::Ec2));
}

#[test]
fn platforms_are_types_of_compute_environments() {
    for (kind, platform) in [
        (Some("EC2"), Platform::Ec2),
        (Some("SPOT"), Platform::Spot),
        (Some("FARGATE"), Platform::Fargate),
        (Some("FARGATE_SPOT"), Platform::FargateSpot),
        (None, Platform::Ec2),
    ] {
        assert_eq!(Platform::from_compute_type(kind), platform);
    }
}
