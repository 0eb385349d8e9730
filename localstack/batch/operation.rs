//! Paths of the REST-JSON protocol.

use serde_json::{Map, Value, json};

use super::{Batch, request::Request, service::Shared};
use crate::{ApiError, Reply, faults::Fault};

/// Operations whose path is their name in lower case below `/v1/` (service model batch/2016-08-10).
const POSTED: [&str; 24] = [
    "CancelJob",
    "CancelJobs",
    "CreateComputeEnvironment",
    "CreateJobQueue",
    "CreateSchedulingPolicy",
    "DeleteComputeEnvironment",
    "DeleteJobQueue",
    "DeleteSchedulingPolicy",
    "DeregisterJobDefinition",
    "DescribeComputeEnvironments",
    "DescribeJobDefinitions",
    "DescribeJobQueues",
    "DescribeJobs",
    "DescribeSchedulingPolicies",
    "GetJobQueueSnapshot",
    "ListJobs",
    "ListSchedulingPolicies",
    "RegisterJobDefinition",
    "SubmitJob",
    "TerminateJob",
    "TerminateJobs",
    "UpdateComputeEnvironment",
    "UpdateJobQueue",
    "UpdateSchedulingPolicy",
];

/// Operations of `/v1/tags/{arn}`.
const TAGS: [&str; 3] = ["ListTagsForResource", "TagResource", "UntagResource"];

/// Whether there is such an operation, in AWS's spelling.
pub(crate) fn has_operation(name: &str) -> bool {
    POSTED.contains(&name) || TAGS.contains(&name)
}

impl Batch {
    /// The operation of a request line. For tags, which have their ARN in the path, the body comes from
    /// [`Batch::tag_body`].
    pub fn operation(method: &str, path: &str) -> Option<&'static str> {
        let rest = path.strip_prefix("/v1/")?;
        if rest.starts_with("tags/") {
            return match method {
                "GET" => Some("ListTagsForResource"),
                "POST" => Some("TagResource"),
                "DELETE" => Some("UntagResource"),
                _ => None,
            };
        }
        let mut posted = POSTED.into_iter();
        posted.find(|name| method == "POST" && name.eq_ignore_ascii_case(rest))
    }

    /// Refuses operations that there are not.
    pub(super) fn check_known(operation: &str) -> Result<(), ApiError> {
        if has_operation(operation) {
            return Ok(());
        }
        Err(unknown(operation))
    }

    /// The body of a tag operation for [`Batch::call`]: what the request has in its path (`resourceArn`), its query string
    /// (`tagKeys`) and its body (`tags`), as one object. Nothing if the body is no JSON object.
    pub fn tag_body(path: &str, query: &str, body: &[u8]) -> Option<Vec<u8>> {
        let mut all: Map<String, Value> = match body {
            [] => Map::new(),
            body => serde_json::from_slice(body).ok()?,
        };
        let arn = decoded(path.strip_prefix("/v1/tags/")?);
        all.insert("resourceArn".to_owned(), arn.into());
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let keys: Vec<Value> = pairs
            .filter(|(name, _)| *name == "tagKeys")
            .map(|(_, key)| decoded(key).into())
            .collect();
        if !keys.is_empty() {
            all.insert("tagKeys".to_owned(), keys.into());
        }
        serde_json::to_vec(&all).ok()
    }
}

impl Shared {
    /// Carries out an operation. `length` is that of the request, in bytes.
    pub(super) fn call(&self, operation: &str, request: &Request, length: usize) -> Reply {
        if request.fault == Some(Fault::NoEffect) {
            return Ok(as_if_done(operation, request));
        }
        match operation {
            "SubmitJob" => self.submit_job(request, length),
            "DescribeJobs" => self.describe_jobs(request),
            "ListJobs" => self.list_jobs(request),
            "TerminateJob" => self.terminate_job(request),
            "TerminateJobs" => self.terminate_jobs(request),
            "CancelJob" => self.cancel_job(request),
            "CancelJobs" => self.cancel_jobs(request),
            "RegisterJobDefinition" => self.register_job_definition(request, length),
            "DescribeJobDefinitions" => self.describe_job_definitions(request),
            "DeregisterJobDefinition" => self.deregister_job_definition(request),
            "CreateJobQueue" => self.create_job_queue(request),
            "DescribeJobQueues" => self.describe_job_queues(request),
            "UpdateJobQueue" => self.update_job_queue(request),
            "DeleteJobQueue" => self.delete_job_queue(request),
            "GetJobQueueSnapshot" => self.get_job_queue_snapshot(request),
            "CreateComputeEnvironment" => self.create_compute_environment(request),
            "DescribeComputeEnvironments" => self.describe_compute_environments(request),
            "UpdateComputeEnvironment" => self.update_compute_environment(request),
            "DeleteComputeEnvironment" => self.delete_compute_environment(request),
            "CreateSchedulingPolicy" => self.create_scheduling_policy(request),
            "DescribeSchedulingPolicies" => self.describe_scheduling_policies(request),
            "ListSchedulingPolicies" => self.list_scheduling_policies(request),
            "UpdateSchedulingPolicy" => self.update_scheduling_policy(request),
            "DeleteSchedulingPolicy" => self.delete_scheduling_policy(request),
            "ListTagsForResource" => self.list_tags_for_resource(request),
            "TagResource" => self.tag_resource(request),
            "UntagResource" => self.untag_resource(request),
            _ => Err(unknown(operation)),
        }
    }
}

/// The answer of an operation that ends jobs, where a fault keeps it from doing so.
fn as_if_done(operation: &str, request: &Request) -> Value {
    match operation {
        "TerminateJobs" | "CancelJobs" => {
            json!({"successful": request.texts("jobs"), "errors": []})
        }
        _ => json!({}),
    }
}

fn unknown(operation: &str) -> ApiError {
    ApiError {
        status: 404,
        code: "UnknownOperationException",
        message: format!("the embedded stack has no {operation} of AWS Batch"),
    }
}

/// Text without its percent escapes.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let escape = tail.get(..2).and_then(|digits| hex::decode(digits).ok());
        if let (b'%', Some(byte)) = (*first, escape) {
            bytes.extend(byte);
            rest = &tail[2..];
        } else {
            bytes.push(if *first == b'+' { b' ' } else { *first });
            rest = tail;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_to_operations() {
        assert_eq!(Batch::operation("POST", "/v1/submitjob"), Some("SubmitJob"));
        assert_eq!(Batch::operation("GET", "/v1/submitjob"), None);
        assert_eq!(Batch::operation("POST", "/v1/nothing"), None);
        assert_eq!(
            Batch::operation("DELETE", "/v1/tags/arn"),
            Some("UntagResource")
        );
        let body = Batch::tag_body("/v1/tags/arn%3Aaws%2Fx", "tagKeys=a&tagKeys=b%20c", b"");
        let body: Value = serde_json::from_slice(&body.unwrap()).unwrap();
        let expected = serde_json::json!({"resourceArn": "arn:aws/x", "tagKeys": ["a", "b c"]});
        assert_eq!(body, expected);
    }
}
