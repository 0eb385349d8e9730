//! Clients that do it right, and the faults that they then meet.

use crate::stack::Running;

#[test]
fn boto3_uses_all_services() {
    let stack = Running::start("[]");
    let text = stack.script(
        r#"
identity = client("sts").get_caller_identity()
assert identity["Account"] == "000000000000", identity
batch = client("batch")
queues = {q["jobQueueName"]: q for q in batch.describe_job_queues()["jobQueues"]}
assert sorted(queues) == ["ferroflow-dev", "ferroflow-dev-fargate"], queues
assert batch.describe_jobs(jobs=["nobody"])["jobs"] == []
arn = queues["ferroflow-dev"]["jobQueueArn"]
batch.tag_resource(resourceArn=arn, tags={"a b+c": "d", "e": "f"})
batch.untag_resource(resourceArn=arn, tagKeys=["a b+c", "x/y"])
assert batch.list_tags_for_resource(resourceArn=arn)["tags"] == {"e": "f"}
logs = client("logs")
print(refusal(logs.get_log_events, logGroupName="/aws/batch/job", logStreamName="none"))
buckets = client("s3").list_buckets()["Buckets"]
assert [b["Name"] for b in buckets] == ["ferroflow-dev"], buckets
"#,
    );
    assert_eq!(text, "(400, 'ResourceNotFoundException')\n");
    let calls = stack.history("call");
    let found = calls
        .iter()
        .find(|c| c["detail"]["operation"] == "DescribeJobs");
    let detail = &found.expect("the call is in the history")["detail"];
    assert_eq!(
        (&detail["subject"], &detail["outcome"]),
        (&"nobody".into(), &"ok".into())
    );
}

#[test]
fn the_aws_cli_uses_all_services() {
    let stack = Running::start("[]");
    let identity = stack.aws(&[
        "sts",
        "get-caller-identity",
        "--query",
        "Arn",
        "--output",
        "text",
    ]);
    assert_eq!(identity, "arn:aws:iam::000000000000:user/ferroflow\n");
    let query = ["--query", "jobQueues[].jobQueueName", "--output", "text"];
    let queues = stack.aws(&[&["batch", "describe-job-queues"][..], &query].concat());
    assert_eq!(queues, "ferroflow-dev\tferroflow-dev-fargate\n");
    let buckets = stack.aws(&["s3", "ls"]);
    assert!(buckets.ends_with(" ferroflow-dev\n"), "{buckets}");
}

#[test]
fn a_url_can_be_signed_instead_of_a_header() {
    let stack = Running::start("[]");
    let script = r#"
import urllib.request
url = client("sts").generate_presigned_url("get_caller_identity", ExpiresIn=60, HttpMethod="GET")
print(urllib.request.urlopen(url).read().decode())
"#;
    assert!(stack.script(script).contains("user/ferroflow"));
}

#[test]
fn calls_meet_their_faults() {
    let stack = Running::start(
        r#"[{"operation": "DescribeJobQueues", "nth": 1, "fault": {"refuse": {"status": 429, "code": "TooManyRequestsException"}}},
            {"operation": "DescribeJobQueues", "nth": 2, "fault": "lose_reply"},
            {"operation": "DescribeJobQueues", "nth": 3, "fault": {"refuse_after_effect": {"status": 503, "code": "ServerException"}}},
            {"operation": "DescribeJobQueues", "nth": 4, "fault": {"delay": 0.1}},
            {"operation": "GetLogEvents", "fault": {"refuse": {"status": 400, "code": "ThrottlingException"}}}]"#,
    );
    let text = stack.script(
        r#"
call = client("batch").describe_job_queues
print([refusal(call) for _ in range(5)])
print(refusal(client("logs").get_log_events, logGroupName="g", logStreamName="s"))
"#,
    );
    assert_eq!(
        text,
        "[(429, 'TooManyRequestsException'), 'ConnectionClosedError', (503, 'ServerException'), None, None]\n\
         (400, 'ThrottlingException')\n"
    );
    let calls = stack.history("call");
    let lost = calls.iter().find(|c| c["detail"]["fault"] == "lose_reply");
    assert_eq!(
        lost.expect("it is in the history")["detail"]["outcome"],
        "ok"
    );
}
