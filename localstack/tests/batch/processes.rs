//! What a job is given as a process, and what is left of it.

use std::fs;

use serde_json::{Value, json};

use crate::stack::{Stack, eventually, requirements};

fn variable<'a>(printed: &'a [String], name: &str) -> Option<&'a str> {
    let mut found = printed.iter().filter_map(|line| line.split_once('='));
    found.find_map(|(known, value)| (known == name).then_some(value))
}

#[tokio::test]
async fn the_environment_is_that_of_a_container() {
    let stack = Stack::new();
    let definition = json!({"jobDefinitionName": "job", "type": "container", "containerProperties": {
        "image": "x", "command": ["env"], "jobRoleArn": "arn:aws:iam::123456789012:role/r",
        "environment": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
        "resourceRequirements": requirements(1, 64)}});
    stack.ok("RegisterJobDefinition", definition).await;
    let overrides = json!({"environment": [{"name": "B", "value": "3"}]});
    let id = stack
        .submit("job", json!({"containerOverrides": overrides}))
        .await;
    let job = stack.ended(&id).await;
    let printed = stack.printed(&job).await;
    let expected = [
        ("A", "1"),
        ("B", "3"),
        ("AWS_BATCH_JOB_ID", id.as_str()),
        ("AWS_BATCH_JOB_ATTEMPT", "1"),
        ("AWS_BATCH_CE_NAME", "ferroflow-dev"),
        ("AWS_BATCH_JQ_NAME", "ferroflow-dev"),
        ("AWS_EXECUTION_ENV", "AWS_ECS_EC2"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("NO_PROXY", "127.0.0.1,localhost"),
    ];
    for (name, value) in expected {
        assert_eq!(variable(&printed, name), Some(value), "{name}");
    }
    let token = format!("{id}|arn:aws:iam::123456789012:role/r");
    assert_eq!(
        variable(&printed, "AWS_CONTAINER_AUTHORIZATION_TOKEN"),
        Some(token.as_str())
    );
    for name in [
        "CARGO",
        "CARGO_MANIFEST_DIR",
        "USER",
        "AWS_REGION",
        "AWS_BATCH_JOB_ARRAY_INDEX",
    ] {
        assert_eq!(variable(&printed, name), None, "{name}");
    }
    let variables = job["container"]["environment"].as_array().unwrap();
    assert_eq!(
        variables,
        &[
            json!({"name": "A", "value": "1"}),
            json!({"name": "B", "value": "3"})
        ]
    );
}

#[tokio::test]
async fn fargate_says_where_it_is() {
    let stack = Stack::new();
    let definition = json!({"jobDefinitionName": "job", "type": "container", "platformCapabilities": ["FARGATE"],
        "containerProperties": {"image": "x", "command": ["env"], "executionRoleArn": "arn:aws:iam::1:role/e",
            "resourceRequirements": [{"type": "VCPU", "value": "0.25"}, {"type": "MEMORY", "value": "512"}]}});
    stack.ok("RegisterJobDefinition", definition).await;
    let id = stack
        .submit("job", json!({"jobQueue": "ferroflow-dev-fargate"}))
        .await;
    let job = stack.ended(&id).await;
    let printed = stack.printed(&job).await;
    assert_eq!(
        variable(&printed, "AWS_EXECUTION_ENV"),
        Some("AWS_ECS_FARGATE")
    );
    assert_eq!(variable(&printed, "AWS_REGION"), Some("eu-west-1"));
    assert_eq!(job["platformCapabilities"], json!(["FARGATE"]));
    assert_eq!(job["container"].get("containerInstanceArn"), None);
}

#[tokio::test]
async fn folders_are_its_own_and_go_with_it() {
    let stack = Stack::new();
    let job = stack
        .run(
            "pwd; echo $HOME; echo $TMPDIR; touch a $HOME/b $TMPDIR/c; ls -A",
            json!({}),
        )
        .await;
    let printed = stack.printed(&job).await;
    let jobs = stack.path("batch/jobs");
    assert_eq!(printed[3], "a");
    for folder in &printed[..3] {
        assert!(folder.starts_with(jobs.to_str().unwrap()), "{folder}");
        assert!(!std::path::Path::new(folder).exists(), "{folder}");
    }
    assert_eq!(fs::read_dir(&jobs).unwrap().count(), 0);
}

#[tokio::test]
async fn both_names_of_python_are_the_interpreter_that_the_job_names() {
    let stack = Stack::new();
    let bin = stack.path("env/bin");
    fs::create_dir_all(&bin).unwrap();
    let fake = bin.join("python3.99");
    fs::write(&fake, "#!/bin/sh\necho \"fake $1\"\n").unwrap();
    std::process::Command::new("chmod")
        .arg("+x")
        .arg(&fake)
        .status()
        .unwrap();
    let variables = json!([{"name": "FERROFLOW_DEV_PYTHON", "value": fake}]);
    let more = json!({"containerOverrides": {"environment": variables}});
    let job = stack.run("python a; python3 b; python3.99 c", more).await;
    assert_eq!(stack.printed(&job).await, ["fake a", "fake b", "fake c"]);
    let real = stack
        .run("python -c 'print(1)' && python3 -c 'print(2)'", json!({}))
        .await;
    assert_eq!(stack.printed(&real).await, ["1", "2"]);
}

#[tokio::test]
async fn what_a_job_leaves_behind_ends_with_it() {
    let stack = Stack::new();
    let marker = stack.path("pids");
    let script = format!(
        "sleep 300 & echo $! > {0}; setsid sh -c 'sleep 301 & echo $! >> {0}; exit' ; test $(wc -l < {0}) = 2",
        marker.display()
    );
    let job = stack.run(&script, json!({})).await;
    assert_eq!(job["status"], "SUCCEEDED", "{job}");
    let pids = fs::read_to_string(&marker).unwrap();
    assert_eq!(pids.lines().count(), 2);
    for pid in pids.lines() {
        let stat = std::path::PathBuf::from(format!("/proc/{pid}/stat"));
        let is_dead = || fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z "));
        eventually(is_dead).await;
    }
}

#[tokio::test]
async fn a_job_with_too_much_memory_is_killed() {
    let stack = Stack::new();
    let script = "exec python3 -c 'import time; x = bytearray(300 << 20); time.sleep(60)'";
    let job = stack.run(script, json!({})).await;
    assert_eq!(job["status"], "FAILED");
    assert_eq!(job["container"]["exitCode"], 137);
    assert_eq!(
        job["container"]["reason"],
        "OutOfMemoryError: Container killed due to memory usage"
    );
    assert_eq!(job["statusReason"], "Essential container in task exited");
    let enough = json!({"containerOverrides": {"resourceRequirements": [{"type": "MEMORY", "value": "1000"}]}});
    let job = stack
        .run(
            "exec python3 -c 'import time; x = bytearray(300 << 20); time.sleep(1.5)'",
            enough,
        )
        .await;
    assert_eq!(job["status"], "SUCCEEDED");
    let shown: Vec<&Value> = job["container"]["resourceRequirements"]
        .as_array()
        .unwrap()
        .iter()
        .collect();
    assert_eq!(
        shown,
        [
            &json!({"type": "VCPU", "value": "1"}),
            &json!({"type": "MEMORY", "value": "1000"})
        ]
    );
}
