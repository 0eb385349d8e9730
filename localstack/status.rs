//! How many jobs each queue has, by status.

use serde_json::{Map, Value, json};

use crate::batch::Batch;

/// Statuses of jobs that have not ended (service model batch/2016-08-10, `JobStatus`).
const LIVE: [&str; 5] = ["SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING"];

/// `{"queues": {"<name>": {"RUNNING": 2, …}}}`, with the statuses that some job has.
pub(crate) async fn counts(batch: &Batch) -> Value {
    let mut queues = Map::new();
    for queue in queue_names(batch).await {
        let mut counts = Map::new();
        for status in LIVE {
            let count = jobs(batch, &queue, status).await;
            if count > 0 {
                counts.insert(status.to_owned(), count.into());
            }
        }
        queues.insert(queue, counts.into());
    }
    json!({ "queues": queues })
}

async fn queue_names(batch: &Batch) -> Vec<String> {
    let answer = batch.call("DescribeJobQueues", b"{}").await;
    let answer = answer.unwrap_or_default();
    let queues = answer["jobQueues"].as_array();
    let names = queues.into_iter().flatten();
    names
        .filter_map(|queue| queue["jobQueueName"].as_str().map(str::to_owned))
        .collect()
}

async fn jobs(batch: &Batch, queue: &str, status: &str) -> usize {
    let mut question = json!({"jobQueue": queue, "jobStatus": status});
    let mut count = 0;
    loop {
        let answer = batch
            .call("ListJobs", question.to_string().as_bytes())
            .await;
        let answer = answer.unwrap_or_default();
        count += answer["jobSummaryList"].as_array().map_or(0, Vec::len);
        let next = &answer["nextToken"];
        if !next.is_string() {
            return count;
        }
        question["nextToken"] = next.clone();
    }
}
