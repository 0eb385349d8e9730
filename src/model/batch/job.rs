//! What one SubmitJob call asks for.

use std::collections::BTreeMap;

use super::{Resources, overrides};

/// A job to submit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobRequest {
    /// Its name, as [`super::job_name()`] makes it.
    pub name: String,
    /// Queue: its name or ARN.
    pub queue: String,
    /// Job definition: the ARN of one revision.
    pub definition: String,
    /// `metaflow.user`, `metaflow.flow_name`, `metaflow.run_id`, …: upstream's `batch list` and
    /// `batch kill` read them (metaflow/plugins/aws/batch/batch.py, `_search_jobs`).
    pub parameters: BTreeMap<String, String>,
    /// Tags; empty without METAFLOW_BATCH_EMIT_TAGS.
    pub tags: BTreeMap<String, String>,
    /// Replaces the definition's command.
    pub command: Option<Vec<String>>,
    /// Variables, which win over the definition's.
    pub environment: Vec<(String, String)>,
    /// What it needs of a host.
    pub resources: Resources,
    /// `attemptDurationSeconds`, as [`super::TimeLimit`] makes it.
    pub timeout_seconds: i32,
    /// Its place in a queue with a scheduling policy; such a queue refuses jobs without one, and
    /// other queues refuse jobs with one.
    pub share: Option<Share>,
}

/// Place of a job in a queue that has a scheduling policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// `shareIdentifier`: letters and digits, at most 255.
    pub identifier: String,
    /// `schedulingPriorityOverride`, 0 to 9999.
    pub priority: Option<i32>,
}

impl Share {
    /// The share of a user: `FERROFLOW_BATCH_SHARE`, or the user's name.
    pub fn of(name: &str) -> Self {
        /// Batch API reference, SubmitJob.
        const MAX_LENGTH: usize = 255;
        let legal = name.chars().filter(char::is_ascii_alphanumeric);
        let identifier: String = legal.take(MAX_LENGTH).collect();
        Self {
            identifier: if identifier.is_empty() {
                "default".to_owned()
            } else {
                identifier
            },
            priority: None,
        }
    }
}

impl JobRequest {
    /// Characters that its overrides take of [`overrides::MAX_LENGTH`], estimated from above.
    pub fn override_length(&self) -> usize {
        let command = self.command.as_deref().unwrap_or_default();
        overrides::OWN_OF_BATCH + overrides::added_bytes(command, &self.environment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_alphanumeric() {
        assert_eq!(Share::of("jane.doe-1").identifier, "janedoe1");
        assert_eq!(Share::of("\u{e9}.").identifier, "default");
        assert_eq!(Share::of(&"x".repeat(300)).identifier.len(), 255);
    }
}
