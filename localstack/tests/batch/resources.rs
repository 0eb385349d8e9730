//! Definitions, queues, environments, policies, tags.

use serde_json::{Value, json};

use crate::stack::{QUEUE, Stack};

#[tokio::test]
async fn a_fresh_stack_can_run_jobs_of_both_kinds() {
    let stack = Stack::new();
    let queues = stack.ok("DescribeJobQueues", json!({})).await;
    let names: Vec<&Value> = queues["jobQueues"]
        .as_array()
        .unwrap()
        .iter()
        .map(|queue| &queue["jobQueueName"])
        .collect();
    assert_eq!(names, ["ferroflow-dev", "ferroflow-dev-fargate"]);
    let queue = &queues["jobQueues"][0];
    assert_eq!(
        (&queue["state"], &queue["status"]),
        (&json!("ENABLED"), &json!("VALID"))
    );
    let arn = &queue["computeEnvironmentOrder"][0]["computeEnvironment"];
    let found = stack
        .ok(
            "DescribeComputeEnvironments",
            json!({"computeEnvironments": [arn]}),
        )
        .await;
    let environment = &found["computeEnvironments"][0];
    assert_eq!(
        (
            &environment["computeResources"]["type"],
            &environment["status"]
        ),
        (&json!("EC2"), &json!("VALID"))
    );
    assert!(
        environment["computeResources"]["maxvCpus"]
            .as_u64()
            .unwrap()
            >= 1
    );
}

#[tokio::test]
async fn definitions_have_revisions() {
    let stack = Stack::new();
    for _ in 0..3 {
        stack.define("job", "true").await;
    }
    stack
        .ok("DeregisterJobDefinition", json!({"jobDefinition": "job:3"}))
        .await;
    let list = async |request: Value| {
        let reply = stack.ok("DescribeJobDefinitions", request).await;
        let found = reply["jobDefinitions"].as_array().unwrap().iter();
        found
            .map(|definition| definition["revision"].as_u64().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        list(json!({"jobDefinitionName": "job", "status": "ACTIVE"})).await,
        [1, 2]
    );
    assert_eq!(list(json!({"jobDefinitions": ["job:3"]})).await, [3]);
    assert_eq!(
        list(
            json!({"jobDefinitions": ["arn:aws:batch:eu-west-1:123456789012:job-definition/job:1"]})
        )
        .await,
        [1]
    );
    assert_eq!(
        list(
            json!({"jobDefinitions": ["arn:aws:batch:us-east-1:123456789012:job-definition/job:1"]})
        )
        .await,
        [0_u64; 0]
    );
    let id = stack.submit("job", json!({})).await;
    assert!(
        stack.job(&id).await["jobDefinition"]
            .as_str()
            .unwrap()
            .ends_with("/job:2")
    );
    stack.ended(&id).await;
    let request = json!({"jobName": "j", "jobQueue": QUEUE, "jobDefinition": "job:3"});
    let text = stack.refused("SubmitJob", request).await;
    assert_eq!(
        text,
        "JobDefinition name job:3 does not exist or is not in ACTIVE status"
    );
}

#[tokio::test]
async fn queues_and_environments_live_and_die() {
    let stack = Stack::new();
    let environment = json!({"computeEnvironmentName": "ce", "type": "MANAGED", "computeResources": {"type": "SPOT", "maxvCpus": 4}});
    stack
        .ok("CreateComputeEnvironment", environment.clone())
        .await;
    assert_eq!(
        stack.refused("CreateComputeEnvironment", environment).await,
        "Object already exists"
    );
    let order = json!([{"order": 2, "computeEnvironment": "ce"}, {"order": 1, "computeEnvironment": "ferroflow-dev"}]);
    let queue = json!({"jobQueueName": "q", "priority": 5, "computeEnvironmentOrder": order});
    stack.ok("CreateJobQueue", queue).await;
    let queue = stack
        .ok("DescribeJobQueues", json!({"jobQueues": ["q"]}))
        .await["jobQueues"][0]
        .clone();
    assert!(
        queue["computeEnvironmentOrder"][0]["computeEnvironment"]
            .as_str()
            .unwrap()
            .ends_with("/ferroflow-dev")
    );
    assert_eq!(queue["priority"], 5);
    let mixed = json!([{"order": 2, "computeEnvironment": "ce"}, {"order": 1, "computeEnvironment": "ferroflow-dev-fargate"}]);
    stack
        .refused(
            "CreateJobQueue",
            json!({"jobQueueName": "r", "priority": 5, "computeEnvironmentOrder": mixed}),
        )
        .await;
    stack
        .refused(
            "DeleteComputeEnvironment",
            json!({"computeEnvironment": "ce"}),
        )
        .await;
    stack.ok("UpdateComputeEnvironment", json!({"computeEnvironment": "ce", "state": "DISABLED", "computeResources": {"maxvCpus": 8}})).await;
    stack
        .refused(
            "DeleteComputeEnvironment",
            json!({"computeEnvironment": "ce"}),
        )
        .await;
    stack
        .refused("DeleteJobQueue", json!({"jobQueue": "q"}))
        .await;
    stack.define("job", "exec sleep 100").await;
    let id = stack.submit("job", json!({"jobQueue": "q"})).await;
    stack.until_status(&id, "RUNNING").await;
    stack
        .ok(
            "UpdateJobQueue",
            json!({"jobQueue": queue["jobQueueArn"], "state": "DISABLED"}),
        )
        .await;
    let text = stack
        .refused(
            "SubmitJob",
            json!({"jobName": "j", "jobQueue": "q", "jobDefinition": "job"}),
        )
        .await;
    assert_eq!(text, "JobQueue q is not in ENABLED state.");
    stack.ok("DeleteJobQueue", json!({"jobQueue": "q"})).await;
    assert_eq!(stack.ended(&id).await["statusReason"], "JobQueue deleted");
    stack
        .ok(
            "DeleteComputeEnvironment",
            json!({"computeEnvironment": "ce"}),
        )
        .await;
    assert_eq!(
        stack
            .ok("DescribeJobQueues", json!({"jobQueues": ["q"]}))
            .await,
        json!({"jobQueues": []})
    );
}

#[tokio::test]
async fn a_scheduling_policy_asks_for_shares() {
    let stack = Stack::new();
    let policy = stack
        .ok(
            "CreateSchedulingPolicy",
            json!({"name": "p", "fairsharePolicy": {"shareDecaySeconds": 60}}),
        )
        .await;
    let found = stack
        .ok(
            "DescribeSchedulingPolicies",
            json!({"arns": [policy["arn"]]}),
        )
        .await;
    assert_eq!(
        found["schedulingPolicies"][0]["fairsharePolicy"]["shareDecaySeconds"],
        60
    );
    let order = json!([{"order": 1, "computeEnvironment": "ferroflow-dev"}]);
    let queue = json!({"jobQueueName": "q", "priority": 5, "computeEnvironmentOrder": order, "schedulingPolicyArn": policy["arn"]});
    stack.ok("CreateJobQueue", queue).await;
    stack.define("job", "true").await;
    let mut request = json!({"jobName": "j", "jobQueue": "q", "jobDefinition": "job"});
    stack.refused("SubmitJob", request.clone()).await;
    request["shareIdentifier"] = "me".into();
    let id = stack.ok("SubmitJob", request.clone()).await["jobId"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(stack.ended(&id).await["shareIdentifier"], "me");
    request["jobQueue"] = QUEUE.into();
    stack.refused("SubmitJob", request).await;
}

#[tokio::test]
async fn tags_come_and_go() {
    let stack = Stack::new();
    stack.define("job", "true").await;
    let arn = "arn:aws:batch:eu-west-1:123456789012:job-definition/job:1";
    let definition_tags = json!({"resourceArn": arn, "tags": {"team": "x"}});
    stack.ok("TagResource", definition_tags).await;
    let id = stack
        .submit("job", json!({"propagateTags": true, "tags": {"own": "y"}}))
        .await;
    let job = stack.ended(&id).await;
    assert_eq!(job["tags"], json!({"team": "x", "own": "y"}));
    stack
        .ok(
            "UntagResource",
            json!({"resourceArn": job["jobArn"], "tagKeys": ["team"]}),
        )
        .await;
    let tags = stack
        .ok("ListTagsForResource", json!({"resourceArn": job["jobArn"]}))
        .await;
    assert_eq!(tags, json!({"tags": {"own": "y"}}));
    stack
        .refused(
            "ListTagsForResource",
            json!({"resourceArn": format!("{arn}0")}),
        )
        .await;
}
