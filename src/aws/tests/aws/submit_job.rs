use std::collections::BTreeMap;

use aws::batch::SubmitError;
use model::batch::{JobRequest, Resources, Share};
use serde_json::json;

use crate::server::{Answer, Server};

fn request() -> JobRequest {
    let map = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect()
    };
    JobRequest {
        name: "jane-F-1-start-2-0-L0-abcd0123".to_owned(),
        queue: "queue".to_owned(),
        definition: "arn:definition:1".to_owned(),
        parameters: map(&[("metaflow.user", "jane")]),
        tags: BTreeMap::new(),
        command: None,
        environment: vec![("A".to_owned(), "1".to_owned())],
        resources: Resources {
            vcpu: "1".to_owned(),
            memory: "4096".to_owned(),
            gpu: None,
        },
        timeout_seconds: 432_000,
        share: None,
        array_size: None,
    }
}

fn accepted() -> Answer {
    Answer::json(
        200,
        &json!({"jobId": "id-1", "jobName": "n", "jobArn": "arn"}),
    )
}

#[tokio::test]
async fn a_job_is_asked_for_with_overrides_only() {
    let server = Server::start([accepted(), accepted()]).await;
    let client = server.batch().await;
    let id = client.submit_job(&request()).await.unwrap();
    assert_eq!(id.as_str(), "id-1");

    let mut full = request();
    full.tags.insert("app".to_owned(), "metaflow".to_owned());
    full.command = Some(vec!["run".to_owned()]);
    full.resources.gpu = Some("2".to_owned());
    full.share = Some(Share {
        identifier: "jane".to_owned(),
        priority: Some(7),
    });
    client.submit_job(&full).await.unwrap();

    let requests = server.requests();
    assert_eq!(requests[0].line, "POST /v1/submitjob");
    let cpu_and_memory =
        json!([{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "4096"}]);
    assert_eq!(
        requests[0].json(),
        json!({
            "jobName": "jane-F-1-start-2-0-L0-abcd0123", "jobQueue": "queue",
            "jobDefinition": "arn:definition:1", "parameters": {"metaflow.user": "jane"},
            "containerOverrides": {
                "environment": [{"name": "A", "value": "1"}],
                "resourceRequirements": cpu_and_memory,
            },
            "retryStrategy": {"attempts": 1}, "timeout": {"attemptDurationSeconds": 432_000},
        })
    );
    let full = requests[1].json();
    assert_eq!(full["tags"], json!({"app": "metaflow"}));
    assert_eq!(full["containerOverrides"]["command"], json!(["run"]));
    assert_eq!(
        full["containerOverrides"]["resourceRequirements"][2],
        json!({"type": "GPU", "value": "2"})
    );
    assert_eq!(full["shareIdentifier"], "jane");
    assert_eq!(full["schedulingPriorityOverride"], 7);
}

#[tokio::test]
async fn a_submission_is_sent_once_whatever_comes_back() {
    let refused = |text: &str| SubmitError::Refused(text.to_owned());
    let not_sent = |text: &str| SubmitError::NotSent(text.to_owned());
    for (answer, want) in [
        (
            Answer::batch_error(400, "ClientException", "JobQueue x not found"),
            Some(refused("ClientException: JobQueue x not found")),
        ),
        (
            Answer::batch_error(403, "AccessDeniedException", "not authorized"),
            Some(refused("AccessDeniedException: not authorized")),
        ),
        (
            Answer::batch_error(429, "TooManyRequestsException", "Too Many Requests"),
            Some(SubmitError::Throttled),
        ),
        (Answer::text(429, ""), Some(SubmitError::Throttled)),
        (
            Answer::batch_error(400, "ThrottlingException", "Rate"),
            Some(SubmitError::Throttled),
        ),
        (
            Answer::batch_error(403, "ExpiredTokenException", "old"),
            Some(not_sent("ExpiredTokenException: old")),
        ),
        (
            Answer::batch_error(403, "InvalidSignatureException", "Signature expired: 2020"),
            Some(not_sent(
                "InvalidSignatureException: Signature expired: 2020",
            )),
        ),
        (Answer::batch_error(500, "ServerException", "oops"), None),
        (Answer::text(503, "<html>busy</html>"), None),
        (Answer::text(504, ""), None),
        (Answer::text(408, ""), None),
        (Answer::json(200, &json!({"jobName": "n"})), None),
        (Answer::text(200, "not JSON"), None),
        (accepted().broken_off(), None),
        (Answer::HangUp, None),
        (Answer::Silence, None),
    ] {
        let server = Server::start([answer.clone()]).await;
        let error = server
            .batch()
            .await
            .submit_job(&request())
            .await
            .unwrap_err();
        match want {
            Some(want) => assert_eq!(error, want, "{answer:?}"),
            None => assert!(
                matches!(error, SubmitError::Unknown(_)),
                "{answer:?}: {error:?}"
            ),
        }
        assert_eq!(server.requests().len(), 1, "{answer:?}");
    }
}

#[tokio::test]
async fn where_nobody_listens_nothing_is_sent() {
    let mut server = Server::start([]).await;
    server.url = "http://127.0.0.1:1".to_owned();
    let error = server
        .batch()
        .await
        .submit_job(&request())
        .await
        .unwrap_err();
    assert!(
        matches!(&error, SubmitError::NotSent(text) if text.contains("refused")),
        "{error:?}"
    );
}
