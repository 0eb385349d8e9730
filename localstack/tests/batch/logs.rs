//! CloudWatch Logs.

use serde_json::{Value, json};

use crate::stack::Stack;

#[tokio::test]
async fn lines_can_be_read_while_the_job_runs() {
    let stack = Stack::new();
    stack
        .define(
            "job",
            "for i in 1 2 3 4 5; do echo line $i; done; exec sleep 100",
        )
        .await;
    let id = stack.submit("job", json!({})).await;
    let job = stack.until_status(&id, "RUNNING").await;
    let stream = job["container"]["logStreamName"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(stream.starts_with("job/default/"), "{stream}");
    let task = job["container"]["taskArn"].as_str().unwrap();
    assert!(task.ends_with(stream.rsplit('/').next().unwrap()), "{task}");
    while stack.printed(&job).await.len() < 5 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let page = async |more: Value| {
        let mut request =
            json!({"logGroupName": "/aws/batch/job", "logStreamName": stream, "limit": 2});
        request
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let reply = stack
            .logs
            .call("GetLogEvents", request.to_string().as_bytes())
            .await
            .unwrap();
        let events = reply["events"].as_array().unwrap().iter();
        let texts: Vec<String> = events
            .map(|event| event["message"].as_str().unwrap().to_owned())
            .collect();
        (texts, reply)
    };
    let (texts, newest) = page(json!({})).await;
    assert_eq!(texts, ["line 4", "line 5"]);
    assert_eq!(
        page(json!({"nextToken": newest["nextBackwardToken"]}))
            .await
            .0,
        ["line 2", "line 3"]
    );
    let (texts, oldest) = page(json!({"startFromHead": true})).await;
    assert_eq!(texts, ["line 1", "line 2"]);
    assert_eq!(
        page(json!({"nextToken": oldest["nextForwardToken"]}))
            .await
            .0,
        ["line 3", "line 4"]
    );
    let (texts, end) = page(json!({"nextToken": newest["nextForwardToken"]})).await;
    assert!(texts.is_empty());
    assert_eq!(end["nextForwardToken"], newest["nextForwardToken"]);
    stack
        .ok("TerminateJob", json!({"jobId": id, "reason": "x"}))
        .await;
    stack.ended(&id).await;
}

#[tokio::test]
async fn streams_and_groups_are_listed_and_what_is_absent_is_refused() {
    let stack = Stack::new();
    let job = stack.run("echo one two; echo three", json!({})).await;
    let call = async |operation: &str, request: Value| {
        stack
            .logs
            .call(operation, request.to_string().as_bytes())
            .await
    };
    let groups = call("DescribeLogGroups", json!({})).await.unwrap();
    assert_eq!(groups["logGroups"][0]["logGroupName"], "/aws/batch/job");
    let group = json!({"logGroupName": "/aws/batch/job"});
    let streams = call("DescribeLogStreams", group.clone()).await.unwrap();
    assert_eq!(
        streams["logStreams"][0]["logStreamName"],
        job["container"]["logStreamName"]
    );
    let mut filter = group.clone();
    filter["filterPattern"] = "two one".into();
    let found = call("FilterLogEvents", filter).await.unwrap();
    assert_eq!(found["events"].as_array().unwrap().len(), 1);
    let mut absent = group;
    for name in ["x/default/y", "../default/y"] {
        absent["logStreamName"] = name.into();
        let error = call("GetLogEvents", absent.clone()).await.unwrap_err();
        assert_eq!(
            (error.code, error.message.as_str()),
            (
                "ResourceNotFoundException",
                "The specified log stream does not exist."
            )
        );
    }
    absent["logGroupName"] = "/other".into();
    let error = call("GetLogEvents", absent).await.unwrap_err();
    assert_eq!(error.message, "The specified log group does not exist.");
}
