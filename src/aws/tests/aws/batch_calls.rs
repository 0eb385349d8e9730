use aws::batch::BatchErrorKind;
use model::{
    Timestamp,
    batch::{JobId, JobStatus},
};
use serde_json::{Value, json};

use crate::server::{Answer, Server};

fn jobs(jobs: Value) -> Answer {
    Answer::json(200, &json!({"jobs": jobs}))
}

fn job(id: &str, status: &str) -> Value {
    json!({"jobId": id, "jobName": "n", "jobQueue": "q", "status": status, "startedAt": 0,
        "jobDefinition": "d"})
}

#[tokio::test]
async fn jobs_are_described_a_hundred_at_a_time() {
    let server = Server::start([
        jobs(json!([])),
        jobs(json!([])),
        jobs(json!([job("id-249", "RUNNING")])),
    ])
    .await;
    let ids: Vec<JobId> = (0..250).map(|i| JobId::new(format!("id-{i}"))).collect();
    let found = server.batch().await.describe_jobs(&ids).await.found;
    assert_eq!(found.keys().collect::<Vec<_>>(), [&ids[249]]);
    let asked: Vec<usize> = server
        .requests()
        .iter()
        .map(|request| request.json()["jobs"].as_array().unwrap().len())
        .collect();
    assert_eq!(asked, [100, 100, 50]);
}

#[tokio::test]
async fn a_description_is_read_whole() {
    let full = json!({
        "jobId": "id", "jobName": "name", "jobQueue": "arn:q", "status": "FAILED",
        "statusReason": "Essential container in task exited", "createdAt": 1_000,
        "startedAt": 2_000, "stoppedAt": 3_000, "jobDefinition": "d:1",
        "isTerminated": true, "isCancelled": false,
        "container": {"exitCode": 137, "reason": "OutOfMemoryError: x", "logStreamName": "s"},
    });
    let attempt_only = json!({
        "jobId": "attempt", "jobName": "n", "jobQueue": "q", "status": "HIBERNATING",
        "startedAt": 0, "jobDefinition": "d",
        "attempts": [
            {"container": {"exitCode": 1, "reason": "first"}},
            {"container": {"exitCode": 2, "reason": "last", "logStreamName": "l"}, "statusReason": "why"},
        ],
    });
    let server = Server::start([jobs(json!([full, attempt_only]))]).await;
    let (id, attempt) = (JobId::new("id"), JobId::new("attempt"));
    let ids = [id.clone(), attempt.clone(), JobId::new("gone")];
    let found = server.batch().await.describe_jobs(&ids).await.found;
    assert_eq!(found.len(), 2);
    let full = &found[&id];
    assert_eq!(full.status, JobStatus::Failed);
    assert_eq!(full.name, "name");
    assert_eq!(
        full.status_reason.as_deref(),
        Some("Essential container in task exited")
    );
    assert_eq!(
        full.container_reason.as_deref(),
        Some("OutOfMemoryError: x")
    );
    assert_eq!(
        (full.exit_code, full.log_stream.as_deref()),
        (Some(137), Some("s"))
    );
    assert_eq!((full.is_terminated, full.is_cancelled), (true, false));
    let times = [full.created_at, full.started_at, full.stopped_at];
    assert_eq!(times, [1_000, 2_000, 3_000].map(|at| Some(Timestamp(at))));
    let attempt = &found[&attempt];
    assert_eq!(attempt.status, JobStatus::Unknown("HIBERNATING".to_owned()));
    assert_eq!(
        (attempt.exit_code, attempt.container_reason.as_deref()),
        (Some(2), Some("last"))
    );
    assert_eq!(
        (attempt.status_reason.as_deref(), attempt.started_at),
        (Some("why"), None)
    );
}

#[tokio::test]
async fn reads_are_tried_again_and_not_for_ever() {
    let fine = || jobs(json!([job("id", "RUNNING")]));
    let busy = || Answer::batch_error(429, "TooManyRequestsException", "Too Many Requests");
    let ids = [JobId::new("id")];
    for answers in [
        vec![busy(), fine()],
        vec![Answer::text(500, ""), fine()],
        vec![Answer::HangUp, fine()],
        vec![Answer::Silence, fine()],
        vec![busy(), Answer::text(503, ""), fine()],
    ] {
        let server = Server::start(answers).await;
        let found = server.batch().await.describe_jobs(&ids).await.found;
        assert_eq!(found.len(), 1);
        server.assert_quiet();
    }
    let server = Server::start([busy(), busy(), busy()]).await;
    let error = server
        .batch()
        .await
        .describe_jobs(&ids)
        .await
        .error
        .unwrap();
    assert_eq!(error.kind, BatchErrorKind::Throttled);
    assert_eq!(
        error.to_string(),
        "DescribeJobs failed: TooManyRequestsException: Too Many Requests"
    );
    let server = Server::start([Answer::batch_error(400, "ClientException", "wrong")]).await;
    let error = server
        .batch()
        .await
        .describe_jobs(&ids)
        .await
        .error
        .unwrap();
    assert_eq!(error.kind, BatchErrorKind::Refused);
}

#[tokio::test]
async fn a_job_is_found_by_its_very_name() {
    let summary = |id: &str, name: &str| json!({"jobId": id, "jobName": name, "status": "RUNNING"});
    let page = |jobs: Value, next: Option<&str>| {
        Answer::json(200, &json!({"jobSummaryList": jobs, "nextToken": next}))
    };
    let server = Server::start([
        page(json!([summary("1", "NAME")]), Some("more")),
        page(json!([summary("2", "name"), summary("3", "name")]), None),
        page(json!([]), None),
        Answer::batch_error(403, "AccessDeniedException", "no ListJobs"),
    ])
    .await;
    let client = server.batch().await;
    let found = client.find_job("q", "name").await.unwrap();
    assert_eq!(found, Some(JobId::new("2")));
    assert_eq!(client.find_job("q", "name").await.unwrap(), None);
    let error = client.find_job("q", "name").await.unwrap_err();
    assert_eq!(error.kind, BatchErrorKind::AccessDenied);
    let requests = server.requests();
    assert_eq!(
        requests[0].json(),
        json!({"jobQueue": "q", "filters": [{"name": "JOB_NAME", "values": ["name"]}]})
    );
    assert_eq!(requests[1].json()["nextToken"], "more");
}

#[tokio::test]
async fn whoever_terminates_a_job_repeats_it_until_it_is_heard() {
    let server = Server::start([
        Answer::text(500, ""),
        Answer::HangUp,
        Answer::json(200, &json!({})),
    ])
    .await;
    let client = server.batch().await;
    let id = JobId::new("id");
    let terminate = || client.terminate_job(&id, "ferroflow: enough");
    assert!(terminate().await.unwrap_err().is_transient());
    assert!(terminate().await.unwrap_err().is_transient());
    terminate().await.unwrap();
    server.assert_quiet();
    let last = server.requests().pop().unwrap();
    assert_eq!(
        last.json(),
        json!({"jobId": "id", "reason": "ferroflow: enough"})
    );

    server.answer([Answer::json(200, &json!({}))]);
    client
        .terminate_job(&JobId::new("id"), &"x".repeat(2_000))
        .await
        .unwrap();
    let last = server.requests().pop().unwrap();
    assert_eq!(last.json()["reason"].as_str().unwrap().len(), 1_024);
}
