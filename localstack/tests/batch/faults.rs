//! What can be made to go wrong with jobs.

use std::{fs, time::Duration};

use localstack::faults::Fault;
use serde_json::{Value, json};

use crate::stack::{QUEUE, Stack, eventually};

/// Says when it has begun, ends well when it is told to, and otherwise lives until it is killed.
const ON_TERM: &str = "trap 'exit 143' TERM; : > \"$OUT\"; while :; do sleep 0.01; done";

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

/// Runs [`ON_TERM`] under a fault to its end.
async fn run_until(fault: Value) -> (Stack, Value) {
    let stack = Stack::with_faults(rule(fault));
    let job = stack.run(ON_TERM, out_of(&stack)).await;
    (stack, job)
}

fn out_of(stack: &Stack) -> Value {
    let out = [json!({"name": "OUT", "value": stack.path("out")})];
    json!({"containerOverrides": {"environment": out}})
}

/// Status reason, container reason and exit code.
fn end_of(job: &Value) -> (&str, Option<&str>, Option<i64>) {
    assert_eq!(job["status"], "FAILED", "{job:#}");
    let container = &job["container"];
    (
        job["statusReason"].as_str().unwrap(),
        container["reason"].as_str(),
        container["exitCode"].as_i64(),
    )
}

#[tokio::test]
async fn a_host_is_lost_with_a_warning() {
    let (_, job) = run_until(json!({"drain_host": {"after": 0.2}})).await;
    let (reason, _, code) = end_of(&job);
    assert!(reason.starts_with("Host EC2 (instance i-0"), "{reason}");
    assert_eq!(code, Some(143));
}

#[tokio::test]
async fn who_does_not_heed_the_warning_is_killed() {
    // By then it does not heed it, on a busy machine, too.
    let fault = json!({"drain_host": {"after": 1, "grace": 0.2}});
    let stack = Stack::with_faults(rule(fault));
    let job = stack
        .run("trap '' TERM; while :; do sleep 0.01; done", json!({}))
        .await;
    let (reason, _, code) = end_of(&job);
    assert!(reason.starts_with("Host EC2 (instance i-0"), "{reason}");
    assert_eq!(code, Some(137));
}

#[tokio::test]
async fn a_task_of_fargate_spot_is_reclaimed() {
    let (_, job) = run_until(json!({"reclaim_fargate": 0.2})).await;
    let expected = ("Your Spot Task was interrupted.", None, Some(143));
    assert_eq!(end_of(&job), expected);
}

#[tokio::test]
async fn a_job_is_interrupted_and_nobody_says_why() {
    let (_, job) = run_until(json!({"interrupt": 0.2})).await;
    let expected = ("Essential container in task exited", None, Some(143));
    assert_eq!(end_of(&job), expected);
}

#[tokio::test]
async fn who_ends_well_in_time_has_ended_well() {
    let stack = Stack::with_faults(rule(json!({"drain_host": {"after": 1}})));
    let script = "trap 'exit 0' TERM; while :; do sleep 0.01; done";
    let job = stack.run(script, json!({})).await;
    assert_eq!(job["status"], "SUCCEEDED", "{job:#}");
}

#[tokio::test]
async fn a_container_is_killed_for_its_memory() {
    let (_, job) = run_until(json!({"out_of_memory": 0.2})).await;
    let expected = (
        "Essential container in task exited",
        Some("OutOfMemoryError: Container killed due to memory usage"),
        Some(137),
    );
    assert_eq!(end_of(&job), expected);
}

#[tokio::test]
async fn a_failed_job_lives_on() {
    let reason = "Host EC2 (instance i-1) terminated.";
    let fault = json!({"fail_while_alive": {"after": 0, "status_reason": reason}});
    let stack = Stack::with_faults(rule(fault));
    let (go, done) = (stack.path("go"), stack.path("done"));
    let script = format!(
        "until test -e {}; do sleep 0.01; done; : > {}",
        go.display(),
        done.display()
    );
    let job = stack.run(&script, json!({})).await;
    assert_eq!(end_of(&job), (reason, None, None));
    assert!(stack.history("process.ended").is_empty() && !done.exists());
    fs::write(go, "").unwrap();
    eventually(|| !stack.history("process.ended").is_empty()).await;
    assert!(done.exists());
    let again = stack.job(job["jobId"].as_str().unwrap()).await;
    assert_eq!(end_of(&again), (reason, None, None));
    assert_eq!(stack.history("job.ended").len(), 1);
}

#[tokio::test]
async fn a_stack_that_stops_ends_what_lives_on() {
    let fault = json!({"fail_while_alive": {"after": 0, "status_reason": "x"}});
    let (stack, _) = run_until(fault).await;
    stack.batch.stop().await;
    assert_eq!(stack.history("process.ended").len(), 1);
}

/// A second of the limit is a millisecond here.
#[tokio::test]
async fn a_time_limit_comes_late() {
    let limit = json!({"timeout": {"attemptDurationSeconds": 60}});
    let rules =
        json!([{"operation": "StartJob", "subject": "late", "fault": {"late_timeout": 3600}}]);
    let stack = Stack::with(1000.0, rules, false);
    let script = "while :; do sleep 0.01; done";
    for name in ["in-time", "late"] {
        stack.define(name, script).await;
    }
    let late = stack.submit("late", limit.clone()).await;
    let in_time = stack.submit("in-time", limit).await;
    let in_time = stack.ended(&in_time).await;
    let late = stack.ended(&late).await;
    for job in [&in_time, &late] {
        assert_eq!(end_of(job).0, "Job attempt duration exceeded timeout");
    }
    let lasted =
        |job: &Value| job["stoppedAt"].as_i64().unwrap() - job["startedAt"].as_i64().unwrap();
    assert!(lasted(&late) >= 3660, "{late:#}");
}

#[tokio::test]
async fn a_job_is_starting_for_long() {
    let stack = Stack::with_faults(rule(json!({"delay": 1000})));
    stack.define("job", "true").await;
    let id = stack.submit("job", json!({})).await;
    stack.until_status(&id, "STARTING").await;
    let stop = json!({"jobId": id, "reason": "enough"});
    stack.ok("TerminateJob", stop).await;
    let job = stack.ended(&id).await;
    assert_eq!(end_of(&job), ("enough", None, None));
    assert!(stack.history("process.started").is_empty());
}

#[tokio::test]
async fn a_job_waits_for_capacity_and_its_queue_with_it() {
    let reason = "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - Service cannot fulfill the capacity requested for instance type [c5.large]";
    let wait = json!({"wait_for_capacity": {"for": 3600, "status_reason": reason}});
    let rules = json!([{"operation": "StartJob", "subject": "first", "fault": wait}]);
    let stack = Stack::with(3600.0, rules, false);
    for name in ["first", "second"] {
        stack.define(name, "true").await;
    }
    let first = stack.submit("first", json!({})).await;
    let second = stack.submit("second", json!({})).await;
    let waiting = stack
        .until(&first, |job| job["statusReason"] == reason)
        .await;
    assert_eq!(waiting["status"], "RUNNABLE");
    let second = stack.ended(&second).await;
    let first = stack.ended(&first).await;
    assert_eq!(first["status"], "SUCCEEDED", "{first:#}");
    let waited =
        |job: &Value| job["startedAt"].as_i64().unwrap() - first["createdAt"].as_i64().unwrap();
    assert!(
        waited(&first) >= 1000 && waited(&second) >= 1000,
        "{first:#} {second:#}"
    );
}

#[tokio::test]
async fn a_job_is_forgotten_soon_after_its_end() {
    let stack = Stack::with_faults(rule(json!({"forget_after": 0})));
    stack.define("job", "true").await;
    let id = stack.submit("job", json!({})).await;
    eventually(|| !stack.history("job.ended").is_empty()).await;
    stack.until(&id, Value::is_null).await;
    let names = json!({"jobQueue": QUEUE, "filters": [{"name": "JOB_NAME", "values": ["job"]}]});
    let listed = stack.ok("ListJobs", names).await;
    assert_eq!(listed["jobSummaryList"], json!([]));
}

fn old(seconds: u64) -> Fault {
    Fault::AsOf(Duration::from_secs(seconds))
}

/// Only a stack with such a rule remembers what was.
fn with_memory() -> Stack {
    Stack::with_faults(
        json!([{"operation": "DescribeJobs", "nth": 1000, "fault": {"as_of": 3600}}]),
    )
}

#[tokio::test]
async fn descriptions_and_listings_are_old() {
    let stack = with_memory();
    let job = stack.run("true", json!({})).await;
    let id = job["jobId"].as_str().unwrap();
    let describe = json!({"jobs": [id]});
    let list = json!({"jobQueue": QUEUE, "jobStatus": "SUCCEEDED"});
    let before = stack
        .call_under("DescribeJobs", describe.clone(), old(3600))
        .await;
    assert_eq!(before["jobs"], json!([]), "it was not there yet");
    let before = stack.call_under("ListJobs", list.clone(), old(3600)).await;
    assert_eq!(before["jobSummaryList"], json!([]));
    let now = stack.call_under("DescribeJobs", describe, old(0)).await;
    assert_eq!(now["jobs"][0]["status"], "SUCCEEDED");
    let now = stack.call_under("ListJobs", list, old(0)).await;
    assert_eq!(now["jobSummaryList"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_summary_lags_behind_its_children() {
    let stack = with_memory();
    let array = json!({"arrayProperties": {"size": 2}});
    let parent = stack.run("true", array).await;
    let id = parent["jobId"].as_str().unwrap();
    assert_eq!(parent["arrayProperties"]["statusSummary"]["SUCCEEDED"], 2);
    let lag = Fault::StaleSummary(Duration::from_hours(1));
    let ids = json!({"jobs": [id, format!("{id}:0")]});
    let told = stack.call_under("DescribeJobs", ids, lag).await;
    let summary = &told["jobs"][0]["arrayProperties"]["statusSummary"];
    assert_eq!(summary["SUCCEEDED"], 0, "an hour ago there were none");
    assert_eq!(told["jobs"][0]["status"], "SUCCEEDED");
    assert_eq!(told["jobs"][1]["status"], "SUCCEEDED");
}

#[tokio::test]
async fn jobs_are_not_ended_though_it_is_said_so() {
    let stack = Stack::new();
    stack.define("job", "while :; do sleep 0.01; done").await;
    let id = stack.submit("job", json!({})).await;
    stack.until_status(&id, "RUNNING").await;
    let one = json!({"jobId": id, "reason": "r"});
    for operation in ["TerminateJob", "CancelJob"] {
        let told = stack
            .call_under(operation, one.clone(), Fault::NoEffect)
            .await;
        assert_eq!(told, json!({}));
    }
    let several = json!({"jobs": [id], "reason": "r"});
    for operation in ["TerminateJobs", "CancelJobs"] {
        let told = stack
            .call_under(operation, several.clone(), Fault::NoEffect)
            .await;
        assert_eq!(told, json!({"successful": [id], "errors": []}));
    }
    let job = stack.job(&id).await;
    assert_eq!(
        (&job["status"], &job["isTerminated"]),
        (&json!("RUNNING"), &json!(false))
    );
    stack.ok("TerminateJob", one).await;
    assert_eq!(end_of(&stack.ended(&id).await).0, "r");
}
