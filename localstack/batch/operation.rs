//! Paths of the REST-JSON protocol.

use serde_json::{Map, Value};

use super::Batch;

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
