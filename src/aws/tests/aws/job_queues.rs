use aws::batch::{BatchErrorKind, JobQueue, QueueError, QueueLookup};
use model::batch::Platform;
use serde_json::{Value, json};

use crate::server::{Answer, Server};

fn queue(name: &str, state: &str, status: &str, policy: Option<&str>) -> Value {
    json!({"jobQueueName": name, "jobQueueArn": format!("arn:{name}"), "state": state,
    "status": status, "priority": 1, "schedulingPolicyArn": policy,
    "computeEnvironmentOrder": [
        {"order": 5, "computeEnvironment": "first"}, {"order": 1, "computeEnvironment": "second"}
    ]})
}

fn queues(queues: Value, next: Option<&str>) -> Answer {
    Answer::json(200, &json!({"jobQueues": queues, "nextToken": next}))
}

fn environment(resources: Value) -> Answer {
    Answer::json(
        200,
        &json!({"computeEnvironments": [{"computeEnvironmentName": "first",
            "computeEnvironmentArn": "arn", "computeResources": resources}]}),
    )
}

fn resources(kind: &str) -> Value {
    json!({"type": kind, "maxvCpus": 1, "subnets": []})
}

#[tokio::test]
async fn a_queue_is_of_its_first_environments_platform() {
    for (kind, platform) in [
        (resources("EC2"), Platform::Ec2),
        (resources("SPOT"), Platform::Spot),
        (resources("FARGATE"), Platform::Fargate),
        (resources("FARGATE_SPOT"), Platform::FargateSpot),
        (Value::Null, Platform::Ec2),
    ] {
        let server = Server::start([
            queues(json!([queue("q", "ENABLED", "VALID", None)]), None),
            environment(kind),
        ])
        .await;
        let client = server.batch().await;
        let want = JobQueue {
            name: "arn:given".to_owned(),
            platform,
            has_scheduling_policy: false,
            idle: None,
        };
        let lookup = QueueLookup::Describe;
        assert_eq!(
            client.job_queue(Some("arn:given"), lookup).await.unwrap(),
            want
        );
        assert_eq!(
            client.job_queue(Some("arn:given"), lookup).await.unwrap(),
            want,
            "asked once"
        );
        let requests = server.requests();
        assert_eq!(requests.len(), 2);
        assert_eq!(requests[0].json(), json!({"jobQueues": ["arn:given"]}));
        assert_eq!(
            requests[1].json(),
            json!({"computeEnvironments": ["first"]})
        );
    }
}

#[tokio::test]
async fn without_a_name_the_first_usable_queue_is_taken() {
    let server = Server::start([
        queues(
            json!([
                queue("a", "DISABLED", "VALID", None),
                queue("b", "ENABLED", "UPDATING", None)
            ]),
            Some("more"),
        ),
        queues(
            json!([queue("c", "ENABLED", "VALID", Some("arn:policy"))]),
            None,
        ),
        environment(resources("SPOT")),
    ])
    .await;
    let got = server
        .batch()
        .await
        .job_queue(None, QueueLookup::Describe)
        .await
        .unwrap();
    let want = JobQueue {
        name: "c".to_owned(),
        platform: Platform::Spot,
        has_scheduling_policy: true,
        idle: None,
    };
    assert_eq!(got, want);
    assert_eq!(server.requests()[1].json(), json!({"nextToken": "more"}));
}

#[tokio::test]
async fn refusals_are_upstreams() {
    let server = Server::start([queues(json!([]), None), queues(json!([]), None)]).await;
    let client = server.batch().await;
    let error = client
        .job_queue(Some("q"), QueueLookup::Describe)
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "AWS Batch Job Queue q not found.");
    let error = client
        .job_queue(None, QueueLookup::Describe)
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "Unable to launch AWS Batch job. No job queue  specified and no valid & enabled queue found."
    );
}

#[tokio::test]
async fn a_sandbox_is_asked_nothing() {
    let denied = Answer::batch_error(403, "AccessDeniedException", "no");
    let server = Server::start([denied]).await;
    let client = server.batch().await;
    let error = client
        .job_queue(Some("q"), QueueLookup::Describe)
        .await
        .unwrap_err();
    assert!(
        matches!(&error, QueueError::Call(call) if call.kind == BatchErrorKind::AccessDenied),
        "{error:?}"
    );
    let queue = client
        .job_queue(Some("q"), QueueLookup::Sandbox)
        .await
        .unwrap();
    assert_eq!(queue.platform, Platform::Ec2);
    assert_eq!(server.requests().len(), 1);
}
