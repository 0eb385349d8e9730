//! Objects that are replaced only as they were last seen (S3 user guide, "Conditional writes").

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use aws_sdk_s3::{config::Intercept, primitives::ByteStream};
use aws_smithy_runtime_api::{
    box_error::BoxError, client::interceptors::context::BeforeDeserializationInterceptorContextRef,
};
use aws_smithy_types::{DateTime, config_bag::ConfigBag, date_time::Format};
use bytes::Bytes;
use datastore::{Cause, PutMode, PutOutcome};

use super::{S3Store, fault, put};
use crate::failure::Failure;

/// An object, and what tells it from the one that replaces it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versioned {
    /// The content.
    pub body: Bytes,
    /// Its ETag.
    pub etag: String,
    /// How old it is by the store's own clock: `Date` less `Last-Modified` of one answer. None where the answer lacks one.
    pub age: Option<Duration>,
}

/// What a conditional replacement did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replaced {
    /// The object has the given content, and this ETag.
    Yes(String),
    /// There is another object than the one that was seen, or none. After a try that got no answer that may be one's own.
    No,
}

/// Keeps the `Date` of an answer, which the SDK does not hand out.
#[derive(Debug, Clone, Default)]
struct ServerDate(Arc<Mutex<Option<String>>>);

impl ServerDate {
    fn take(&self) -> Option<DateTime> {
        let text = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        DateTime::from_str(&text?, Format::HttpDate).ok()
    }
}

impl Intercept for ServerDate {
    fn name(&self) -> &'static str {
        "ServerDate"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &aws_sdk_s3::config::RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = context.response().headers().get("date").map(str::to_owned);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = date;
        Ok(())
    }
}

pub(super) async fn get(store: &S3Store, key: &str) -> Result<Option<Versioned>, Cause> {
    let date = ServerDate::default();
    let call = store
        .sdk
        .get_object()
        .bucket(&store.address.bucket)
        .key(store.full_key(key))
        .customize()
        .interceptor(date.clone());
    let mut answer = match call.send().await {
        Ok(answer) => answer,
        Err(error) => {
            let failure = Failure::from(error);
            return if fault::is_absent(&failure) {
                Ok(None)
            } else {
                Err(store.cause(key, failure))
            };
        }
    };
    let body = std::mem::take(&mut answer.body).collect().await;
    let body = body.map_err(|error| super::get::broken_off(store, key, &error))?;
    let age = date.take().zip(answer.last_modified()).map(|(now, then)| {
        // A clock that is set back between two answers makes nothing older.
        Duration::from_secs(now.secs().saturating_sub(then.secs()).max(0).unsigned_abs())
    });
    Ok(Some(Versioned {
        body: body.into_bytes(),
        etag: answer.e_tag().unwrap_or_default().to_owned(),
        age,
    }))
}

/// Puts an object in the place of the one with this ETag, or where there is none.
pub(super) async fn replace(
    store: &S3Store,
    key: &str,
    body: Bytes,
    seen: Option<&str>,
) -> Result<Replaced, Cause> {
    let etag = Mutex::new(String::new());
    let put = || async {
        let answer = store
            .sdk
            .put_object()
            .bucket(&store.address.bucket)
            .key(store.full_key(key))
            .set_if_match(seen.map(str::to_owned))
            .set_if_none_match(seen.is_none().then(|| "*".to_owned()))
            .set_server_side_encryption(put::encryption(store))
            .body(ByteStream::from(body.clone()))
            .send()
            .await?;
        let mut kept = etag.lock().unwrap_or_else(PoisonError::into_inner);
        answer.e_tag().unwrap_or_default().clone_into(&mut kept);
        Ok(())
    };
    match put::while_in_conflict(PutMode::CreateOnly, put).await {
        Ok(PutOutcome::Written) => Ok(Replaced::Yes(
            etag.into_inner().unwrap_or_else(PoisonError::into_inner),
        )),
        Ok(PutOutcome::AlreadyExists) => Ok(Replaced::No),
        // If-Match of an object that was deleted.
        Err(failure) if seen.is_some() && fault::is_absent(&failure) => Ok(Replaced::No),
        Err(failure) => Err(store.cause(key, failure)),
    }
}
