//! The service.

use std::{io, path::PathBuf, sync::Arc};

use serde_json::{Map, Value};

use super::{GROUP, stream};
use crate::{ApiError, Context, Reply};

const OPERATIONS: [&str; 4] = [
    "DescribeLogGroups",
    "DescribeLogStreams",
    "FilterLogEvents",
    "GetLogEvents",
];

/// Whether there is such an operation, in AWS's spelling.
pub(crate) fn has_operation(name: &str) -> bool {
    OPERATIONS.contains(&name)
}

/// CloudWatch Logs of one stack: what its jobs print.
#[derive(Debug)]
pub struct Logs {
    pub(super) context: Arc<Context>,
}

impl Logs {
    /// Reads what is below `<folder>/logs`.
    pub fn open(context: Arc<Context>) -> io::Result<Self> {
        std::fs::create_dir_all(stream::folder(&context.folder))?;
        Ok(Self { context })
    }

    /// Carries out one operation (what follows the dot in `X-Amz-Target`); `body` is its JSON.
    pub async fn call(&self, operation: &str, body: &[u8]) -> Reply {
        let request: Map<String, Value> = serde_json::from_slice(body).map_err(|error| {
            refusal(
                "SerializationException",
                format!("the request is no JSON object: {error}"),
            )
        })?;
        let (context, operation) = (Arc::clone(&self.context), operation.to_owned());
        // Files are read.
        let answered =
            tokio::task::spawn_blocking(move || Self { context }.answer(&operation, &request))
                .await;
        answered.unwrap_or_else(|error| Err(ApiError::server(error.to_string())))
    }

    fn answer(&self, operation: &str, request: &Map<String, Value>) -> Reply {
        match operation {
            "GetLogEvents" => self.get_log_events(request),
            "FilterLogEvents" => self.filter_log_events(request),
            "DescribeLogStreams" => self.describe_log_streams(request),
            "DescribeLogGroups" => self.describe_log_groups(request),
            _ => Err(refusal(
                "UnknownOperationException",
                format!("the embedded stack has no {operation} of CloudWatch Logs"),
            )),
        }
    }

    /// The group that a request names must be the one that there is.
    pub(super) fn check_group(&self, request: &Map<String, Value>) -> Result<(), ApiError> {
        let text = |name| request.get(name).and_then(Value::as_str);
        let group = text("logGroupName").or(text("logGroupIdentifier"));
        let Some(group) = group else {
            return Err(refusal(
                "InvalidParameterException",
                "logGroupName is required".to_owned(),
            ));
        };
        let arn = self.context.arn("logs", &format!("log-group:{GROUP}"));
        if group == GROUP || group.trim_end_matches(":*") == arn {
            return Ok(());
        }
        Err(absent("The specified log group does not exist."))
    }

    /// The file of a stream that is there.
    pub(super) fn file(&self, name: &str) -> Result<PathBuf, ApiError> {
        let path = stream::path(&self.context.folder, name).filter(|path| path.is_file());
        path.ok_or_else(|| absent("The specified log stream does not exist."))
    }
}

pub(super) fn refusal(code: &'static str, message: String) -> ApiError {
    ApiError {
        status: 400,
        code,
        message,
    }
}

fn absent(message: &str) -> ApiError {
    refusal("ResourceNotFoundException", message.to_owned())
}

pub(super) fn unreadable(error: &io::Error) -> ApiError {
    ApiError {
        status: 500,
        code: "ServiceUnavailableException",
        message: format!("the log cannot be read: {error}"),
    }
}

/// A number that a request may have.
pub(super) fn integer(request: &Map<String, Value>, name: &str) -> Option<i64> {
    request.get(name)?.as_i64()
}
