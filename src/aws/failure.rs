//! What went wrong with a request to AWS, in few cases.

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_batch::error::ProvideErrorMetadata;
use aws_smithy_runtime_api::{client::result::SdkError, http::Response};

/// What a caller may decide by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FailureKind {
    /// The service does not allow it.
    AccessDenied,
    /// The service asks for fewer requests. The request was not carried out.
    Throttled,
    /// The credentials have expired, or the clock is wrong. The request was not carried out.
    Stale,
    /// There are no credentials; nothing was sent.
    NoCredentials,
    /// The credentials could not be fetched for now; nothing was sent.
    CredentialsUnavailable,
    /// The service could not be reached; nothing was sent.
    Unreachable,
    /// The service refused for another reason. The request was not carried out.
    Refused,
    /// There was no clear answer. The request may have been carried out.
    Unknown,
}

/// A failed request.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) kind: FailureKind,
    /// HTTP status of the answer, if there was one.
    pub(crate) status: Option<u16>,
    /// The service's name of the error, or ours where there was no answer.
    pub(crate) code: String,
    /// The explanation.
    pub(crate) message: String,
    /// `x-amz-bucket-region` of the answer.
    pub(crate) bucket_region: Option<String>,
}

/// Names of throttling errors that do not come with status 429 ("Error retries" in the AWS SDKs
/// reference guide).
const THROTTLES: [&str; 9] = [
    "TooManyRequestsException",
    "ThrottlingException",
    "Throttling",
    "ThrottledException",
    "RequestThrottled",
    "RequestThrottledException",
    "RequestLimitExceeded",
    "SlowDown",
    "EC2ThrottledException",
];

/// Names of errors that end when credentials are renewed or the clock is set.
const STALE: [&str; 6] = [
    "ExpiredToken",
    "ExpiredTokenException",
    "RequestExpired",
    "RequestTimeTooSkewed",
    "RequestInTheFuture",
    "TokenRefreshRequired",
];

impl<E> From<SdkError<E, Response>> for Failure
where
    E: ProvideErrorMetadata + Error + 'static,
{
    fn from(error: SdkError<E, Response>) -> Self {
        if let Some(credentials) = find::<CredentialsError>(&error) {
            return of_credentials(credentials);
        }
        match &error {
            SdkError::ServiceError(answer) => of_answer(answer.raw(), answer.err()),
            SdkError::ConstructionFailure(_) => Self {
                kind: FailureKind::Refused,
                status: None,
                code: "InvalidRequest".to_owned(),
                message: sentence(&error),
                bucket_region: None,
            },
            SdkError::TimeoutError(_) => unknown("RequestTimeout", &error),
            SdkError::DispatchFailure(_) if is_connect_error(&error) => Self {
                kind: FailureKind::Unreachable,
                ..unknown("Unreachable", &error)
            },
            SdkError::DispatchFailure(failure) if failure.is_timeout() => {
                unknown("RequestTimeout", &error)
            }
            _ => unknown("RequestFailed", &error),
        }
    }
}

fn of_answer(raw: &Response, error: &dyn ProvideErrorMetadata) -> Failure {
    let status = raw.status().as_u16();
    let code = error
        .code()
        .map_or_else(|| format!("HTTP {status}"), str::to_owned);
    let kind = if status == 429 || THROTTLES.contains(&code.as_str()) {
        FailureKind::Throttled
    } else if STALE.contains(&code.as_str()) || is_expired_signature(&code, error.message()) {
        FailureKind::Stale
    } else if status == 401 || status == 403 {
        FailureKind::AccessDenied
    } else if (400..500).contains(&status) && status != 408 {
        FailureKind::Refused
    } else {
        FailureKind::Unknown
    };
    Failure {
        kind,
        status: Some(status),
        message: error
            .message()
            .unwrap_or("the answer has no explanation")
            .to_owned(),
        code,
        bucket_region: raw.headers().get("x-amz-bucket-region").map(str::to_owned),
    }
}

/// JSON services report a wrong clock as a bad signature.
fn is_expired_signature(code: &str, message: Option<&str>) -> bool {
    let about_time =
        |text: &str| text.contains("Signature expired") || text.contains("not yet current");
    code == "InvalidSignatureException" && message.is_some_and(about_time)
}

fn of_credentials(error: &CredentialsError) -> Failure {
    let (kind, code) = match error {
        CredentialsError::CredentialsNotLoaded(_) | CredentialsError::InvalidConfiguration(_) => {
            (FailureKind::NoCredentials, "NoCredentials")
        }
        _ => (
            FailureKind::CredentialsUnavailable,
            "CredentialsUnavailable",
        ),
    };
    Failure {
        kind,
        status: None,
        code: code.to_owned(),
        message: sentence(error),
        bucket_region: None,
    }
}

fn unknown(code: &str, error: &(impl Error + 'static)) -> Failure {
    Failure {
        kind: FailureKind::Unknown,
        status: None,
        code: code.to_owned(),
        message: sentence(error),
        bucket_region: None,
    }
}

/// Whether no connection came about: no name, no route, nobody listening.
fn is_connect_error(error: &(dyn Error + 'static)) -> bool {
    find::<hyper_util::client::legacy::Error>(error)
        .is_some_and(hyper_util::client::legacy::Error::is_connect)
}

/// An error and its causes, in one line.
pub(crate) fn sentence(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

/// The first error of this type among an error and its causes.
fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        next = error.source();
    }
    None
}
