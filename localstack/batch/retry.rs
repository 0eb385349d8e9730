//! Whether a failed attempt is followed by another (user guide, "Automated job retries").

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::job::Attempt;

/// `retryStrategy`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RetryStrategy {
    #[serde(default = "one")]
    pub(super) attempts: u32,
    #[serde(default)]
    pub(super) evaluate_on_exit: Vec<EvaluateOnExit>,
}

/// A rule: all conditions that it has must match.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct EvaluateOnExit {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) on_status_reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) on_reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) on_exit_code: Option<String>,
    pub(super) action: String,
}

fn one() -> u32 {
    1
}

impl Default for RetryStrategy {
    fn default() -> Self {
        Self {
            attempts: 1,
            evaluate_on_exit: Vec::new(),
        }
    }
}

impl RetryStrategy {
    /// Whether the job runs again after this attempt, its `number`-th. The first rule that matches decides; where none
    /// does, the job runs again.
    pub(super) fn retries(&self, number: u32, attempt: &Attempt) -> bool {
        if number >= self.attempts {
            return false;
        }
        let rule = self
            .evaluate_on_exit
            .iter()
            .find(|rule| rule.matches(attempt));
        rule.is_none_or(|rule| rule.action.eq_ignore_ascii_case("RETRY"))
    }

    pub(super) fn describe(&self) -> Value {
        json!(self)
    }
}

impl EvaluateOnExit {
    fn matches(&self, attempt: &Attempt) -> bool {
        let code = attempt.exit_code.map(|code| code.to_string());
        let reason = attempt.reason.as_deref();
        let fits = |pattern: &Option<String>, text: Option<&str>| {
            let Some(pattern) = pattern else { return true };
            text.is_some_and(|text| glob(pattern, text)) || pattern == "*"
        };
        fits(&self.on_status_reason, Some(&attempt.status_reason))
            && fits(&self.on_reason, reason)
            && fits(&self.on_exit_code, code.as_deref())
    }
}

/// A star stands for anything, at the end only.
fn glob(pattern: &str, text: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => text.starts_with(start),
        None => pattern == text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(code: Option<i32>, status_reason: &'static str) -> Attempt {
        Attempt {
            started_at: Some(1),
            stopped_at: 2,
            status_reason: status_reason.into(),
            reason: None,
            exit_code: code,
        }
    }

    fn strategy(text: &str) -> RetryStrategy {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn the_first_rule_that_matches_decides() {
        let spot = strategy(
            r#"{"attempts": 3, "evaluateOnExit": [{"onStatusReason": "Host EC2*", "action": "retry"},
            {"onExitCode": "1", "action": "RETRY"}, {"onReason": "*", "action": "EXIT"}]}"#,
        );
        assert!(spot.retries(1, &ended(None, "Host EC2 (instance i-1) terminated.")));
        assert!(spot.retries(2, &ended(Some(1), "Essential container in task exited")));
        assert!(!spot.retries(3, &ended(Some(1), "Essential container in task exited")));
        assert!(!spot.retries(1, &ended(Some(12), "Essential container in task exited")));
    }

    #[test]
    fn all_conditions_of_a_rule_must_hold_and_no_rule_means_again() {
        let both = strategy(
            r#"{"attempts": 2, "evaluateOnExit": [{"onStatusReason": "Host*", "onExitCode": "143", "action": "EXIT"}]}"#,
        );
        assert!(!both.retries(1, &ended(Some(143), "Host EC2 x")));
        assert!(both.retries(1, &ended(Some(1), "Host EC2 x")));
        assert!(both.retries(1, &ended(Some(143), "Essential")));
        assert!(!RetryStrategy::default().retries(1, &ended(Some(1), "x")));
    }
}
