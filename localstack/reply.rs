//! Answers of the JSON services. The server knows how each service spells errors on the wire.

use serde_json::Value;

/// What an operation answers.
pub type Reply = Result<Value, ApiError>;

/// An error of an AWS API.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct ApiError {
    /// HTTP status.
    pub status: u16,
    /// AWS's name for it, e.g. `ClientException`.
    pub code: &'static str,
    /// Text for the user, in AWS's words where they are known.
    pub message: String,
}

impl ApiError {
    /// The caller's mistake, as Batch spells it: 400 `ClientException`.
    pub fn client(message: impl Into<String>) -> Self {
        Self {
            status: 400,
            code: "ClientException",
            message: message.into(),
        }
    }

    /// Ours, as Batch spells it: 500 `ServerException`.
    pub fn server(message: impl Into<String>) -> Self {
        Self {
            status: 500,
            code: "ServerException",
            message: message.into(),
        }
    }
}
