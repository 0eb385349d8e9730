//! Failed calls.

use crate::failure::{Failure, FailureKind};

/// What a caller may decide by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchErrorKind {
    /// The credentials do not allow this action. Ferroflow works without the actions that
    /// upstream's reference policy does not grant.
    AccessDenied,
    /// Too many calls.
    Throttled,
    /// No clear answer, or no fresh credentials; the same call may work later.
    Unavailable,
    /// The call is wrong.
    Refused,
}

/// A call that failed, also after it was tried again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{action} failed: {code}: {message}")]
pub struct BatchError {
    /// The API action.
    pub action: &'static str,
    /// What to decide by.
    pub kind: BatchErrorKind,
    /// The service's name of the error.
    pub code: String,
    /// The service's explanation.
    pub message: String,
}

impl BatchError {
    pub(super) fn new(action: &'static str, failure: Failure) -> Self {
        let kind = match failure.kind {
            FailureKind::AccessDenied | FailureKind::NoCredentials => BatchErrorKind::AccessDenied,
            FailureKind::Throttled => BatchErrorKind::Throttled,
            FailureKind::Stale
            | FailureKind::CredentialsUnavailable
            | FailureKind::Unreachable
            | FailureKind::Unknown => BatchErrorKind::Unavailable,
            FailureKind::Refused => BatchErrorKind::Refused,
        };
        Self {
            action,
            kind,
            code: failure.code,
            message: failure.message,
        }
    }

    /// An answer that lacks what it always has.
    pub(super) fn incomplete(action: &'static str, what: &str) -> Self {
        Self {
            action,
            kind: BatchErrorKind::Unavailable,
            code: "IncompleteAnswer".to_owned(),
            message: format!("the answer has no {what}"),
        }
    }

    /// Whether the same call may well succeed a little later.
    pub fn is_transient(&self) -> bool {
        matches!(
            self.kind,
            BatchErrorKind::Throttled | BatchErrorKind::Unavailable
        )
    }
}
