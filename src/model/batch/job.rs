//! What one SubmitJob call asks for.

use std::{collections::BTreeMap, str::FromStr};

use super::Resources;

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
    /// `arrayProperties`: how many children it has, if it is an array job.
    pub array_size: Option<i32>,
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
    /// The longest identifier (Batch API reference, SubmitJob).
    const MAX_LENGTH: usize = 255;
    /// The highest priority (the same).
    const MAX_PRIORITY: i32 = 9_999;

    /// The share of a user.
    pub fn of(user: &str) -> Self {
        let legal = user.chars().filter(char::is_ascii_alphanumeric);
        let identifier: String = legal.take(Self::MAX_LENGTH).collect();
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

/// The text of [`variable::SHARE`] is not a share.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{name} is `{text}`\nhint: a share is letters and digits, at most 255, and may have a priority \
     from 0 to 9999 after a colon: `research` or `research:10`",
    name = variable::SHARE
)]
pub struct ShareError {
    text: String,
}

/// Environment variables of the launcher.
pub mod variable {
    /// The share of a run's jobs.
    pub const SHARE: &str = "FERROFLOW_BATCH_SHARE";
}

impl FromStr for Share {
    type Err = ShareError;

    /// `identifier` or `identifier:priority`.
    fn from_str(text: &str) -> Result<Self, ShareError> {
        let (identifier, priority) = match text.split_once(':') {
            Some((identifier, priority)) => (identifier, Some(priority.parse::<i32>())),
            None => (text, None),
        };
        let is_legal = |name: &str| {
            let alphanumeric = name.chars().all(|c| c.is_ascii_alphanumeric());
            (1..=Self::MAX_LENGTH).contains(&name.len()) && alphanumeric
        };
        match priority.transpose() {
            Ok(priority)
                if is_legal(identifier)
                    && priority.is_none_or(|p| (0..=Self::MAX_PRIORITY).contains(&p)) =>
            {
                Ok(Self {
                    identifier: identifier.to_owned(),
                    priority,
                })
            }
            _ => Err(ShareError {
                text: text.to_owned(),
            }),
        }
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

    #[test]
    fn a_share_may_be_named() {
        let share = |identifier: &str, priority| {
            Ok(Share {
                identifier: identifier.to_owned(),
                priority,
            })
        };
        assert_eq!("research".parse(), share("research", None));
        assert_eq!("a1:0".parse(), share("a1", Some(0)));
        assert_eq!("a1:9999".parse(), share("a1", Some(9_999)));
        let long = "x".repeat(256);
        for wrong in ["", "a b", "a:", "a:-1", "a:10000", "a:b", ":1", "a*", &long] {
            let text = wrong.to_owned();
            assert_eq!(wrong.parse::<Share>(), Err(ShareError { text }));
        }
    }
}
