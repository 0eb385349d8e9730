//! A rule: what goes wrong when.

use serde::Deserialize;

use super::{chance::Chance, fault::Fault};
use crate::{batch, logs, s3};

/// The operation of rules about what happens to a job.
pub const START_JOB: &str = "StartJob";
/// All operations that are calls.
const ANY: &str = "*";

/// A rule. It fires on the matches number `nth` to `nth + times - 1`; with a probability, on some of them.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "Written")]
pub struct Rule {
    /// Operation in AWS's spelling (`SubmitJob`, `PutObject`), `*` for any call, [`START_JOB`] for what happens to a job.
    pub operation: String,
    /// Only where the subject (job name, object key, job id) contains this text.
    pub subject: Option<String>,
    /// Only this child of an array.
    pub index: Option<u32>,
    /// Only calls of clients whose access key id, user agent, application id or job id contains this text.
    pub client: Option<String>,
    /// The first match that it fires on, counted from 1.
    pub nth: u64,
    /// How many matches it can fire on; 1 unless there is a probability.
    pub times: u64,
    /// How often it fires at most on one subject. All jobs of a task of Ferroflow's are one subject.
    pub at_most_per_subject: Option<u64>,
    /// What happens.
    pub fault: Fault,
    pub(super) chance: Option<Chance>,
}

/// A rule as it stands in a file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
struct Written {
    operation: String,
    subject: Option<String>,
    index: Option<u32>,
    client: Option<String>,
    nth: Option<u64>,
    times: Option<u64>,
    probability: Option<f64>,
    seed: Option<u64>,
    at_most_per_subject: Option<u64>,
    fault: Fault,
}

/// A rule that could never do what it says.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RuleError {
    /// No such operation.
    #[error("the stack has no operation `{0}`")]
    Operation(String),
    /// The fault is for other operations.
    #[error("a fault of {fault} cannot be done to {operation}")]
    Fault {
        /// As in the file.
        fault: String,
        /// Of the rule.
        operation: String,
    },
    /// Matches are counted from 1, and a rule fires at least once.
    #[error("`{0}` is at least 1")]
    Zero(&'static str),
    /// Not a part of all.
    #[error("`probability` is greater than 0 and at most 1")]
    Probability,
    /// Without a probability a seed decides nothing.
    #[error("`seed` is for rules with a `probability`")]
    Seed,
    /// A call has no index, and a job that starts has no client.
    #[error("`{member}` says nothing where the operation is {operation}")]
    Pointless {
        /// Of the rule.
        member: &'static str,
        /// Of the rule.
        operation: String,
    },
}

impl TryFrom<Written> for Rule {
    type Error = RuleError;

    fn try_from(written: Written) -> Result<Self, RuleError> {
        let operation = written.operation;
        let is_start = operation == START_JOB;
        if !is_start && operation != ANY && !is_operation(&operation) {
            return Err(RuleError::Operation(operation));
        }
        if !written.fault.scope().has(&operation) {
            let fault = serde_json::to_string(&written.fault).unwrap_or_default();
            return Err(RuleError::Fault { fault, operation });
        }
        for (member, value) in [
            ("nth", written.nth),
            ("times", written.times),
            ("at_most_per_subject", written.at_most_per_subject),
        ] {
            if value == Some(0) {
                return Err(RuleError::Zero(member));
            }
        }
        for (member, pointless) in [
            ("index", written.index.is_some() && !is_start),
            ("client", written.client.is_some() && is_start),
        ] {
            if pointless {
                return Err(RuleError::Pointless { member, operation });
            }
        }
        let chance = match (written.probability, written.seed) {
            (None, None) => None,
            (None, Some(_)) => return Err(RuleError::Seed),
            (Some(probability), seed) if probability > 0.0 && probability <= 1.0 => Some(Chance {
                probability,
                seed: seed.unwrap_or(0),
            }),
            (Some(_), _) => return Err(RuleError::Probability),
        };
        let usual_times = if chance.is_some() { u64::MAX } else { 1 };
        Ok(Self {
            operation,
            subject: written.subject,
            index: written.index,
            client: written.client,
            nth: written.nth.unwrap_or(1),
            times: written.times.unwrap_or(usual_times),
            at_most_per_subject: written.at_most_per_subject,
            fault: written.fault,
            chance,
        })
    }
}

fn is_operation(name: &str) -> bool {
    batch::has_operation(name) || logs::has_operation(name) || s3::has_operation(name)
}

impl Rule {
    pub(super) fn is_about(&self, operation: &str) -> bool {
        self.operation == operation || (self.operation == ANY && operation != START_JOB)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(rule: &str) -> String {
        serde_json::from_str::<Rule>(rule).unwrap_err().to_string()
    }

    #[test]
    fn rules_that_can_never_fire_are_refused() {
        for (rule, why) in [
            (
                r#"{"operation": "SubmitJobs", "fault": "lose_reply"}"#,
                "the stack has no operation `SubmitJobs`",
            ),
            (
                r#"{"operation": "SubmitJob", "fault": "start_twice"}"#,
                r#"a fault of "start_twice" cannot be done to SubmitJob"#,
            ),
            (
                r#"{"operation": "StartJob", "fault": "lose_reply"}"#,
                r#"a fault of "lose_reply" cannot be done to StartJob"#,
            ),
            (
                r#"{"operation": "PutObject", "fault": {"as_of": 3}}"#,
                r#"a fault of {"as_of":3.0} cannot be done to PutObject"#,
            ),
            (
                r#"{"operation": "PutObject", "nth": 0, "fault": "lose_reply"}"#,
                "`nth` is at least 1",
            ),
            (
                r#"{"operation": "PutObject", "probability": 1.5, "fault": "lose_reply"}"#,
                "`probability` is greater than 0 and at most 1",
            ),
            (
                r#"{"operation": "PutObject", "seed": 1, "fault": "lose_reply"}"#,
                "`seed` is for rules with a `probability`",
            ),
            (
                r#"{"operation": "PutObject", "index": 1, "fault": "lose_reply"}"#,
                "`index` says nothing where the operation is PutObject",
            ),
            (
                r#"{"operation": "StartJob", "client": "x", "fault": "start_twice"}"#,
                "`client` says nothing where the operation is StartJob",
            ),
            (
                r#"{"operation": "StartJob", "fault": {"lose_host": -1}}"#,
                "negative",
            ),
            (
                r#"{"operation": "StartJob", "often": 2, "fault": "start_twice"}"#,
                "unknown field `often`",
            ),
        ] {
            let said = error(rule);
            assert!(said.contains(why), "{rule}: {said}");
        }
    }
}
