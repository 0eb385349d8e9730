//! What every operation has in common: who may call, what is to go wrong, and what is remembered of the call.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use http::{StatusCode, Uri};
use s3s::{
    S3Error, S3ErrorCode, S3Result,
    access::{S3Access, S3AccessContext},
};

use super::failure;
use crate::{
    Caller, Context,
    faults::{Event, Fault, Fired},
};

/// What became known of a call while it was carried out. It travels in the request's extensions.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen(Arc<Mutex<Call>>);

/// A call.
#[derive(Debug, Clone, Default)]
pub(super) struct Call {
    pub(super) operation: Option<String>,
    pub(super) bucket: Option<String>,
    pub(super) key: Option<String>,
    pub(super) fired: Option<Fired>,
}

impl Call {
    pub(super) fn fault(&self) -> Option<&Fault> {
        self.fired.as_ref().map(|fired| &fired.fault)
    }
}

impl Seen {
    pub(super) fn call(&self) -> Call {
        let call = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        call.clone()
    }
}

/// `s3s` asks it after the signature was verified and before it reads the input.
pub(super) struct Watch(pub(super) Arc<Context>);

#[async_trait]
impl S3Access for Watch {
    async fn check(&self, cx: &mut S3AccessContext<'_>) -> S3Result<()> {
        let operation = cx.s3_op().name().to_owned();
        let bucket = cx.s3_path().get_bucket_name().map(ToOwned::to_owned);
        let key = cx.s3_path().get_object_key().map(ToOwned::to_owned);
        let signed = cx.credentials().is_some();
        let subject = key.clone().or_else(|| bucket.clone()).unwrap_or_default();
        let by = cx.extensions_mut().get::<Caller>().cloned();
        let fire = || {
            self.0.fire(Event {
                operation: &operation,
                subject: &subject,
                index: None,
                task: None,
                by: by.as_ref(),
            })
        };
        let fired = signed.then(fire).flatten();
        if let Some(seen) = cx.extensions_mut().get::<Seen>() {
            *seen.0.lock().unwrap_or_else(PoisonError::into_inner) = Call {
                operation: Some(operation),
                bucket,
                key,
                fired: fired.clone(),
            };
        }
        if !signed {
            return Err(S3Error::with_message(
                S3ErrorCode::AccessDenied,
                "Access Denied",
            ));
        }
        match fired.map(|fired| fired.fault) {
            Some(Fault::Refuse { status, code }) => return Err(injected(status, &code)),
            // The answer is not sent.
            Some(Fault::HangUp) => return Err(S3Error::new(S3ErrorCode::InternalError)),
            Some(Fault::Delay(duration)) => self.0.clock.sleep(duration).await,
            _ => {}
        }
        self.check_owner(cx)?;
        check_version(cx.uri())
    }
}

impl Watch {
    fn check_owner(&self, cx: &S3AccessContext<'_>) -> S3Result<()> {
        let expected = [
            "x-amz-expected-bucket-owner",
            "x-amz-source-expected-bucket-owner",
        ];
        let mut owners = expected.iter().filter_map(|name| cx.headers().get(*name));
        if owners.any(|owner| owner.as_bytes() != self.0.account.as_bytes()) {
            return Err(S3Error::with_message(
                S3ErrorCode::AccessDenied,
                "Access Denied",
            ));
        }
        Ok(())
    }
}

/// No bucket has versions, so the only version of an object is `null`.
fn check_version(uri: &Uri) -> S3Result<()> {
    let pairs = uri.query().unwrap_or_default().split('&');
    let mut versions = pairs.filter_map(|pair| pair.strip_prefix("versionId="));
    if versions.any(|version| version != "null") {
        return Err(failure::invalid_argument("Invalid version id specified"));
    }
    Ok(())
}

/// An error that a fault asks for.
pub(super) fn injected(status: u16, code: &str) -> S3Error {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    failure::custom(status, code, "This error was asked for.")
}
