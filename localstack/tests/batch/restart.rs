//! What survives the end of the stack.

use serde_json::json;

use crate::stack::{Stack, eventually};

#[tokio::test]
async fn jobs_of_a_stopped_stack_lost_their_host_and_others_go_on() {
    let stack = Stack::new();
    stack
        .define("slow", "sleep 300 & echo $! > \"$OUT\"; wait")
        .await;
    stack
        .define("again", "test $AWS_BATCH_JOB_ATTEMPT = 2 || exec sleep 300")
        .await;
    stack.define("done", "true").await;
    let out = stack.path("pid");
    let done = stack.submit("done", json!({})).await;
    let ended = stack.ended(&done).await;
    let slow = stack
        .submit(
            "slow",
            json!({"containerOverrides": {"environment": [{"name": "OUT", "value": out}]}}),
        )
        .await;
    let again = stack
        .submit("again", json!({"retryStrategy": {"attempts": 2}}))
        .await;
    let waits = stack
        .submit("done", json!({"dependsOn": [{"jobId": again}]}))
        .await;
    stack.until_status(&slow, "RUNNING").await;
    stack.until_status(&again, "RUNNING").await;
    eventually(|| out.exists() && std::fs::read_to_string(&out).unwrap().ends_with('\n')).await;
    let stack = stack.restarted().await;
    assert_eq!(stack.job(&done).await, ended);
    let job = stack.job(&slow).await;
    assert_eq!(job["status"], "FAILED");
    let reason = job["statusReason"].as_str().unwrap();
    assert!(
        reason.starts_with("Host EC2 (instance i-0") && reason.ends_with(") terminated."),
        "{reason}"
    );
    let pid = std::fs::read_to_string(&out).unwrap();
    let is_dead = || {
        std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()))
            .map_or(true, |stat| stat.contains(") Z "))
    };
    eventually(is_dead).await;
    let job = stack.ended(&again).await;
    assert_eq!(
        (&job["status"], job["attempts"].as_array().unwrap().len()),
        (&json!("SUCCEEDED"), 2)
    );
    assert_eq!(stack.ended(&waits).await["status"], "SUCCEEDED");
    assert_eq!(stack.printed(&ended).await, Vec::<String>::new());
    let definitions = stack
        .ok("DescribeJobDefinitions", json!({"status": "ACTIVE"}))
        .await;
    assert_eq!(definitions["jobDefinitions"].as_array().unwrap().len(), 3);
    let queues = stack.ok("DescribeJobQueues", json!({})).await;
    assert_eq!(queues["jobQueues"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn finished_jobs_are_forgotten_after_a_week() {
    // A week of AWS's time is 0.6 seconds here.
    let stack = Stack::with(1_000_000.0, json!([]), false);
    let job = stack.run("true", json!({})).await;
    let id = job["jobId"].as_str().unwrap().to_owned();
    let start = std::time::Instant::now();
    while stack.ok("DescribeJobs", json!({"jobs": [id]})).await["jobs"] != json!([]) {
        assert!(start.elapsed().as_secs() < 60);
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert!(start.elapsed().as_millis() > 300);
}
