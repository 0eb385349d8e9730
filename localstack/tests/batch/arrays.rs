//! Array jobs.

use serde_json::{Value, json};

use crate::stack::{QUEUE, Stack};

fn child(id: &str, index: u32) -> String {
    format!("{id}:{index}")
}

#[tokio::test]
async fn children_know_their_index_and_the_parent_counts_them() {
    let stack = Stack::new();
    let seen = stack.path("seen");
    let script = format!(
        "until [ -e '{}' ]; do sleep 0.02; done; echo $AWS_BATCH_JOB_ARRAY_INDEX $AWS_BATCH_JOB_ID; test $AWS_BATCH_JOB_ARRAY_INDEX != 1",
        seen.display()
    );
    stack.define("job", &script).await;
    let id = stack
        .submit("job", json!({"arrayProperties": {"size": 3}}))
        .await;
    let parent = stack.until(&id, |job| job["status"] != "SUBMITTED").await;
    assert_eq!(parent["status"], "PENDING");
    assert_eq!(parent["arrayProperties"]["size"], 3);
    std::fs::write(&seen, "").expect("the children can be let go");
    let parent = stack.ended(&id).await;
    assert_eq!(
        (&parent["status"], &parent["statusReason"]),
        (&json!("FAILED"), &json!("Array Child Job failed"))
    );
    assert_eq!(
        (&parent["attempts"], parent.get("startedAt")),
        (&json!([]), None)
    );
    let summary = &parent["arrayProperties"]["statusSummary"];
    assert_eq!(
        (
            &summary["SUCCEEDED"],
            &summary["FAILED"],
            &summary["RUNNING"]
        ),
        (&json!(2), &json!(1), &json!(0))
    );
    for index in 0..3 {
        let job = stack.job(&child(&id, index)).await;
        assert_eq!(
            job["status"],
            if index == 1 { "FAILED" } else { "SUCCEEDED" }
        );
        assert_eq!(job["arrayProperties"], json!({"index": index}));
        assert!(job["stoppedAt"].as_i64() <= parent["stoppedAt"].as_i64());
        assert_eq!(stack.printed(&job).await, [format!("{index} {id}:{index}")]);
    }
    assert_eq!(stack.job(&child(&id, 3)).await, Value::Null);
}

#[tokio::test]
async fn children_are_listed_by_status_and_apart_from_jobs() {
    let stack = Stack::new();
    stack.define("job", "exit $AWS_BATCH_JOB_ARRAY_INDEX").await;
    let id = stack
        .submit("job", json!({"arrayProperties": {"size": 3}}))
        .await;
    stack.ended(&id).await;
    let ids = async |request: Value| {
        let reply = stack.ok("ListJobs", request).await;
        let jobs = reply["jobSummaryList"].as_array().unwrap().iter();
        jobs.map(|job| job["jobId"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        ids(json!({"arrayJobId": id, "jobStatus": "FAILED"})).await,
        [child(&id, 1), child(&id, 2)]
    );
    assert_eq!(
        ids(json!({"arrayJobId": id, "jobStatus": "SUCCEEDED"})).await,
        [child(&id, 0)]
    );
    assert!(ids(json!({"arrayJobId": id})).await.is_empty());
    assert_eq!(
        ids(json!({"jobQueue": QUEUE, "jobStatus": "FAILED"})).await,
        [id.as_str()]
    );
    let reply = stack
        .ok("ListJobs", json!({"arrayJobId": id, "jobStatus": "FAILED"}))
        .await;
    let job = &reply["jobSummaryList"][0];
    assert_eq!(
        (&job["container"], &job["arrayProperties"]),
        (&json!({"exitCode": 1}), &json!({"index": 1}))
    );
}

#[tokio::test]
async fn the_end_of_the_parent_is_asked_for_once() {
    let stack = Stack::new();
    stack.define("job", "exec sleep 100").await;
    stack.define("after", "true").await;
    let id = stack
        .submit("job", json!({"arrayProperties": {"size": 10000}}))
        .await;
    let after = stack
        .submit("after", json!({"dependsOn": [{"jobId": id}]}))
        .await;
    stack.until_status(&child(&id, 0), "RUNNING").await;
    assert_eq!(stack.job(&id).await["status"], "PENDING");
    assert_eq!(stack.job(&child(&id, 9999)).await["status"], "RUNNABLE");
    stack
        .ok("TerminateJob", json!({"jobId": id, "reason": "stop all"}))
        .await;
    let last = stack.job(&child(&id, 9999)).await;
    assert_eq!(
        (
            &last["status"],
            &last["statusReason"],
            &last["isTerminated"]
        ),
        (&json!("FAILED"), &json!("stop all"), &json!(true))
    );
    let parent = stack.ended(&id).await;
    assert_eq!(
        (&parent["status"], &parent["statusReason"]),
        (&json!("FAILED"), &json!("stop all"))
    );
    assert_eq!(parent["arrayProperties"]["statusSummary"]["FAILED"], 10000);
    assert_eq!(
        stack.job(&child(&id, 0)).await["container"]["exitCode"],
        143
    );
    assert_eq!(
        stack.ended(&after).await["statusReason"],
        "Dependent Job failed"
    );
}

#[tokio::test]
async fn one_child_can_be_ended() {
    let stack = Stack::new();
    stack
        .define(
            "job",
            "test $AWS_BATCH_JOB_ARRAY_INDEX = 1 && exec sleep 100; true",
        )
        .await;
    let id = stack
        .submit("job", json!({"arrayProperties": {"size": 2}}))
        .await;
    stack.until_status(&child(&id, 1), "RUNNING").await;
    stack
        .ok(
            "TerminateJob",
            json!({"jobId": child(&id, 1), "reason": "this one"}),
        )
        .await;
    let parent = stack.ended(&id).await;
    assert_eq!(
        (&parent["statusReason"], &parent["isTerminated"]),
        (&json!("Array Child Job failed"), &json!(false))
    );
    assert_eq!(stack.job(&child(&id, 0)).await["status"], "SUCCEEDED");
    assert_eq!(stack.job(&child(&id, 1)).await["statusReason"], "this one");
}

#[tokio::test]
async fn children_wait_for_their_like_and_for_the_one_before() {
    let stack = Stack::new();
    stack
        .define("job", "sleep 0.05; test $AWS_BATCH_JOB_ARRAY_INDEX != 2")
        .await;
    let first = stack
        .submit(
            "job",
            json!({"arrayProperties": {"size": 3}, "dependsOn": [{"type": "SEQUENTIAL"}]}),
        )
        .await;
    let more = json!({"arrayProperties": {"size": 3}, "dependsOn": [{"jobId": first, "type": "N_TO_N"}],
        "containerOverrides": {"command": ["true"]}});
    let second = stack.submit("job", more.clone()).await;
    stack.ended(&second).await;
    let late = stack.submit("job", more).await;
    stack.ended(&late).await;
    let mut before = 0;
    for index in 0..3 {
        let one = stack.job(&child(&first, index)).await;
        let started = one["startedAt"].as_i64().unwrap();
        assert!(started >= before, "{one}");
        before = one["stoppedAt"].as_i64().unwrap();
        let other = stack.job(&child(&second, index)).await;
        if index < 2 {
            assert!(other["startedAt"].as_i64().unwrap() >= before, "{other}");
        }
    }
    for id in [second, late] {
        assert_eq!(stack.job(&child(&id, 1)).await["status"], "SUCCEEDED");
        let last = stack.job(&child(&id, 2)).await;
        assert_eq!(
            (&last["statusReason"], &last["attempts"]),
            (&json!("Dependent Job failed"), &json!([]))
        );
    }
}

#[tokio::test]
async fn a_failure_in_a_sequence_ends_the_rest_of_it() {
    let stack = Stack::new();
    stack.define("job", "exit 1").await;
    let id = stack
        .submit(
            "job",
            json!({"arrayProperties": {"size": 5000}, "dependsOn": [{"type": "SEQUENTIAL"}]}),
        )
        .await;
    let parent = stack.ended(&id).await;
    assert_eq!(parent["statusReason"], "Array Child Job failed");
    assert_eq!(
        stack.job(&child(&id, 4999)).await["statusReason"],
        "Dependent Job failed"
    );
}

#[tokio::test]
async fn an_array_waits_as_a_whole() {
    let stack = Stack::new();
    stack.define("first", "sleep 0.2").await;
    stack.define("array", "true").await;
    let first = stack.submit("first", json!({})).await;
    let id = stack
        .submit(
            "array",
            json!({"arrayProperties": {"size": 2}, "dependsOn": [{"jobId": first}]}),
        )
        .await;
    stack.until(&child(&id, 0), |job| *job != Value::Null).await;
    stack.ended(&id).await;
    let end = stack.job(&first).await["stoppedAt"].as_i64().unwrap();
    assert!(
        stack.job(&child(&id, 0)).await["startedAt"]
            .as_i64()
            .unwrap()
            >= end
    );
}
