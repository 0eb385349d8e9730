//! What is to go wrong, chosen by operation, number of the call, job name and array index. The server asks before each
//! call; the Batch service asks when it starts a job.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use serde::Deserialize;

/// A rule. It fires on the calls number `nth` to `nth + times - 1` that match it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct Rule {
    /// Operation in AWS's spelling (`SubmitJob`, `PutObject`), or `StartJob` for what happens to a job.
    pub operation: String,
    /// Only where the subject (job name, object key, job id) contains this text.
    #[serde(default)]
    pub subject: Option<String>,
    /// Only this child of an array.
    #[serde(default)]
    pub index: Option<u32>,
    /// The first matching call that it fires on, counted from 1.
    #[serde(default = "one")]
    pub nth: u64,
    /// On how many calls it fires.
    #[serde(default = "one")]
    pub times: u64,
    /// What happens.
    pub fault: Fault,
}

fn one() -> u64 {
    1
}

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Fault {
    /// An error instead of the call.
    Refuse {
        /// HTTP status.
        status: u16,
        /// AWS's name, e.g. `TooManyRequestsException`.
        code: String,
    },
    /// The call has its effect, and the answer is an error.
    RefuseAfterEffect {
        /// HTTP status.
        status: u16,
        /// AWS's name.
        code: String,
    },
    /// The call has its effect, and the connection is closed without an answer.
    LoseReply,
    /// The call is carried out that much later.
    Delay(#[serde(deserialize_with = "seconds")] Duration),
    /// `StartJob`: the job's process is started twice, at the same time.
    StartTwice,
    /// `StartJob`: the job is called SUCCEEDED without having been started.
    SucceedWithoutRunning,
    /// `StartJob`: the process runs to its end, then the job is called FAILED with this status reason.
    FailAfterSuccess(String),
    /// `StartJob`: the host is lost after so many seconds, the process with it.
    LoseHost(#[serde(deserialize_with = "seconds")] Duration),
    /// `StartJob`: FAILED with these reasons without having been started.
    FailToStart {
        /// Of the job.
        status_reason: String,
        /// Of its container.
        #[serde(default)]
        reason: Option<String>,
    },
}

/// Marks a response that is not to be sent: where a service leaves [`Fault::LoseReply`] to the server, the server finds this
/// among the response's extensions and closes the connection.
#[derive(Debug, Clone, Copy)]
pub struct LoseReply;

fn seconds<'de, D: serde::Deserializer<'de>>(input: D) -> Result<Duration, D::Error> {
    let seconds = f64::deserialize(input)?;
    Duration::try_from_secs_f64(seconds).map_err(serde::de::Error::custom)
}

/// The rules of a stack, with how often each has matched.
#[derive(Debug, Default)]
pub struct Faults {
    rules: Mutex<Vec<(Rule, u64)>>,
}

impl Faults {
    /// Rules in order; the first that fires wins.
    pub fn new(rules: Vec<Rule>) -> Self {
        let rules = Mutex::new(rules.into_iter().map(|rule| (rule, 0)).collect());
        Self { rules }
    }

    /// Counts a call and says what happens to it.
    pub fn of_call(&self, operation: &str, subject: &str, index: Option<u32>) -> Option<Fault> {
        let mut rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found = None;
        for (rule, seen) in rules
            .iter_mut()
            .filter(|(rule, _)| rule.matches(operation, subject, index))
        {
            *seen += 1;
            if found.is_none() && (rule.nth..rule.nth.saturating_add(rule.times)).contains(seen) {
                found = Some(rule.fault.clone());
            }
        }
        found
    }
}

impl Rule {
    fn matches(&self, operation: &str, subject: &str, index: Option<u32>) -> bool {
        self.operation == operation
            && self
                .subject
                .as_ref()
                .is_none_or(|part| subject.contains(part.as_str()))
            && (self.index.is_none() || self.index == index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_fires_on_the_calls_it_names() {
        let rules = r#"[{"operation": "SubmitJob", "subject": "-work-", "nth": 2, "times": 2, "fault": "lose_reply"},
                        {"operation": "StartJob", "index": 3, "fault": {"lose_host": 0.5}}]"#;
        let faults = Faults::new(serde_json::from_str(rules).unwrap());
        let call = || faults.of_call("SubmitJob", "u-work-1", None);
        assert_eq!(
            [call(), call(), call(), call()],
            [None, Some(Fault::LoseReply), Some(Fault::LoseReply), None]
        );
        assert_eq!(faults.of_call("SubmitJob", "u-other-1", None), None);
        assert_eq!(faults.of_call("StartJob", "x", Some(2)), None);
        let lost = Some(Fault::LoseHost(Duration::from_millis(500)));
        assert_eq!(faults.of_call("StartJob", "x", Some(3)), lost);
    }
}
