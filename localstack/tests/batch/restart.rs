//! What survives the end of the stack.

use std::{env, fs, path::Path, process::Command};

use serde_json::json;

use crate::stack::{Stack, eventually};

/// In the environment of the process that is a stack and gets killed: its folder.
const VICTIM: &str = "FERROFLOW_TEST_VICTIM";

fn is_dead(pid: &Path) -> bool {
    let pid = fs::read_to_string(pid).unwrap();
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
    stat.map_or(true, |stat| stat.contains(") Z "))
}

fn is_whole(file: &Path) -> bool {
    fs::read_to_string(file).is_ok_and(|text| text.ends_with('\n'))
}

/// This test starts itself: once more, as the stack that dies.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_stack_that_is_killed_leaves_no_process() {
    if let Some(folder) = env::var_os(VICTIM) {
        let stack = Stack::at(Path::new(&folder));
        let script = "echo $$ > \"$OUT/job\"; echo $AWS_BATCH_JOB_ID > \"$OUT/id\"; setsid sleep 300 & echo $! > \"$OUT/child\"; wait";
        stack.define("job", script).await;
        stack.submit("job", json!({"containerOverrides": {"environment": [{"name": "OUT", "value": folder.to_str()}]}})).await;
        return std::future::pending().await;
    }
    let folder = tempfile::tempdir().unwrap();
    let test = "restart::a_stack_that_is_killed_leaves_no_process";
    let program = env::current_exe().unwrap();
    let mut victim = Command::new(program)
        .args([test, "--exact"])
        .env(VICTIM, folder.path())
        .spawn()
        .unwrap();
    let file = |name: &str| folder.path().join(name);
    eventually(|| {
        ["job", "id", "child"]
            .iter()
            .all(|name| is_whole(&file(name)))
    })
    .await;
    victim.kill().unwrap();
    victim.wait().unwrap();
    eventually(|| is_dead(&file("job"))).await;
    assert!(!is_dead(&file("child")));
    let stack = Stack::at(folder.path());
    eventually(|| is_dead(&file("child"))).await;
    let id = fs::read_to_string(file("id")).unwrap();
    let job = stack.job(id.trim()).await;
    assert_eq!(job["status"], "FAILED", "{job}");
    assert!(
        job["statusReason"]
            .as_str()
            .unwrap()
            .starts_with("Host EC2 (instance i-0")
    );
}

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
    eventually(|| is_whole(&out)).await;
    let stack = stack.restarted().await;
    assert_eq!(stack.job(&done).await, ended);
    let job = stack.job(&slow).await;
    assert_eq!(job["status"], "FAILED");
    let reason = job["statusReason"].as_str().unwrap();
    assert!(
        reason.starts_with("Host EC2 (instance i-0") && reason.ends_with(") terminated."),
        "{reason}"
    );
    eventually(|| is_dead(&out)).await;
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
