//! Listing and describing.

use serde_json::{Value, json};

use crate::stack::{QUEUE, Stack, requirements};

fn names(reply: &Value) -> Vec<&str> {
    let jobs = reply["jobSummaryList"].as_array().unwrap().iter();
    jobs.map(|job| job["jobName"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn jobs_are_listed_newest_first_and_by_filters() {
    let stack = Stack::new();
    stack.define("quick", "true").await;
    stack.define("slow", "exec sleep 100").await;
    let mut ids = Vec::new();
    for name in ["Run-1-a", "run-1-b", "run-2-a"] {
        let id = stack.submit("quick", json!({"jobName": name})).await;
        stack.ended(&id).await;
        ids.push(id);
    }
    let slow = stack.submit("slow", json!({"jobName": "run-3"})).await;
    stack.until_status(&slow, "RUNNING").await;
    let list = async |more: Value| {
        let mut request = json!({"jobQueue": QUEUE});
        request
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        stack.ok("ListJobs", request).await
    };
    let filter = |name: &str, value: &str| json!({"filters": [{"name": name, "values": [value]}]});
    assert_eq!(names(&list(json!({})).await), ["run-3"]);
    assert_eq!(
        names(&list(json!({"jobStatus": "SUCCEEDED"})).await),
        ["run-2-a", "run-1-b", "Run-1-a"]
    );
    assert_eq!(
        names(&list(filter("JOB_NAME", "run-1-*")).await),
        ["run-1-b", "Run-1-a"]
    );
    assert_eq!(names(&list(filter("JOB_NAME", "RUN-3")).await), ["run-3"]);
    assert_eq!(
        names(&list(filter("JOB_DEFINITION", "sl*")).await),
        ["run-3"]
    );
    let created = stack.job(&slow).await["createdAt"].to_string();
    assert_eq!(
        names(&list(filter("BEFORE_CREATED_AT", &created)).await).len(),
        3
    );
    assert_eq!(
        names(&list(filter("AFTER_CREATED_AT", &created)).await).len(),
        0
    );
    let page = list(json!({"jobStatus": "SUCCEEDED", "maxResults": 2})).await;
    assert_eq!(names(&page), ["run-2-a", "run-1-b"]);
    let rest =
        list(json!({"jobStatus": "SUCCEEDED", "maxResults": 2, "nextToken": page["nextToken"]}))
            .await;
    assert_eq!(
        (names(&rest), rest.get("nextToken")),
        (vec!["Run-1-a"], None)
    );
    for bad in [
        json!({"arrayJobId": "x"}),
        json!({"nextToken": "?"}),
        filter("NO_FILTER", "x"),
        json!({"jobStatus": "DONE"}),
    ] {
        let mut request = json!({"jobQueue": QUEUE});
        request
            .as_object_mut()
            .unwrap()
            .extend(bad.as_object().unwrap().clone());
        stack.refused("ListJobs", request).await;
    }
    stack
        .ok("TerminateJob", json!({"jobId": slow, "reason": "x"}))
        .await;
    stack.ended(&slow).await;
}

#[tokio::test]
async fn describing_changes_nothing_and_leaves_out_what_is_not_there() {
    let stack = Stack::new();
    let job = stack.run("true", json!({})).await;
    let id = job["jobId"].as_str().unwrap();
    assert_eq!(stack.job(id).await, job);
    let reply = stack
        .ok(
            "DescribeJobs",
            json!({"jobs": ["nobody", id, format!("{id}:0"), id]}),
        )
        .await;
    assert_eq!(reply["jobs"].as_array().unwrap().len(), 2);
    let many: Vec<String> = (0..101).map(|number| number.to_string()).collect();
    stack.refused("DescribeJobs", json!({"jobs": many})).await;
}

#[tokio::test]
async fn a_queue_is_first_in_first_out_and_says_who_waits() {
    let stack = Stack::new();
    stack.define("job", "exec sleep 100").await;
    let environment = json!({"computeEnvironmentName": "small", "type": "MANAGED",
        "computeResources": {"type": "EC2", "maxvCpus": 1, "subnets": [], "instanceTypes": ["optimal"]}});
    stack.ok("CreateComputeEnvironment", environment).await;
    let order = json!([{"order": 1, "computeEnvironment": "small"}]);
    stack
        .ok(
            "CreateJobQueue",
            json!({"jobQueueName": "small", "priority": 1, "computeEnvironmentOrder": order}),
        )
        .await;
    let submit = async |vcpus: u32| {
        let overrides = json!({"resourceRequirements": requirements(vcpus, 16)});
        stack
            .submit(
                "job",
                json!({"jobQueue": "small", "containerOverrides": overrides}),
            )
            .await
    };
    let first = submit(1).await;
    stack.until_status(&first, "RUNNING").await;
    let large = submit(2).await;
    let behind = submit(1).await;
    let large_job = stack
        .until(&large, |job| job.get("statusReason").is_some())
        .await;
    assert_eq!(
        large_job["statusReason"],
        "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE - CE(s) associated with the job queue cannot meet the CPU requirement of the job."
    );
    let snapshot = stack
        .ok("GetJobQueueSnapshot", json!({"jobQueue": "small"}))
        .await;
    let waiting = snapshot["frontOfQueue"]["jobs"].as_array().unwrap();
    assert_eq!(waiting.len(), 2);
    assert!(waiting[0]["jobArn"].as_str().unwrap().ends_with(&large));
    assert_eq!(
        snapshot["queueUtilization"]["totalCapacityUsage"][0]["quantity"],
        1.0
    );
    stack
        .ok("TerminateJob", json!({"jobId": first, "reason": "x"}))
        .await;
    stack.ended(&first).await;
    assert_eq!(stack.job(&behind).await["status"], "RUNNABLE");
    stack
        .ok("CancelJob", json!({"jobId": large, "reason": "too large"}))
        .await;
    assert_eq!(stack.ended(&large).await["statusReason"], "too large");
    stack.until_status(&behind, "RUNNING").await;
    stack
        .ok("TerminateJob", json!({"jobId": behind, "reason": "x"}))
        .await;
    stack.ended(&behind).await;
}

#[tokio::test]
async fn a_job_larger_than_the_machine_runs_alone_or_waits() {
    let large = json!({"containerOverrides": {"resourceRequirements": requirements(200, 16)}});
    let stack = Stack::new();
    assert_eq!(
        stack.run("true", large.clone()).await["status"],
        "SUCCEEDED"
    );
    let strict = Stack::with(1.0, json!([]), true);
    strict.define("job", "true").await;
    let id = strict.submit("job", large).await;
    let job = strict
        .until(&id, |job| job.get("statusReason").is_some())
        .await;
    assert_eq!(job["status"], "RUNNABLE");
    assert!(
        job["statusReason"]
            .as_str()
            .unwrap()
            .starts_with("MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - ")
    );
}
