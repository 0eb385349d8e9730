//! Plain jobs: ends, retries, dependencies, stops.

use serde_json::json;

use crate::stack::Stack;

const EXITED: &str = "Essential container in task exited";

#[tokio::test]
async fn a_job_succeeds_and_says_all_of_itself() {
    let stack = Stack::new();
    let job = stack
        .run(
            "echo out; echo err >&2",
            json!({"tags": {"a": "b"}, "parameters": {"p": "q"}}),
        )
        .await;
    assert_eq!(job["status"], "SUCCEEDED");
    assert_eq!(job["statusReason"], EXITED);
    assert_eq!(job["container"]["exitCode"], 0);
    assert_eq!(job["container"].get("reason"), None);
    assert_eq!(
        job["jobQueue"],
        "arn:aws:batch:eu-west-1:123456789012:job-queue/ferroflow-dev"
    );
    assert!(
        job["jobDefinition"]
            .as_str()
            .unwrap()
            .ends_with(":job-definition/job-22:1"),
        "{job}"
    );
    assert!(
        job["createdAt"].as_i64() <= job["startedAt"].as_i64()
            && job["startedAt"].as_i64() <= job["stoppedAt"].as_i64()
    );
    assert_eq!(job["attempts"].as_array().unwrap().len(), 1);
    assert_eq!(job["attempts"][0]["container"]["exitCode"], 0);
    assert_eq!(
        job["attempts"][0]["container"]["taskArn"],
        job["container"]["taskArn"]
    );
    assert_eq!(job["attempts"][0]["statusReason"], EXITED);
    assert_eq!(
        (&job["tags"], &job["parameters"]),
        (&json!({"a": "b"}), &json!({"p": "q"}))
    );
    assert_eq!(stack.printed(&job).await, ["out", "err"]);
}

#[tokio::test]
async fn exit_codes_are_dockers() {
    let stack = Stack::new();
    for (script, code) in [
        ("exit 3", 3),
        ("kill -9 $$", 137),
        ("kill -15 $$", 143),
        ("no-such-program", 127),
    ] {
        let job = stack.run(script, json!({})).await;
        assert_eq!(job["status"], "FAILED", "{script}");
        assert_eq!(job["container"]["exitCode"], code, "{script}");
        assert_eq!(job["statusReason"], EXITED, "{script}");
    }
}

#[tokio::test]
async fn a_program_that_is_not_there_does_not_start() {
    let stack = Stack::new();
    stack.define("job", "true").await;
    let id = stack
        .submit(
            "job",
            json!({"containerOverrides": {"command": ["no-such-program"]}}),
        )
        .await;
    let job = stack.ended(&id).await;
    assert_eq!(
        (&job["status"], &job["statusReason"]),
        (&json!("FAILED"), &json!("Task failed to start"))
    );
    let reason = job["container"]["reason"].as_str().unwrap();
    assert!(
        reason.starts_with("CannotStartContainerError: ")
            && reason.contains("executable file not found in $PATH"),
        "{reason}"
    );
    assert_eq!(job["container"].get("exitCode"), None);
    assert_eq!(job.get("startedAt"), None);
    assert_eq!(job["container"].get("logStreamName"), None);
}

#[tokio::test]
async fn attempts_are_repeated_as_the_strategy_says() {
    let stack = Stack::new();
    let job = stack
        .run(
            "test $AWS_BATCH_JOB_ATTEMPT = 3",
            json!({"retryStrategy": {"attempts": 4}}),
        )
        .await;
    assert_eq!(job["status"], "SUCCEEDED");
    let attempts = job["attempts"].as_array().unwrap();
    let codes: Vec<i64> = attempts
        .iter()
        .map(|attempt| attempt["container"]["exitCode"].as_i64().unwrap())
        .collect();
    assert_eq!(codes, [1, 1, 0]);
    assert_ne!(
        attempts[0]["container"]["logStreamName"],
        attempts[1]["container"]["logStreamName"]
    );
    assert_eq!(
        attempts[2]["container"]["logStreamName"],
        job["container"]["logStreamName"]
    );
    let rules =
        json!([{"onExitCode": "7", "action": "RETRY"}, {"onReason": "*", "action": "EXIT"}]);
    let strategy = json!({"retryStrategy": {"attempts": 5, "evaluateOnExit": rules}});
    let job = stack
        .run(
            "test $AWS_BATCH_JOB_ATTEMPT = 1 && exit 7; exit 8",
            strategy,
        )
        .await;
    assert_eq!(job["attempts"].as_array().unwrap().len(), 2);
    assert_eq!(job["container"]["exitCode"], 8);
}

#[tokio::test]
async fn a_timeout_ends_the_job_for_good() {
    let stack = Stack::with(200.0, json!([]), false);
    let more = json!({"timeout": {"attemptDurationSeconds": 60}, "retryStrategy": {"attempts": 3}});
    let job = stack.run("sleep 100", more.clone()).await;
    assert_eq!(
        (&job["status"], &job["statusReason"]),
        (
            &json!("FAILED"),
            &json!("Job attempt duration exceeded timeout")
        )
    );
    assert_eq!(job["container"]["exitCode"], 143);
    assert_eq!(job["attempts"].as_array().unwrap().len(), 1);
    let deaf = stack
        .run("trap '' TERM; while :; do sleep 0.05; done", more)
        .await;
    assert_eq!(deaf["container"]["exitCode"], 137);
}

#[tokio::test]
async fn a_running_job_is_terminated_and_not_cancelled() {
    let stack = Stack::new();
    stack
        .define(
            "job",
            "trap 'echo bye; exit 9' TERM; echo up; while :; do sleep 0.05; done",
        )
        .await;
    let id = stack
        .submit("job", json!({"retryStrategy": {"attempts": 3}}))
        .await;
    let running = stack.until_status(&id, "RUNNING").await;
    while stack.printed(&running).await.is_empty() {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    stack
        .ok("CancelJob", json!({"jobId": id, "reason": "no"}))
        .await;
    let job = stack.job(&id).await;
    assert_eq!(
        (&job["status"], &job["isCancelled"]),
        (&json!("RUNNING"), &json!(false))
    );
    stack
        .ok("TerminateJob", json!({"jobId": id, "reason": "enough"}))
        .await;
    assert_eq!(stack.job(&id).await["isTerminated"], true);
    let job = stack.ended(&id).await;
    assert_eq!(
        (&job["status"], &job["statusReason"]),
        (&json!("FAILED"), &json!("enough"))
    );
    assert_eq!(job["container"]["exitCode"], 9);
    assert_eq!(job["attempts"].as_array().unwrap().len(), 1);
    assert_eq!(stack.printed(&job).await, ["up", "bye"]);
}

#[tokio::test]
async fn jobs_that_wait_end_at_once() {
    let stack = Stack::new();
    stack.define("job", "exec sleep 100").await;
    let first = stack.submit("job", json!({})).await;
    let second = stack
        .submit("job", json!({"dependsOn": [{"jobId": first}]}))
        .await;
    stack.until_status(&second, "PENDING").await;
    stack
        .ok("CancelJob", json!({"jobId": second, "reason": "not yet"}))
        .await;
    let job = stack.job(&second).await;
    assert_eq!(
        (&job["status"], &job["isCancelled"]),
        (&json!("PENDING"), &json!(true))
    );
    let third = stack
        .submit("job", json!({"dependsOn": [{"jobId": first}]}))
        .await;
    let reply = stack
        .ok(
            "TerminateJobs",
            json!({"jobs": [third, "unknown"], "reason": "r"}),
        )
        .await;
    assert_eq!(
        reply,
        json!({"successful": [third, "unknown"], "errors": []})
    );
    let job = stack.job(&third).await;
    assert_eq!(
        (&job["status"], &job["statusReason"], &job["attempts"]),
        (&json!("FAILED"), &json!("r"), &json!([]))
    );
    assert_eq!(job["container"].get("exitCode"), None);
    stack
        .ok("TerminateJob", json!({"jobId": first, "reason": "x"}))
        .await;
    stack.ended(&first).await;
    let job = stack.ended(&second).await;
    assert_eq!(job["status"], "FAILED");
}

#[tokio::test]
async fn jobs_wait_for_others_and_fail_with_them() {
    let stack = Stack::new();
    stack.define("good", "sleep 0.2").await;
    stack.define("bad", "sleep 0.2; exit 1").await;
    let good = stack.submit("good", json!({})).await;
    let after = stack
        .submit("good", json!({"dependsOn": [{"jobId": good}]}))
        .await;
    let bad = stack.submit("bad", json!({})).await;
    let never = stack
        .submit(
            "good",
            json!({"dependsOn": [{"jobId": good}, {"jobId": bad}]}),
        )
        .await;
    let chain = stack
        .submit("good", json!({"dependsOn": [{"jobId": never}]}))
        .await;
    let after = stack.ended(&after).await;
    assert_eq!(after["status"], "SUCCEEDED");
    assert!(stack.job(&good).await["stoppedAt"].as_i64() <= after["startedAt"].as_i64());
    for id in [never, chain] {
        let job = stack.ended(&id).await;
        assert_eq!(
            (&job["status"], &job["statusReason"], &job["attempts"]),
            (&json!("FAILED"), &json!("Dependent Job failed"), &json!([]))
        );
    }
    let late = stack
        .submit("good", json!({"dependsOn": [{"jobId": bad}]}))
        .await;
    assert_eq!(
        stack.ended(&late).await["statusReason"],
        "Dependent Job failed"
    );
}

#[tokio::test]
async fn an_override_that_is_too_long_is_found_out_late() {
    let stack = Stack::new();
    stack.define("job", "true").await;
    let variables = json!([{"name": "LONG", "value": "x".repeat(8200)}]);
    let id = stack
        .submit(
            "job",
            json!({"containerOverrides": {"environment": variables}}),
        )
        .await;
    let job = stack.ended(&id).await;
    assert_eq!(
        (&job["status"], &job["statusReason"]),
        (
            &json!("FAILED"),
            &json!("Container Overrides length must be at most 8192")
        )
    );
    assert_eq!(job["attempts"], json!([]));
}
