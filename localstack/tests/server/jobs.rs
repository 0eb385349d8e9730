//! What a job is told by the server as containers are by the ECS agent.

use crate::stack::Running;

/// Runs in the job: whose credentials it has, and what its metadata say.
const IN_THE_JOB: &str = r#"
import boto3, json, os, urllib.error, urllib.request
assert "AWS_ACCESS_KEY_ID" not in os.environ
def document(name, **headers):
    return json.load(urllib.request.urlopen(urllib.request.Request(os.environ[name], headers=headers)))
try:
    document("AWS_CONTAINER_CREDENTIALS_FULL_URI", Authorization="guess")
except urllib.error.HTTPError as error:
    refused = error.code
credentials = document("AWS_CONTAINER_CREDENTIALS_FULL_URI", Authorization=os.environ["AWS_CONTAINER_AUTHORIZATION_TOKEN"])
os.environ["ECS_TASK"] = os.environ["ECS_CONTAINER_METADATA_URI_V4"] + "/task"
print(json.dumps({
    "arn": boto3.client("sts", region_name="us-east-1").get_caller_identity()["Arn"],
    "fields": sorted(credentials),
    "keys": credentials,
    "log": document("ECS_CONTAINER_METADATA_URI_V4")["LogOptions"],
    "refused": refused,
    "task": document("ECS_TASK")["Containers"][0]["DesiredStatus"],
}))
boto3.client("s3", region_name="us-east-1").put_object(Bucket="ferroflow-dev", Key="by a job", Body=b"")
"#;

/// Submits it, waits for its end, reads its log, and tries its keys once more.
const OUTSIDE: &str = r#"
import time
batch, logs = client("batch", region_name="us-east-1"), client("logs", region_name="us-east-1")
definition = batch.register_job_definition(jobDefinitionName="d", type="container", containerProperties=dict(
    image="i", command=["python", "-c", os.environ["IN_THE_JOB"]], jobRoleArn="arn:aws:iam::000000000000:role/team/jobs",
    resourceRequirements=[dict(type="VCPU", value="1"), dict(type="MEMORY", value="1024")]))
job = batch.submit_job(jobName="j", jobQueue="ferroflow-dev", jobDefinition=definition["jobDefinitionArn"])["jobId"]
limit = time.monotonic() + 120
while True:
    (detail,) = batch.describe_jobs(jobs=[job])["jobs"]
    if detail["status"] in ("SUCCEEDED", "FAILED"):
        break
    assert time.monotonic() < limit, detail
    time.sleep(0.1)
stream = detail["container"]["logStreamName"]
lines = [e["message"] for e in logs.get_log_events(logGroupName="/aws/batch/job", logStreamName=stream, startFromHead=True)["events"]]
assert detail["status"] == "SUCCEEDED", lines
told = json.loads(lines[-1])
assert told["arn"] == "arn:aws:sts::000000000000:assumed-role/jobs/" + job, told
assert told["fields"] == ["AccessKeyId", "Expiration", "RoleArn", "SecretAccessKey", "Token"], told
assert told["log"] == {"awslogs-group": "/aws/batch/job", "awslogs-region": "us-east-1", "awslogs-stream": stream}, told
assert (told["refused"], told["task"]) == (403, "RUNNING"), told
client("s3").head_object(Bucket="ferroflow-dev", Key="by a job")
keys = dict(aws_access_key_id=told["keys"]["AccessKeyId"], aws_secret_access_key=told["keys"]["SecretAccessKey"])
for token in (told["keys"]["Token"], "guess", None):
    for call in (client("batch", aws_session_token=token, **keys).describe_job_queues, client("s3", aws_session_token=token, **keys).list_buckets):
        print(refusal(call))
"#;

#[test]
fn a_job_has_credentials_of_its_own_until_it_ends() {
    let stack = Running::start("[]");
    let text = stack.script(&format!(
        "os.environ['IN_THE_JOB'] = {IN_THE_JOB:?}\n{OUTSIDE}"
    ));
    let refused = "(403, 'UnrecognizedClientException')\n(403, 'InvalidAccessKeyId')\n";
    assert_eq!(text, refused.repeat(3));
}
