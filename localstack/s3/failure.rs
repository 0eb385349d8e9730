//! Errors as S3 words them ("Error responses" of the S3 API reference).

use std::io;

use http::StatusCode;
use s3s::{S3Error, S3ErrorCode, StdError};

pub(super) fn no_such_bucket() -> S3Error {
    S3Error::with_message(
        S3ErrorCode::NoSuchBucket,
        "The specified bucket does not exist",
    )
}

pub(super) fn no_such_key() -> S3Error {
    S3Error::with_message(S3ErrorCode::NoSuchKey, "The specified key does not exist.")
}

pub(super) fn no_such_upload() -> S3Error {
    S3Error::with_message(
        S3ErrorCode::NoSuchUpload,
        "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.",
    )
}

pub(super) fn precondition_failed() -> S3Error {
    S3Error::with_message(
        S3ErrorCode::PreconditionFailed,
        "At least one of the pre-conditions you specified did not hold",
    )
}

pub(super) fn invalid_request(message: impl Into<String>) -> S3Error {
    S3Error::with_message(S3ErrorCode::InvalidRequest, message.into())
}

pub(super) fn invalid_argument(message: impl Into<String>) -> S3Error {
    S3Error::with_message(S3ErrorCode::InvalidArgument, message.into())
}

pub(super) fn not_implemented(what: &str) -> S3Error {
    let text = format!(
        "{what}: a header or argument you provided implies functionality that is not implemented"
    );
    S3Error::with_message(S3ErrorCode::NotImplemented, text)
}

/// An error that `s3s` has no name for.
pub(super) fn custom(status: StatusCode, code: &str, message: impl Into<String>) -> S3Error {
    let code = S3ErrorCode::from_bytes(code.as_bytes()).unwrap_or(S3ErrorCode::InternalError);
    let mut error = S3Error::with_message(code, message.into());
    error.set_status_code(status);
    error
}

/// Ours: disk full, a blob that is gone. The log has the cause, the client gets AWS's words.
pub(super) fn internal(error: io::Error) -> S3Error {
    tracing::error!(%error, "the S3 store cannot do its work");
    let text = format!("We encountered an internal error. Please try again. ({error})");
    let mut answer = S3Error::with_message(S3ErrorCode::InternalError, text);
    answer.set_source(Box::new(error));
    answer
}

/// Why a request's body ended early. The error types of `s3s` are private, so their texts have to tell.
pub(super) fn broken_body(error: &StdError) -> S3Error {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    if text.contains("Sha256Mismatch") {
        return custom(
            StatusCode::BAD_REQUEST,
            "XAmzContentSHA256Mismatch",
            "The provided 'x-amz-content-sha256' header does not match what was computed.",
        );
    }
    if text.contains("SignatureMismatch") {
        return S3Error::with_message(
            S3ErrorCode::SignatureDoesNotMatch,
            "The request signature we calculated does not match the signature you provided. Check your key and signing method.",
        );
    }
    S3Error::with_message(
        S3ErrorCode::IncompleteBody,
        format!("The request body terminated unexpectedly ({text})"),
    )
}
