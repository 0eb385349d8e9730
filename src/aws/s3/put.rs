//! PutObject.

use std::time::Duration;

use aws_sdk_s3::{
    config::timeout::TimeoutConfig, primitives::ByteStream, types::ServerSideEncryption,
};
use backon::{ExponentialBuilder, Retryable};
use bytes::Bytes;
use datastore::{Cause, PutMode, PutOptions, PutOutcome};

use super::{S3Store, metadata};
use crate::failure::Failure;

/// Another write of the same key is going on (S3 user guide, "Conditional writes").
const CONFLICT: u16 = 409;
/// There is an object (the same).
const PRECONDITION_FAILED: u16 = 412;

/// The slowest way to S3 that is waited for, in bytes per second: the SDK's read time-out counts
/// from the first byte that is sent.
const SLOWEST: u64 = 64 << 10;

/// Tries of a write that meets another one.
const CONFLICT_TRIES: usize = 8;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Puts an object. After a try that got no answer, [`PutOutcome::AlreadyExists`] may mean one's
/// own write: whoever must know reads the object back.
pub(super) async fn object(
    store: &S3Store,
    key: &str,
    body: Bytes,
    options: &PutOptions,
) -> Result<PutOutcome, Cause> {
    let put = || put_once(store, key, body.clone(), options);
    while_in_conflict(options.mode, put)
        .await
        .map_err(|failure| store.cause(key, failure))
}

/// Repeats a conditional write while it conflicts with another one.
pub(super) async fn while_in_conflict<F: Future<Output = Result<(), Failure>>>(
    mode: PutMode,
    put: impl FnMut() -> F,
) -> Result<PutOutcome, Failure> {
    let conditional = mode == PutMode::CreateOnly;
    let pauses = ExponentialBuilder::new()
        .with_min_delay(FIRST_PAUSE)
        .with_max_delay(LONGEST_PAUSE)
        .with_max_times(CONFLICT_TRIES - 1)
        .with_jitter();
    let is_conflict = |failure: &Failure| conditional && failure.status == Some(CONFLICT);
    match put.retry(pauses).when(is_conflict).await {
        Ok(()) => Ok(PutOutcome::Written),
        Err(failure) if conditional && failure.status == Some(PRECONDITION_FAILED) => {
            Ok(PutOutcome::AlreadyExists)
        }
        Err(failure) => Err(failure),
    }
}

async fn put_once(
    store: &S3Store,
    key: &str,
    body: Bytes,
    options: &PutOptions,
) -> Result<(), Failure> {
    let patience = patience(store, body.len());
    let call = store
        .sdk
        .put_object()
        .bucket(&store.address.bucket)
        .key(store.full_key(key));
    call.set_if_none_match(condition(options.mode))
        .set_metadata(metadata::header(options.user_metadata.as_ref()))
        .set_server_side_encryption(encryption(store))
        .body(ByteStream::from(body))
        .customize()
        .config_override(patience)
        .send()
        .await?;
    Ok(())
}

/// Time for a body of this length.
pub(super) fn patience(store: &S3Store, length: usize) -> aws_sdk_s3::config::Builder {
    let sending = Duration::from_secs(length as u64 / SLOWEST);
    let timeouts = TimeoutConfig::builder().read_timeout(store.read_timeout + sending);
    aws_sdk_s3::config::Builder::new().timeout_config(timeouts.build())
}

/// `If-None-Match`
pub(super) fn condition(mode: PutMode) -> Option<String> {
    (mode == PutMode::CreateOnly).then(|| "*".to_owned())
}

/// `x-amz-server-side-encryption`
pub(super) fn encryption(store: &S3Store) -> Option<ServerSideEncryption> {
    let name = store.address.server_side_encryption.as_deref()?;
    Some(ServerSideEncryption::from(name))
}
