//! What the launcher of a run keeps about it in the datastore, for `ferroflow status`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{FlowName, RunId, StepName, Timestamp, failure::Class};

/// The version of the record that is written here.
pub const RUN_RECORD_VERSION: u32 = 1;

/// Different reasons that are kept; more are counted under [`OTHER_REASONS`].
const MAX_REASONS: usize = 16;

/// Where reasons beyond the first [`MAX_REASONS`] are counted.
const OTHER_REASONS: &str = "other reasons";

/// Characters of a failure's text that are kept.
const MAX_TEXT: usize = 1_000;

/// One run as its launcher sees it. Written when the run begins, now and then, and at its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRecord {
    /// [`RUN_RECORD_VERSION`] of the writer.
    pub version: u32,
    /// The flow.
    pub flow: FlowName,
    /// The run.
    pub run: RunId,
    /// How the run stands.
    pub state: RunState,
    /// When the engine took the run over.
    pub began_at: Timestamp,
    /// When this was written; after the end, the end.
    pub written_at: Timestamp,
    /// Who launches it.
    pub launcher: Launcher,
    /// Attempts by the place where they were started.
    pub attempts: AttemptCounts,
    /// Why attempts got fresh interpreters, and how many.
    pub fresh_because: BTreeMap<String, u64>,
    /// Steps that have begun, in that order. Records of older versions have none.
    #[serde(default)]
    pub steps: Vec<StepRecord>,
    /// Attempts on AWS Batch that failed, by step and cause. Records of older versions have none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<FailureRecord>,
    /// Calls of AWS Batch by action, as far as there are any.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub batch_calls: BTreeMap<String, ApiCalls>,
}

/// How a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// Its launcher has not told of an end.
    Running,
    /// All its tasks have succeeded.
    Done,
    /// A task, or the launcher, has failed.
    Failed,
    /// A signal has ended it.
    Interrupted,
}

impl RunState {
    /// In a word, as it is shown and stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
        }
    }
}

/// The process that launches a run, and what it is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Launcher {
    /// Name of the machine.
    pub host: String,
    /// Process id of the engine there.
    pub pid: u32,
    /// Version of Ferroflow.
    pub ferroflow: String,
    /// Version of Metaflow.
    pub metaflow: String,
    /// Version of Python in which the flow was loaded.
    pub python: String,
}

/// Started attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AttemptCounts {
    /// Forks of a process that had loaded the flow.
    pub forked: u64,
    /// Fresh interpreters on the launcher's machine.
    pub fresh: u64,
    /// Command lines of decorators that Ferroflow does not know, on the launcher's machine.
    pub foreign: u64,
    /// Launches on AWS Batch.
    pub batch: u64,
}

/// How far a step is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepRecord {
    /// The step.
    pub step: StepName,
    /// Tasks that were ready to run.
    pub tasks: u64,
    /// Attempts that were launched.
    pub started: u64,
    /// Attempts that ended well.
    pub succeeded: u64,
    /// Attempts that ended otherwise.
    pub failed: u64,
}

/// Failed attempts of a step that had the same sort of cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureRecord {
    /// The step.
    pub step: StepName,
    /// The class, as [`crate::failure::Class`] is shown.
    pub class: String,
    /// How many.
    pub count: u64,
    /// Of the last one: what was told about it, in one line.
    pub text: String,
}

/// Calls of one action of an AWS API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ApiCalls {
    /// All that had an end.
    pub calls: u64,
    /// Of these, those that the service has throttled.
    pub throttled: u64,
    /// Calls that were made because an earlier one had failed.
    pub retried: u64,
    /// So many were allowed in a minute after the last of them.
    pub allowed_per_minute: u64,
}

impl RunRecord {
    /// The record of a run of which nothing has been launched.
    pub fn begun(flow: FlowName, run: RunId, launcher: Launcher, at: Timestamp) -> Self {
        Self {
            version: RUN_RECORD_VERSION,
            flow,
            run,
            state: RunState::Running,
            began_at: at,
            written_at: at,
            launcher,
            attempts: AttemptCounts::default(),
            fresh_because: BTreeMap::new(),
            steps: Vec::new(),
            failures: Vec::new(),
            batch_calls: BTreeMap::new(),
        }
    }

    /// Counts a failed attempt. There are as many different ones as steps and classes, at most.
    pub fn count_failure(&mut self, step: &StepName, class: Class, text: &str) {
        let class = class.to_string();
        let text: String = text.chars().take(MAX_TEXT).collect();
        let known = self.failures.iter_mut();
        let mut same = known.filter(|known| known.step == *step && known.class == class);
        if let Some(known) = same.next() {
            known.count += 1;
            known.text = text;
            return;
        }
        self.failures.push(FailureRecord {
            step: step.clone(),
            class,
            count: 1,
            text,
        });
    }

    /// Counts an attempt with a fresh interpreter.
    pub fn count_fresh(&mut self, reason: &str) {
        self.attempts.fresh += 1;
        let known = self.fresh_because.contains_key(reason);
        let reason = if known || self.fresh_because.len() < MAX_REASONS {
            reason
        } else {
            OTHER_REASONS
        };
        *self.fresh_because.entry(reason.to_owned()).or_default() += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_bounded() {
        let launcher = Launcher {
            host: String::new(),
            pid: 1,
            ferroflow: String::new(),
            metaflow: String::new(),
            python: String::new(),
        };
        let (flow, run) = (FlowName::new("F").unwrap(), RunId::new("1").unwrap());
        let mut record = RunRecord::begun(flow, run, launcher, Timestamp(0));
        for number in 0..100 {
            record.count_fresh(&format!("reason {number}"));
        }
        record.count_fresh("reason 0");
        assert_eq!(record.attempts.fresh, 101);
        assert_eq!(record.fresh_because.len(), MAX_REASONS + 1);
        assert_eq!(record.fresh_because["reason 0"], 2);
        assert_eq!(record.fresh_because[OTHER_REASONS], 84);
    }

    #[test]
    fn failures_are_counted_by_step_and_class() {
        let text = r#"{"version": 1, "flow": "F", "run": "1", "state": "done", "began_at": 1, "written_at": 2,
            "launcher": {"host": "h", "pid": 3, "ferroflow": "f", "metaflow": "m", "python": "p"},
            "attempts": {"forked": 1, "fresh": 0, "foreign": 0, "batch": 0}, "fresh_because": {}}"#;
        let mut record: RunRecord = serde_json::from_str(text).unwrap();
        let (one, other) = (StepName::new("a").unwrap(), StepName::new("b").unwrap());
        record.count_failure(&one, Class::HostLost, "first");
        record.count_failure(&other, Class::HostLost, "second");
        record.count_failure(&one, Class::OutOfMemory, "third");
        record.count_failure(&one, Class::HostLost, &"x".repeat(2 * MAX_TEXT));
        let told: Vec<_> = record
            .failures
            .iter()
            .map(|f| (f.step.as_str(), f.class.as_str(), f.count, f.text.len()))
            .collect();
        assert_eq!(
            told,
            [
                ("a", "host lost", 2, MAX_TEXT),
                ("b", "host lost", 1, 6),
                ("a", "out of memory", 1, 5),
            ]
        );
        let again: RunRecord =
            serde_json::from_str(&serde_json::to_string(&record).unwrap()).unwrap();
        assert_eq!(again, record);
    }

    #[test]
    fn a_record_without_steps_is_read() {
        let text = r#"{"version": 1, "flow": "F", "run": "1", "state": "done", "began_at": 1, "written_at": 2,
            "launcher": {"host": "h", "pid": 3, "ferroflow": "f", "metaflow": "m", "python": "p"},
            "attempts": {"forked": 1, "fresh": 0, "foreign": 0, "batch": 0}, "fresh_because": {}}"#;
        let record: RunRecord = serde_json::from_str(text).unwrap();
        assert_eq!((record.state, record.steps), (RunState::Done, Vec::new()));
        assert!(record.batch_calls.is_empty());
    }
}
