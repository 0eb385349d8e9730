//! What is refused.

use serde_json::{Value, json};

use crate::stack::{QUEUE, Stack};

fn with(base: &Value, path: &str, value: Value) -> Value {
    let mut all = base.clone();
    *path.split('.').fold(&mut all, |at, name| &mut at[name]) = value;
    all
}

#[tokio::test]
async fn submissions() {
    let stack = Stack::new();
    stack.define("job", "true").await;
    let good = json!({"jobName": "j", "jobQueue": QUEUE, "jobDefinition": "job"});
    let other = stack
        .submit("job", json!({"arrayProperties": {"size": 3}}))
        .await;
    let on = |value: Value| json!([value]);
    let many: Vec<Value> = (0..21).map(|_| json!({"jobId": other})).collect();
    let cases = [
        ("jobName", json!("-a"), "Job name should match"),
        ("jobName", json!("a b"), "Job name should match"),
        ("jobName", json!("x".repeat(129)), "Job name should match"),
        ("jobName", Value::Null, "jobName is required."),
        ("jobName", json!(1), "jobName must be a string"),
        ("jobQueue", json!("other"), "JobQueue other not found."),
        (
            "jobQueue",
            json!("arn:aws:batch:us-east-1:1:job-queue/ferroflow-dev"),
            "not found.",
        ),
        (
            "jobDefinition",
            json!("other"),
            "JobDefinition name other does not exist or is not in ACTIVE status",
        ),
        ("jobDefinition", json!("job:0"), "does not exist"),
        (
            "arrayProperties.size",
            json!(1),
            "Array size should be between 2 and 10000",
        ),
        (
            "arrayProperties.size",
            json!(10001),
            "Array size should be between 2 and 10000",
        ),
        ("retryStrategy.attempts", json!(0), "between 1 and 10"),
        ("retryStrategy.attempts", json!(11), "between 1 and 10"),
        (
            "retryStrategy",
            json!({"evaluateOnExit": [{"action": "EXIT"}]}),
            "attempts must be specified",
        ),
        (
            "retryStrategy",
            json!({"attempts": 2, "evaluateOnExit": [{"onExitCode": "1?", "action": "EXIT"}]}),
            "onExitCode",
        ),
        (
            "retryStrategy",
            json!({"attempts": 2, "evaluateOnExit": [{"action": "STOP"}]}),
            "enum value set: [RETRY, EXIT]",
        ),
        ("timeout.attemptDurationSeconds", json!(59), "at least 60"),
        (
            "containerOverrides.environment",
            json!([{"name": "AWS_BATCH_X", "value": "1"}]),
            "AWS_BATCH",
        ),
        (
            "containerOverrides.command",
            json!(["a", ""]),
            "empty strings",
        ),
        (
            "containerOverrides.resourceRequirements",
            json!([{"type": "VCPU", "value": "1.5"}]),
            "an integer of at least 1",
        ),
        (
            "containerOverrides.resourceRequirements",
            json!([{"type": "MEMORY", "value": "3"}]),
            "an integer of at least 4",
        ),
        (
            "containerOverrides.resourceRequirements",
            json!([{"type": "VCPU"}]),
            "resourceRequirements[0].value is required.",
        ),
        ("dependsOn", json!(many), "at most 20"),
        (
            "dependsOn",
            on(json!({"jobId": "nobody"})),
            "does not exist",
        ),
        (
            "dependsOn",
            on(json!({"jobId": other, "type": "N_TO_N"})),
            "array jobs only",
        ),
        (
            "dependsOn",
            on(json!({"type": "SEQUENTIAL"})),
            "array jobs only",
        ),
        ("dependsOn", on(json!({})), "jobId is required"),
        ("shareIdentifier", json!("me"), "no scheduling policy"),
        ("tags", json!({"aws:x": "1"}), "reserved"),
        ("nodeOverrides", json!({"numNodes": 2}), "not supported"),
        (
            "parameters",
            json!({"long": "x".repeat(31 << 10)}),
            "Job size must be less than 30 KiB, got 31 KiB",
        ),
    ];
    for (path, value, expected) in cases {
        let text = stack
            .refused("SubmitJob", with(&good, path, value.clone()))
            .await;
        assert!(text.contains(expected), "{path} = {value}: {text}");
    }
    let size = with(&good, "arrayProperties.size", json!(2));
    let text = stack
        .refused(
            "SubmitJob",
            with(
                &size,
                "dependsOn",
                on(json!({"jobId": other, "type": "N_TO_N"})),
            ),
        )
        .await;
    assert!(text.contains("of the same size"), "{text}");
    for (path, value) in [
        ("jobName", json!("a")),
        ("arrayProperties.size", json!(2)),
        ("timeout.attemptDurationSeconds", json!(60)),
    ] {
        stack.ok("SubmitJob", with(&good, path, value)).await;
    }
}

#[tokio::test]
async fn definitions() {
    let stack = Stack::new();
    let requirements = |vcpu: &str, memory: &str| json!([{"type": "VCPU", "value": vcpu}, {"type": "MEMORY", "value": memory}]);
    let good = json!({"jobDefinitionName": "d", "type": "container",
        "containerProperties": {"image": "i", "resourceRequirements": requirements("1", "512")}});
    stack.ok("RegisterJobDefinition", good.clone()).await;
    let cases = [
        (
            "jobDefinitionName",
            json!("a.b"),
            "Job definition name should match",
        ),
        ("type", json!("multinode"), "type container"),
        ("type", json!("other"), "enum value set"),
        (
            "containerProperties.image",
            Value::Null,
            "image is required",
        ),
        (
            "containerProperties.image",
            json!("x".repeat(256)),
            "at most 255",
        ),
        (
            "containerProperties.resourceRequirements",
            json!([]),
            "vCPU is not provided.",
        ),
        (
            "containerProperties.resourceRequirements",
            json!([{"type": "VCPU", "value": "1"}]),
            "Memory is not provided.",
        ),
        (
            "containerProperties.environment",
            json!([{"name": "AWS_BATCH_JOB_ID", "value": "x"}]),
            "AWS_BATCH",
        ),
        (
            "containerProperties.linuxParameters",
            json!({"tmpfs": [{"size": 1}]}),
            "tmpfs[0].containerPath is required.",
        ),
        ("timeout.attemptDurationSeconds", json!(1), "at least 60"),
        (
            "parameters",
            json!({"long": "x".repeat(25 << 10)}),
            "less than 24 KiB",
        ),
    ];
    for (path, value, expected) in cases {
        let text = stack
            .refused("RegisterJobDefinition", with(&good, path, value.clone()))
            .await;
        assert!(text.contains(expected), "{path} = {value}: {text}");
    }
    let fargate = with(&good, "platformCapabilities", json!(["FARGATE"]));
    let text = stack
        .refused("RegisterJobDefinition", fargate.clone())
        .await;
    assert!(
        text.contains("Fargate resource requirements (1.00 vCPU, 512 MiB) not valid."),
        "{text}"
    );
    let fargate = with(
        &fargate,
        "containerProperties.resourceRequirements",
        requirements("0.25", "512"),
    );
    let text = stack
        .refused("RegisterJobDefinition", fargate.clone())
        .await;
    assert!(text.contains("executionRoleArn is required"), "{text}");
    let fargate = with(
        &fargate,
        "containerProperties.executionRoleArn",
        json!("arn:aws:iam::1:role/e"),
    );
    let bad = with(
        &fargate,
        "containerProperties.linuxParameters",
        json!({"sharedMemorySize": 64}),
    );
    stack.refused("RegisterJobDefinition", bad).await;
    for (vcpu, memory, fits) in [
        ("0.25", "2048", true),
        ("0.25", "3072", false),
        ("4", "30720", true),
        ("8", "16384", true),
        ("8", "17408", false),
        ("3", "8192", false),
        ("32", "122880", true),
    ] {
        let request = with(
            &fargate,
            "containerProperties.resourceRequirements",
            requirements(vcpu, memory),
        );
        assert_eq!(
            stack.call("RegisterJobDefinition", request).await.is_ok(),
            fits,
            "{vcpu} {memory}"
        );
    }
    let text = stack
        .refused(
            "SubmitJob",
            json!({"jobName": "j", "jobQueue": QUEUE, "jobDefinition": "d"}),
        )
        .await;
    assert!(text.contains("do not match"), "{text}");
}

#[tokio::test]
async fn nonsense() {
    let stack = Stack::new();
    let error = stack.batch.call("SubmitJob", b"{").await.unwrap_err();
    assert_eq!(error.code, "SerializationException");
    assert_eq!(
        stack.call("NoJob", json!({})).await.unwrap_err().status,
        404
    );
    stack.refused("TerminateJob", json!({"jobId": "x"})).await;
    stack
        .refused(
            "TerminateJob",
            json!({"jobId": "x", "reason": "r".repeat(1025)}),
        )
        .await;
    stack
        .refused("CancelJobs", json!({"jobs": [], "reason": "r"}))
        .await;
}
