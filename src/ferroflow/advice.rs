//! What a person can do about an error: the line `hint: …` below it. Decided by what the error is, in one place, so that
//! all who print errors say the same.

use aws::{
    ConfigError,
    batch::{BatchError, QueueError},
};
use datastore::{Cause, ErrorKind};

use crate::trouble::NoAnswer;

/// Begins the line.
const HINT: &str = "\nhint: ";

/// An error and its causes, and what to do about it where that is known and not said already.
pub(crate) fn explained(error: &anyhow::Error) -> String {
    let text = format!("{error:#}");
    match of_error(error) {
        Some(advice) if !text.contains(HINT) => format!("{text}{HINT}{advice}"),
        _ => text,
    }
}

/// `CODE: message`, as AWS Batch refuses `action`, and what to do about it where that is known.
pub(crate) fn explained_refusal(action: &str, answer: &str) -> String {
    let (code, message) = answer.split_once(": ").unwrap_or((answer, ""));
    match of_batch(action, code, message) {
        Some(advice) => format!("{answer}{HINT}{advice}"),
        None => answer.to_owned(),
    }
}

fn of_error(error: &anyhow::Error) -> Option<String> {
    error.chain().find_map(|cause| {
        if let Some(cause) = cause.downcast_ref() {
            return of_datastore(cause);
        }
        if let Some(call) = cause.downcast_ref::<BatchError>() {
            return of_batch(call.action, &call.code, &call.message);
        }
        if let Some(queue) = cause.downcast_ref() {
            return of_queue(queue);
        }
        if cause.is::<NoAnswer>() {
            return of_aws("RequestTimeout", "").map(str::to_owned);
        }
        cause.downcast_ref().and_then(of_configuration)
    })
}

fn of_datastore(cause: &Cause) -> Option<String> {
    if let Cause::Service { code, message, .. } = cause
        && let Some(advice) = of_aws(code, message)
    {
        return Some(advice.to_owned());
    }
    let kind = match cause {
        Cause::Service { kind, .. } => *kind,
        Cause::Io(error) => error.into(),
        _ => return None,
    };
    let advice = match (kind, cause) {
        (ErrorKind::PermissionDenied, Cause::Service { .. }) => {
            "the launcher needs s3:GetObject, s3:PutObject and s3:ListBucket there, as in Metaflow's reference policy for users"
        }
        (ErrorKind::PermissionDenied, _) => {
            "the folder of the datastore must be one that you may write to; METAFLOW_DATASTORE_SYSROOT_LOCAL names another"
        }
        (ErrorKind::NoStore, _) => {
            "make the bucket, or name another by METAFLOW_DATASTORE_SYSROOT_S3"
        }
        (ErrorKind::StorageFull | ErrorKind::TooLarge, Cause::Io(_)) => {
            "make room on the disk, or name another folder by METAFLOW_DATASTORE_SYSROOT_LOCAL"
        }
        _ => return None,
    };
    Some(advice.to_owned())
}

fn of_batch(action: &str, code: &str, message: &str) -> Option<String> {
    if let Some(advice) = of_aws(code, message) {
        return Some(advice.to_owned());
    }
    if code.starts_with("AccessDenied") {
        return Some(format!(
            "the launcher needs batch:{action}, as in Metaflow's reference policy for users"
        ));
    }
    // "JobQueue … is not in ENABLED state."
    message.contains("ENABLED").then(|| {
        "enable the queue, or name another by METAFLOW_BATCH_JOB_QUEUE or @batch(queue=…)"
            .to_owned()
    })
}

fn of_queue(error: &QueueError) -> Option<String> {
    let advice = match error {
        QueueError::NotFound(_) => {
            "METAFLOW_BATCH_JOB_QUEUE or @batch(queue=…) names it; look for it in the account and region of your credentials"
        }
        QueueError::NoQueue => {
            "name one by METAFLOW_BATCH_JOB_QUEUE or @batch(queue=…), or make one that is enabled and valid; `ferroflow dev up` has one on this machine"
        }
        QueueError::NoComputeEnvironment(_) => "give it one, or name another queue",
        QueueError::Call(call) => return of_batch(call.action, &call.code, &call.message),
    };
    Some(advice.to_owned())
}

fn of_configuration(error: &ConfigError) -> Option<String> {
    let advice = match error {
        ConfigError::CaBundle { .. } | ConfigError::NoCertificates { .. } => {
            "AWS_CA_BUNDLE, REQUESTS_CA_BUNDLE or METAFLOW_S3_VERIFY_CERTIFICATE names it: let it be a PEM file, or unset it"
        }
        ConfigError::NotS3(_) => "METAFLOW_DATASTORE_SYSROOT_S3 or --datastore-root names it",
        _ => return None,
    };
    Some(advice.to_owned())
}

/// Of errors that all services of AWS have ("Common error types" in the API references), and of ours where there was no answer
/// (`src/aws/failure.rs`).
fn of_aws(code: &str, message: &str) -> Option<&'static str> {
    Some(match code {
        "RequestTimeTooSkewed" | "RequestExpired" | "RequestInTheFuture" => CLOCK,
        "InvalidSignatureException" if message.contains("Signature expired") => CLOCK,
        "InvalidSignatureException"
        | "SignatureDoesNotMatch"
        | "InvalidAccessKeyId"
        | "InvalidClientTokenId"
        | "UnrecognizedClientException" => {
            "the access key or its secret is wrong here: see AWS_PROFILE, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        }
        "ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired" => {
            "renew the credentials, e.g. by `aws sso login`"
        }
        "NoCredentials" => {
            "name a profile by AWS_PROFILE, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        }
        "Unreachable" | "RequestFailed" | "RequestTimeout" => {
            "check region and endpoint (AWS_REGION, AWS_ENDPOINT_URL and those of single services), and the way there: proxy, VPN, certificates"
        }
        _ => return None,
    })
}

const CLOCK: &str = "set this machine's clock";

#[cfg(test)]
mod tests {
    use anyhow::{Context, anyhow};
    use aws::batch::BatchErrorKind;
    use datastore::{Op, StoreError};

    use super::*;

    fn denied() -> BatchError {
        BatchError {
            action: "DescribeJobQueues",
            kind: BatchErrorKind::AccessDenied,
            code: "AccessDeniedException".to_owned(),
            message: "no".to_owned(),
        }
    }

    #[test]
    fn what_is_hidden_in_others_is_advised_about() {
        let hidden = anyhow::Error::new(QueueError::Call(denied())).context("outside");
        assert!(explained(&hidden).ends_with(
            "no\nhint: the launcher needs batch:DescribeJobQueues, as in Metaflow's reference policy for users"
        ));
        let cause = Cause::Service {
            kind: ErrorKind::NoStore,
            code: "NoSuchBucket".to_owned(),
            message: "no".to_owned(),
        };
        let hidden = datastore::TaskResultError::Store(StoreError::new(Op::Get, "k", cause));
        let hidden = Err::<(), _>(hidden).context("outside").unwrap_err();
        assert!(explained(&hidden).contains("hint: make the bucket"));
    }

    #[test]
    fn what_has_a_hint_gets_no_second_one() {
        let error = anyhow::Error::new(denied()).context("outside\nhint: do this");
        assert_eq!(explained(&error).matches("hint: ").count(), 1);
        assert_eq!(explained(&anyhow!("strange")), "strange");
    }

    #[test]
    fn refusals_of_jobs_are_told_by_their_names() {
        let text = explained_refusal(
            "SubmitJob",
            "ClientException: JobQueue x is not in ENABLED state.",
        );
        assert!(text.contains("state.\nhint: enable the queue"), "{text}");
        let text = explained_refusal("SubmitJob", "ClientException: strange");
        assert_eq!(text, "ClientException: strange");
    }
}
