//! ListJobs.

use serde_json::{Value, json};

use super::{
    describe_jobs::ending,
    job::{Body, Job, JobStatus, Submission},
    request::{Request, text_of, token},
    service::Shared,
    state::State,
};
use crate::{ApiError, Reply};

/// Jobs in an answer with `filters`, and without (API reference, ListJobs).
const MAX_FILTERED: usize = 100;
const MAX_LISTED: usize = 1000;

/// What a listing shows.
enum Which {
    Status(JobStatus),
    /// `JOB_NAME`, in any case, a star at the end.
    Name(String),
    Definition(String),
    Before(i64),
    After(i64),
    Share(String, JobStatus),
}

impl Shared {
    /// Jobs of a queue, newest first, or children of an array, by index.
    pub(super) fn list_jobs(&self, request: &Request) -> Reply {
        let which = which(request)?;
        let filtered = !request.list("filters").is_empty();
        let (size, start) = request.page(if filtered { MAX_FILTERED } else { MAX_LISTED })?;
        let given = ["jobQueue", "arrayJobId", "multiNodeJobId"].map(|name| request.text(name));
        let core = self.core();
        let state = core.told(&self.context, request);
        let (jobs, next) = match given {
            [Some(queue), None, None] => {
                let Some(queue) = self.queue(&core.state, queue) else {
                    return Err(ApiError::client(format!("JobQueue {queue} not found.")));
                };
                self.of_queue(state, &queue.name, &which, size, start)
            }
            [None, Some(id), None] => {
                let key = state
                    .key(id)
                    .and_then(|key| state.submission(key.submission));
                match key.map(|submission| (submission, &submission.body)) {
                    Some((submission, Body::Array { children, .. })) => {
                        self.of_array(submission, children, &which, size, start)
                    }
                    _ => (Vec::new(), None),
                }
            }
            [None, None, Some(_)] => (Vec::new(), None),
            _ => {
                return Err(ApiError::client(
                    "Exactly one of jobQueue, arrayJobId and multiNodeJobId must be specified.",
                ));
            }
        };
        let mut answer = json!({"jobSummaryList": jobs});
        if let Some(next) = next {
            answer["nextToken"] = token(next).into();
        }
        Ok(answer)
    }

    fn of_queue(
        &self,
        state: &State,
        queue: &str,
        which: &Which,
        size: usize,
        start: Option<u64>,
    ) -> (Vec<Value>, Option<u64>) {
        let mut jobs = Vec::new();
        let newest_first = state.submissions.range(..=start.unwrap_or(u64::MAX)).rev();
        for (number, submission) in newest_first {
            let job = submission.whole();
            if submission.spec.queue != queue || !self.shows(which, submission, job) {
                continue;
            }
            if jobs.len() == size {
                return (jobs, Some(*number));
            }
            jobs.push(self.summary(submission, None, job));
        }
        (jobs, None)
    }

    fn of_array(
        &self,
        submission: &Submission,
        children: &[Job],
        which: &Which,
        size: usize,
        start: Option<u64>,
    ) -> (Vec<Value>, Option<u64>) {
        let mut jobs = Vec::new();
        for (index, child) in (0..).zip(children).skip(start.unwrap_or(0) as usize) {
            // Filters are for jobs, not for children.
            if matches!(which, Which::Status(status) if *status != child.status()) {
                continue;
            }
            if jobs.len() == size {
                return (jobs, Some(u64::from(index)));
            }
            jobs.push(self.summary(submission, Some(index), child));
        }
        (jobs, None)
    }

    fn summary(&self, submission: &Submission, index: Option<u32>, job: &Job) -> Value {
        let mut all = self.common(submission, index, job);
        let ending = job.attempts.last().map(ending).unwrap_or_default();
        if !ending.is_empty() {
            all.insert("container".to_owned(), ending.into());
        }
        if let Some(share) = &submission.spec.share {
            all.insert("shareIdentifier".to_owned(), share.clone().into());
        }
        all.into()
    }

    fn shows(&self, which: &Which, submission: &Submission, job: &Job) -> bool {
        let spec = &submission.spec;
        match which {
            Which::Status(status) => job.status() == *status,
            Which::Name(pattern) => star(&pattern.to_lowercase(), &spec.name.to_lowercase()),
            Which::Definition(pattern) if pattern.starts_with("arn:") => {
                *pattern == self.definition_arn(&spec.definition)
            }
            Which::Definition(pattern) => star(pattern, &spec.definition.name),
            Which::Before(at) => job.created_at < *at,
            Which::After(at) => job.created_at > *at,
            Which::Share(share, status) => {
                spec.share.as_ref() == Some(share) && job.status() == *status
            }
        }
    }
}

fn star(pattern: &str, text: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => text.starts_with(start),
        None => pattern == text,
    }
}

fn which(request: &Request) -> Result<Which, ApiError> {
    let status = request.text("jobStatus").and_then(JobStatus::from_name);
    let status = status.unwrap_or(JobStatus::Running);
    let filter = match request.list("filters") {
        [] => return Ok(Which::Status(status)),
        [filter] => filter,
        _ => return Err(ApiError::client("Only one filter can be specified.")),
    };
    let values = filter
        .get("values")
        .and_then(Value::as_array)
        .map_or(&[][..], Vec::as_slice);
    let Some(value) = values.first().and_then(Value::as_str).map(str::to_owned) else {
        return Err(ApiError::client("A filter needs a value."));
    };
    let time = || {
        value
            .parse::<i64>()
            .map_err(|_| ApiError::client(format!("'{value}' is no time in milliseconds.")))
    };
    match text_of(filter, "name").unwrap_or_default() {
        "JOB_NAME" => Ok(Which::Name(value)),
        "JOB_DEFINITION" => Ok(Which::Definition(value)),
        "BEFORE_CREATED_AT" => Ok(Which::Before(time()?)),
        "AFTER_CREATED_AT" => Ok(Which::After(time()?)),
        "SHARE_IDENTIFIER" => Ok(Which::Share(value, status)),
        other => Err(ApiError::client(format!(
            "'{other}' is no filter of ListJobs."
        ))),
    }
}
