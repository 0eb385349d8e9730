//! Failed requests as the port tells them.

use datastore::{Cause, ErrorKind};

use crate::failure::{Failure, FailureKind};

/// What a caller may decide by, and a text that names the object.
pub(super) fn cause(failure: Failure, url: &str) -> Cause {
    let kind = kind(&failure);
    let hint = match (&failure.bucket_region, failure.status) {
        (Some(region), Some(301)) => format!(" (the bucket is in the region {region})"),
        _ => String::new(),
    };
    Cause::Service {
        kind,
        message: format!("{}{hint} ({url})", failure.message),
        code: failure.code,
    }
}

fn kind(failure: &Failure) -> ErrorKind {
    match failure.code.as_str() {
        "NoSuchBucket" => return ErrorKind::NoStore,
        "EntityTooLarge" | "MetadataTooLarge" => return ErrorKind::TooLarge,
        _ => {}
    }
    match failure.kind {
        FailureKind::AccessDenied | FailureKind::NoCredentials => ErrorKind::PermissionDenied,
        FailureKind::Throttled => ErrorKind::Throttled,
        FailureKind::Stale
        | FailureKind::CredentialsUnavailable
        | FailureKind::Unreachable
        | FailureKind::Unknown => ErrorKind::Unavailable,
        FailureKind::Refused => ErrorKind::Other,
    }
}

/// Whether there is no object; a missing bucket is something else, where the answer says so.
pub(super) fn is_absent(failure: &Failure) -> bool {
    failure.status == Some(404) && failure.code != "NoSuchBucket"
}
