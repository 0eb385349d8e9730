//! GetJobQueueSnapshot.

use serde_json::{Value, json};

use super::{job::Phase, request::Request, service::Shared};
use crate::{ApiError, Reply};

/// API reference, FrontOfQueueDetail.
const MAX_JOBS: usize = 100;

impl Shared {
    /// The jobs at the front of a queue, and what its jobs take.
    pub(super) fn get_job_queue_snapshot(&self, request: &Request) -> Reply {
        let asked = request.required("jobQueue");
        let core = self.core();
        let state = &core.state;
        let Some(queue) = self.queue(state, asked) else {
            return Err(ApiError::client(format!("JobQueue {asked} not found.")));
        };
        let waiting = queue.runnable.iter().filter_map(|key| {
            let submission = state.submission(key.submission)?;
            let job = submission
                .job(key.index)
                .filter(|job| job.phase == Phase::Runnable)?;
            let arn = self.job_arn(&submission.id(key.index));
            Some(json!({"jobArn": arn, "earliestTimeAtPosition": job.created_at}))
        });
        let waiting: Vec<Value> = waiting.take(MAX_JOBS).collect();
        let of_queue = state.placed.keys().filter(|key| {
            let submission = state.submission(key.submission);
            submission.is_some_and(|submission| submission.spec.queue == queue.name)
        });
        let used: u64 = of_queue.map(|key| state.needs(*key).milli_vcpus).sum();
        let now = self.context.clock.now_ms();
        Ok(json!({
            "frontOfQueue": {"jobs": waiting, "lastUpdatedAt": now},
            "queueUtilization": {
                "totalCapacityUsage": [{"capacityUnit": "VCPU", "quantity": used as f64 / 1000.0}],
                "lastUpdatedAt": now,
            },
        }))
    }
}
