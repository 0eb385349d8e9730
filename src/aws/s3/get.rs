//! GetObject and HeadObject.

use aws_sdk_s3::{operation::get_object::GetObjectOutput, primitives::ByteStreamError};
use bytes::Bytes;
use datastore::{Cause, ErrorKind, Info, Object};

use super::{S3Store, fault, metadata};
use crate::failure::Failure;

/// How often a body that breaks off is fetched from the beginning. The SDK's own tries end with
/// the head of the answer.
const BODY_TRIES: u32 = 4;

/// S3's answer to a range that begins behind the end.
const RANGE_NOT_SATISFIABLE: u16 = 416;

pub(super) async fn object(store: &S3Store, key: &str) -> Result<Option<Object>, Cause> {
    let Some((answer, body)) = fetch(store, key, None).await? else {
        return Ok(None);
    };
    Ok(Some(Object {
        body,
        user_metadata: metadata::read(answer.metadata())?,
    }))
}

pub(super) async fn range(
    store: &S3Store,
    key: &str,
    from: u64,
    limit: u64,
) -> Result<Option<Bytes>, Cause> {
    let last = from.saturating_add(limit).saturating_sub(1);
    let range = format!("bytes={from}-{last}");
    let Some((answer, body)) = fetch(store, key, Some(range)).await? else {
        return Ok(None);
    };
    // A server may ignore the header and send everything.
    let ignored = answer.content_range().is_none();
    let begin = if ignored {
        body.len().min(from as usize)
    } else {
        0
    };
    let end = body.len().min(begin.saturating_add(limit as usize));
    Ok(Some(body.slice(begin..end)))
}

pub(super) async fn info(store: &S3Store, key: &str) -> Result<Option<Info>, Cause> {
    let call = store
        .sdk
        .head_object()
        .bucket(&store.address.bucket)
        .key(store.full_key(key));
    match call.send().await {
        Ok(answer) => Ok(Some(Info {
            size: answer.content_length().unwrap_or(0).try_into().unwrap_or(0),
            user_metadata: metadata::read(answer.metadata())?,
        })),
        Err(error) => {
            let failure = Failure::from(error);
            if fault::is_absent(&failure) {
                Ok(None)
            } else {
                Err(store.cause(key, failure))
            }
        }
    }
}

/// The answer, without its body, and its body.
async fn fetch(
    store: &S3Store,
    key: &str,
    range: Option<String>,
) -> Result<Option<(GetObjectOutput, Bytes)>, Cause> {
    let mut tries = 0;
    loop {
        tries += 1;
        let call = store
            .sdk
            .get_object()
            .bucket(&store.address.bucket)
            .key(store.full_key(key));
        let mut answer = match call.set_range(range.clone()).send().await {
            Ok(answer) => answer,
            Err(error) => return without_object(store, key, error.into()),
        };
        let body = std::mem::take(&mut answer.body);
        match body.collect().await {
            Ok(body) => return Ok(Some((answer, body.into_bytes()))),
            Err(error) if tries == BODY_TRIES => return Err(broken_off(store, key, &error)),
            Err(error) => tracing::debug!(key, %error, "a body broke off and is fetched again"),
        }
    }
}

fn without_object(
    store: &S3Store,
    key: &str,
    failure: Failure,
) -> Result<Option<(GetObjectOutput, Bytes)>, Cause> {
    if failure.status == Some(RANGE_NOT_SATISFIABLE) {
        Ok(Some((GetObjectOutput::builder().build(), Bytes::new())))
    } else if fault::is_absent(&failure) {
        Ok(None)
    } else {
        Err(store.cause(key, failure))
    }
}

pub(super) fn broken_off(store: &S3Store, key: &str, error: &ByteStreamError) -> Cause {
    Cause::Service {
        kind: ErrorKind::Unavailable,
        code: "BodyBrokeOff".to_owned(),
        message: format!("{error} ({})", store.url(key)),
    }
}
