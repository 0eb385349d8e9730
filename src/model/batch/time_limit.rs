//! How long Batch lets an attempt run.

/// The shortest limit that Batch takes, in seconds (Batch API reference, JobTimeout).
const SHORTEST: u64 = 60;

/// What a limit of `@timeout` is stretched by, in seconds: the alarm inside the task is to ring
/// first, so that `@catch` sees its exception.
const ALARM_GRACE: u64 = 120;

/// A limit, and where it comes from; in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeLimit {
    /// `@timeout` on the step.
    Decorator(u64),
    /// METAFLOW_DEFAULT_RUNTIME_LIMIT.
    Default(u64),
}

/// A limit that Batch would refuse (metaflow/plugins/aws/batch/batch_decorator.py, `step_init`).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("The timeout for step *{step}* should be at least 60 seconds for execution on AWS Batch.")]
pub struct TooShort {
    step: String,
}

impl TimeLimit {
    /// `attemptDurationSeconds` for a step of this name.
    pub fn attempt_duration_seconds(self, step: &str) -> Result<i32, TooShort> {
        let (limit, grace) = match self {
            Self::Decorator(limit) => (limit, ALARM_GRACE),
            Self::Default(limit) => (limit, 0),
        };
        if limit < SHORTEST {
            return Err(TooShort {
                step: step.to_owned(),
            });
        }
        Ok(i32::try_from(limit.saturating_add(grace)).unwrap_or(i32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_decorators_limit_is_stretched() {
        for (limit, seconds) in [
            (TimeLimit::Default(432_000), Some(432_000)),
            (TimeLimit::Decorator(60), Some(180)),
            (TimeLimit::Default(60), Some(60)),
            (TimeLimit::Default(59), None),
            (TimeLimit::Decorator(59), None),
            (TimeLimit::Decorator(u64::MAX), Some(i32::MAX)),
        ] {
            assert_eq!(
                limit.attempt_duration_seconds("s").ok(),
                seconds,
                "{limit:?}"
            );
        }
        assert_eq!(
            TimeLimit::Default(1)
                .attempt_duration_seconds("train")
                .unwrap_err()
                .to_string(),
            "The timeout for step *train* should be at least 60 seconds for execution on AWS Batch."
        );
    }
}
