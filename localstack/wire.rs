//! Answers and errors as the services spell them on the wire.

use http::{HeaderValue, Response, StatusCode, header};
use s3s::Body;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::Reply;

/// The protocols that are spoken here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// Batch: operations are paths.
    RestJson,
    /// CloudWatch Logs: the operation is a header.
    AwsJson,
    /// STS.
    Query,
    /// S3.
    Xml,
}

/// An error on its way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn new(status: u16, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            status,
            code: code.into(),
            message: message.into(),
        }
    }
}

impl From<crate::ApiError> for Failure {
    fn from(error: crate::ApiError) -> Self {
        Self::new(error.status, error.code, error.message)
    }
}

impl Protocol {
    /// An operation's answer.
    pub(crate) fn reply(self, reply: Reply) -> Response<Body> {
        match reply {
            Ok(value) => response(StatusCode::OK, self.content_type(), value.to_string()),
            Err(error) => self.failure(&error.into()),
        }
    }

    /// An error.
    pub(crate) fn failure(self, failure: &Failure) -> Response<Body> {
        let Failure { code, message, .. } = failure;
        let status = StatusCode::from_u16(failure.status);
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = match self {
            Self::RestJson => json!({"message": message}).to_string(),
            Self::AwsJson => json!({"__type": code, "message": message}).to_string(),
            Self::Query => format!("<ErrorResponse>{}</ErrorResponse>", xml_error(failure)),
            Self::Xml => xml_error(failure),
        };
        let mut response = response(status, self.content_type(), body);
        if let (Self::RestJson, Ok(code)) = (self, HeaderValue::from_str(code)) {
            response.headers_mut().insert("x-amzn-errortype", code);
        }
        response
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::RestJson => "application/json",
            Self::AwsJson => "application/x-amz-json-1.1",
            Self::Query | Self::Xml => "text/xml",
        }
    }
}

/// A JSON document that belongs to no service.
pub(crate) fn document(status: StatusCode, value: &Value) -> Response<Body> {
    response(status, "application/json", value.to_string())
}

/// Any answer. It is nobody's but the caller's: no cache, no page and no frame gets it.
pub(crate) fn response(
    status: StatusCode,
    content_type: &'static str,
    body: String,
) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    if let Ok(id) = HeaderValue::from_str(&Uuid::new_v4().to_string()) {
        headers.insert("x-amzn-requestid", id);
    }
    response
}

fn xml_error(Failure { code, message, .. }: &Failure) -> String {
    let (code, message) = (escaped(code), escaped(message));
    format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>")
}

pub(crate) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
