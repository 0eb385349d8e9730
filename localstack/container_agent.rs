//! What the ECS agent tells a container: its credentials and its metadata ("Amazon ECS task metadata endpoint version 4").
//! Requests are not signed; a secret in the path, and for credentials one in a header, stand for the signature.

use http::{HeaderMap, Method, StatusCode, header, request::Parts};
use serde_json::{Value, json};

use crate::{
    Context,
    batch::Batch,
    credentials::{CREDENTIALS_PATH, Keys, METADATA_PATH},
};

/// Log group of all jobs.
const LOG_GROUP: &str = "/aws/batch/job";

/// Status and body, or nothing if the path is none of the agent's.
pub(crate) async fn answer(
    context: &Context,
    keys: &Keys,
    batch: &Batch,
    request: &Parts,
) -> Option<(StatusCode, Value)> {
    if request.method != Method::GET {
        return None;
    }
    let path = request.uri.path();
    if let Some(id) = path.strip_prefix(CREDENTIALS_PATH) {
        let now = context.clock.now_ms() / 1000;
        return Some(
            match keys.credentials(id, authorization(&request.headers), now) {
                Some(credentials) => (StatusCode::OK, credentials),
                None => refused("the job has ended, or the authorization token is wrong"),
            },
        );
    }
    let rest = path.strip_prefix(METADATA_PATH)?;
    let (id, what) = rest.split_once('/').unwrap_or((rest, ""));
    let Some(job_id) = keys.job_of(id) else {
        return Some(refused("the job has ended, or the path is wrong"));
    };
    let container = container(context, batch, &job_id).await;
    Some(match what {
        "" => (StatusCode::OK, container),
        "task" | "taskWithTags" => (StatusCode::OK, task(context, &job_id, container)),
        _ => (
            StatusCode::NOT_FOUND,
            json!({"message": "the agent has no such document"}),
        ),
    })
}

fn refused(message: &str) -> (StatusCode, Value) {
    let body = json!({"code": "AccessDeniedException", "message": message});
    (StatusCode::FORBIDDEN, body)
}

pub(crate) fn authorization(headers: &HeaderMap) -> &str {
    let value = headers.get(header::AUTHORIZATION);
    value.and_then(|v| v.to_str().ok()).unwrap_or_default()
}

/// Of what Batch knows of the job.
async fn container(context: &Context, batch: &Batch, job_id: &str) -> Value {
    let question = json!({"jobs": [job_id]}).to_string();
    let answer = batch.call("DescribeJobs", question.as_bytes()).await;
    let job = answer.map_or(Value::Null, |answer| answer["jobs"][0].clone());
    let id = job_id.replace(':', "-");
    json!({
        "DockerId": id,
        "Name": "default",
        "DockerName": format!("ecs-{id}-default"),
        "Image": job["container"]["image"],
        "DesiredStatus": "RUNNING",
        "KnownStatus": "RUNNING",
        "Type": "NORMAL",
        "ContainerARN": context.arn("ecs", &format!("container/{id}")),
        "LogDriver": "awslogs",
        "LogOptions": {
            "awslogs-group": LOG_GROUP,
            "awslogs-region": context.region,
            "awslogs-stream": job["container"]["logStreamName"],
        },
        "Networks": [{"NetworkMode": "host", "IPv4Addresses": ["127.0.0.1"]}],
    })
}

fn task(context: &Context, job_id: &str, container: Value) -> Value {
    let task = format!("task/ferroflow-dev/{}", job_id.replace(':', "-"));
    json!({
        "Cluster": context.arn("ecs", "cluster/ferroflow-dev"),
        "TaskARN": context.arn("ecs", &task),
        "Family": "ferroflow-dev",
        "Revision": "1",
        "DesiredStatus": "RUNNING",
        "KnownStatus": "RUNNING",
        "LaunchType": "EC2",
        "AvailabilityZone": format!("{}a", context.region),
        "Containers": [container],
    })
}
