use aws::batch::BatchErrorKind;
use model::batch::{Entry, JobDefinition, Options, Platform};
use serde_json::{Value, json};

use crate::server::{Answer, Server};

/// A definition that uses every option that an EC2 host knows.
pub(crate) fn definition() -> JobDefinition {
    let options = json!({
        "image": "python:3.11", "iam_role": "arn:aws:iam::123456789012:role/x", "memory": "4096",
        "shared_memory": 64, "max_swap": 0, "swappiness": 10, "inferentia": 1, "efa": 1,
        "tmpfs_size": 100, "tmpfs_path": "/t", "host_volumes": ["/a"], "efs_volumes": ["fs-1"],
        "log_driver": "awslogs", "log_options": ["awslogs-group:g"], "privileged": true,
    });
    compose(&options, Platform::Ec2)
}

pub(crate) fn compose(options: &Value, platform: Platform) -> JobDefinition {
    let entry = Entry {
        command: vec!["run".to_owned()],
        environment: vec![("A".to_owned(), "1".to_owned())],
    };
    JobDefinition::new(Options::new(options.as_object().unwrap()), platform, &entry)
        .unwrap()
        .0
}

fn active(definitions: &[(&str, i32)], next: Option<&str>) -> Answer {
    let definitions: Vec<Value> = definitions
        .iter()
        .map(|(arn, revision)| {
            json!({"jobDefinitionArn": arn, "jobDefinitionName": "n", "revision": revision,
                "type": "container", "status": "ACTIVE"})
        })
        .collect();
    Answer::json(
        200,
        &json!({"jobDefinitions": definitions, "nextToken": next}),
    )
}

fn registered(arn: &str) -> Answer {
    Answer::json(
        200,
        &json!({"jobDefinitionArn": arn, "jobDefinitionName": "n", "revision": 1}),
    )
}

#[tokio::test]
async fn a_new_definition_is_registered_as_it_stands() {
    for definition in [
        definition(),
        compose(
            &json!({"image": "i", "iam_role": "r", "execution_role": "e", "ephemeral_storage": 30}),
            Platform::Fargate,
        ),
    ] {
        let server = Server::start([active(&[], None), registered("arn:1")]).await;
        let client = server.batch().await;
        assert_eq!(client.job_definition(&definition).await.unwrap(), "arn:1");
        assert_eq!(
            client.job_definition(&definition).await.unwrap(),
            "arn:1",
            "asked once"
        );
        assert_eq!(
            server.actions(),
            ["describejobdefinitions", "registerjobdefinition"]
        );
        let requests = server.requests();
        assert_eq!(
            requests[0].json(),
            json!({"jobDefinitionName": definition.name(), "status": "ACTIVE"})
        );
        let mut sent = requests[1].json();
        assert_eq!(sent["jobDefinitionName"], definition.name().as_str());
        sent.as_object_mut().unwrap().remove("jobDefinitionName");
        assert_eq!(sent, serde_json::to_value(&definition).unwrap());
    }
}

#[tokio::test]
async fn the_newest_active_revision_is_pinned() {
    let server = Server::start([
        active(&[("arn:3", 3), ("arn:1", 1)], Some("more")),
        active(&[("arn:12", 12), ("arn:2", 2)], None),
    ])
    .await;
    let arn = server
        .batch()
        .await
        .job_definition(&definition())
        .await
        .unwrap();
    assert_eq!(arn, "arn:12");
    server.assert_quiet();
}

#[tokio::test]
async fn a_lost_reply_is_looked_for_before_registering_again() {
    let lost = [Answer::HangUp, Answer::text(500, ""), Answer::Silence];
    for lost in lost {
        let server = Server::start([
            active(&[], None),
            lost.clone(),
            active(&[("arn:1", 1)], None),
        ])
        .await;
        let arn = server
            .batch()
            .await
            .job_definition(&definition())
            .await
            .unwrap();
        assert_eq!(arn, "arn:1", "{lost:?}");

        let server = Server::start([
            active(&[], None),
            lost.clone(),
            active(&[], None),
            registered("arn:2"),
        ])
        .await;
        let arn = server
            .batch()
            .await
            .job_definition(&definition())
            .await
            .unwrap();
        assert_eq!(arn, "arn:2", "{lost:?}");
        server.assert_quiet();
    }
}

#[tokio::test]
async fn a_throttled_registration_is_repeated_and_a_refused_one_is_not() {
    let busy = Answer::batch_error(429, "TooManyRequestsException", "Too Many Requests");
    let server = Server::start([active(&[], None), busy, registered("arn:1")]).await;
    assert_eq!(
        server
            .batch()
            .await
            .job_definition(&definition())
            .await
            .unwrap(),
        "arn:1"
    );

    let refusal = Answer::batch_error(400, "ClientException", "Error executing request");
    let server = Server::start([active(&[], None), refusal]).await;
    let error = server
        .batch()
        .await
        .job_definition(&definition())
        .await
        .unwrap_err();
    assert_eq!(error.kind, BatchErrorKind::Refused);
    assert_eq!(
        error.to_string(),
        "RegisterJobDefinition failed: ClientException: Error executing request"
    );
}
