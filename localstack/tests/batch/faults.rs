//! What can be made to go wrong with jobs.

use std::fs;

use serde_json::{Value, json};

use crate::stack::Stack;

fn rule(fault: Value) -> Value {
    json!([{"operation": "StartJob", "subject": "job", "fault": fault}])
}

#[tokio::test]
async fn a_job_is_started_twice() {
    let stack = Stack::with_faults(rule(json!("start_twice")));
    stack
        .define("job", "echo x >> \"$OUT\"; pwd; sleep 0.3")
        .await;
    let out = stack.path("out");
    let id = stack
        .submit(
            "job",
            json!({"containerOverrides": {"environment": [{"name": "OUT", "value": out}]}}),
        )
        .await;
    let job = stack.ended(&id).await;
    assert_eq!(job["status"], "SUCCEEDED");
    assert_eq!(fs::read_to_string(&out).unwrap(), "x\nx\n");
    let printed = stack.printed(&job).await;
    assert_eq!(printed.len(), 2);
    assert_ne!(printed[0], printed[1]);
    let history = fs::read_to_string(stack.path("history.jsonl")).unwrap();
    let starts = history
        .lines()
        .filter(|line| line.contains("\"kind\":\"process.started\""));
    assert_eq!(starts.count(), 2);
}

#[tokio::test]
async fn a_job_is_called_a_success_and_did_not_run() {
    let stack = Stack::with_faults(rule(json!("succeed_without_running")));
    let out = stack.path("out");
    let job = stack
        .run(&format!("touch {}", out.display()), json!({}))
        .await;
    assert_eq!(
        (&job["status"], &job["container"]["exitCode"]),
        (&json!("SUCCEEDED"), &json!(0))
    );
    assert!(!out.exists());
}

#[tokio::test]
async fn a_job_is_called_a_failure_and_did_its_work() {
    let stack = Stack::with_faults(rule(
        json!({"fail_after_success": "Host EC2 (instance i-1) terminated."}),
    ));
    let out = stack.path("out");
    let job = stack
        .run(&format!("touch {}", out.display()), json!({}))
        .await;
    assert_eq!(
        (&job["status"], &job["statusReason"]),
        (
            &json!("FAILED"),
            &json!("Host EC2 (instance i-1) terminated.")
        )
    );
    assert!(out.exists());
}

#[tokio::test]
async fn a_host_is_lost_and_the_job_runs_again() {
    let stack = Stack::with_faults(rule(json!({"lose_host": 0.2})));
    let rules = json!([{"onStatusReason": "Host EC2*", "action": "RETRY"}, {"onReason": "*", "action": "EXIT"}]);
    let script = "test $AWS_BATCH_JOB_ATTEMPT = 2 || exec sleep 100";
    let job = stack
        .run(
            script,
            json!({"retryStrategy": {"attempts": 3, "evaluateOnExit": rules}}),
        )
        .await;
    assert_eq!(job["status"], "SUCCEEDED");
    let first = &job["attempts"][0];
    let reason = first["statusReason"].as_str().unwrap();
    assert!(
        reason.starts_with("Host EC2 (instance i-0") && reason.ends_with(") terminated."),
        "{reason}"
    );
    assert_eq!(first["container"].get("exitCode"), None);
}

#[tokio::test]
async fn a_job_does_not_start() {
    let reason = "CannotPullContainerError: pull access denied";
    let stack = Stack::with_faults(rule(
        json!({"fail_to_start": {"status_reason": "Task failed to start", "reason": reason}}),
    ));
    let job = stack.run("true", json!({})).await;
    assert_eq!(
        (&job["status"], &job["statusReason"]),
        (&json!("FAILED"), &json!("Task failed to start"))
    );
    assert_eq!(
        (
            &job["container"]["reason"],
            job["container"].get("logStreamName")
        ),
        (&json!(reason), None)
    );
}
