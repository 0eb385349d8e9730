//! What can be made to go wrong with calls, as boto3 sees it.

use serde_json::json;

use crate::stack::Running;

#[test]
fn every_operation_of_batch_can_be_throttled() {
    let throttle = json!({"refuse": {"status": 429, "code": "TooManyRequestsException"}});
    let rule = json!([{"operation": "*", "times": 1000, "fault": throttle}]);
    let stack = Running::start(&rule.to_string());
    let text = stack.script(
        r#"
throttled = (429, "TooManyRequestsException")
batch, logs, s3 = client("batch"), client("logs"), client("s3")
job = dict(jobName="j", jobQueue="q", jobDefinition="d")
end = dict(jobId="j", reason="r")
assert refusal(batch.submit_job, **job) == throttled
assert refusal(batch.describe_jobs, jobs=["j"]) == throttled
assert refusal(batch.list_jobs, jobQueue="q") == throttled
assert refusal(batch.terminate_job, **end) == throttled
assert refusal(batch.cancel_job, **end) == throttled
assert refusal(batch.register_job_definition, jobDefinitionName="d", type="container") == throttled
assert refusal(batch.describe_job_definitions) == throttled
assert refusal(batch.describe_job_queues) == throttled
assert refusal(batch.describe_compute_environments) == throttled
assert refusal(logs.describe_log_groups) == throttled
assert refusal(s3.list_objects_v2, Bucket="ferroflow-dev") == throttled
print("as wanted")
"#,
    );
    assert_eq!(text, "as wanted\n");
    let faults = stack.history("fault");
    assert_eq!(faults.len(), 11);
    assert_eq!(faults[0]["detail"]["operation"], "SubmitJob");
    assert_eq!(faults[0]["detail"]["rule"], 1);
    assert_eq!(faults[10]["detail"]["nth"], 11);
}

/// The other is served meanwhile.
#[test]
fn one_client_is_cut_off() {
    let rule = json!([{"operation": "*", "client": "cut-off", "times": 1000, "fault": "hang_up"}]);
    let stack = Running::start(&rule.to_string());
    let text = stack.script(
        r#"
def of(app):
    config = Config(retries={"total_max_attempts": 1}, user_agent_appid=app)
    return [boto3.client(name, config=config) for name in ("batch", "s3")]
for app in ("cut-off", "other"):
    batch, s3 = of(app)
    print(refusal(batch.describe_job_queues), refusal(s3.put_object, Bucket="ferroflow-dev", Key=app, Body=b""))
print([o["Key"] for o in client("s3").list_objects_v2(Bucket="ferroflow-dev")["Contents"]])
"#,
    );
    let gone = "ConnectionClosedError";
    assert_eq!(text, format!("{gone} {gone}\nNone None\n['other']\n"));
    let by = &stack.history("call")[0]["detail"]["by"];
    assert_eq!(by["app"], "cut-off");
    assert!(by["key"].as_str().unwrap().starts_with("AKIA"));
    assert!(by["agent"].as_str().unwrap().starts_with("Boto3/"));
}

#[test]
fn answers_have_the_time_of_another_hour() {
    let rules = json!([
        {"operation": "DescribeJobQueues", "fault": {"skew_date": -3600}},
        {"operation": "ListBuckets", "fault": {"skew_date": 3600}},
    ]);
    let stack = Running::start(&rules.to_string());
    let text = stack.script(
        r#"
import datetime, email.utils
def hours_off(answer):
    date = email.utils.parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
    return round((date - datetime.datetime.now(datetime.timezone.utc)).total_seconds() / 3600)
batch, s3 = client("batch"), client("s3")
print([hours_off(call()) for call in (batch.describe_job_queues, s3.list_buckets) for _ in range(2)])
"#,
    );
    assert_eq!(text, "[-1, 0, 1, 0]\n");
}

#[test]
fn the_history_tells_what_calls_have_done() {
    let stack = Running::start("[]");
    stack.script(
        r#"
s3, batch = client("s3"), client("batch")
at = dict(Bucket="ferroflow-dev", Key="root/.ferroflow/F/1/claim/s/1/0.0")
s3.put_object(**at, Body=b'{"kind": "claimed"}\nmore')
s3.put_object(**at, Body=b"no JSON")
s3.put_object(Bucket="ferroflow-dev", Key="other", Body=b"{}")
s3.delete_object(**at)
s3.delete_object(**at)
refusal(s3.put_object, Bucket="ferroflow-dev", Key="other", Body=b"", IfNoneMatch="*")
batch.register_job_definition(jobDefinitionName="d", type="container", containerProperties=dict(
    image="i", command=["true"], resourceRequirements=[dict(type="VCPU", value="1"), dict(type="MEMORY", value="64")]))
job = batch.submit_job(jobName="j", jobQueue="ferroflow-dev", jobDefinition="d")["jobId"]
batch.terminate_job(jobId=job, reason="r")
while batch.describe_jobs(jobs=[job])["jobs"][0]["status"] not in ("SUCCEEDED", "FAILED"):
    pass
"#,
    );
    let objects: Vec<_> = ["object.created", "object.replaced", "object.deleted"]
        .into_iter()
        .flat_map(|kind| stack.history(kind))
        .map(|line| {
            let detail = &line["detail"];
            let key = detail["key"].as_str().unwrap().rsplit('/').next().unwrap();
            (line["kind"].clone(), key.to_owned(), detail["head"].clone())
        })
        .collect();
    let claimed = json!({"kind": "claimed"});
    let expected = [
        ("object.created", "0.0", claimed),
        ("object.created", "other", json!(null)),
        ("object.replaced", "0.0", json!(null)),
        ("object.deleted", "0.0", json!(null)),
    ];
    let expected = expected.map(|(kind, key, head)| (json!(kind), key.to_owned(), head));
    assert_eq!(objects, expected);
    let submitted = &stack.history("job.submitted")[0]["detail"];
    assert_eq!(
        (&submitted["jobName"], &submitted["jobDefinition"]),
        (&json!("j"), &json!("d:1"))
    );
    assert!(
        submitted["by"]["agent"]
            .as_str()
            .unwrap()
            .starts_with("Boto3/")
    );
    let ended = &stack.history("job.ended")[0]["detail"];
    assert_eq!(ended["jobId"], submitted["jobId"]);
    let call = &stack.history("s3.call")[0];
    assert!(call["detail"]["began"].as_i64().unwrap() <= call["at"].as_i64().unwrap());
}
