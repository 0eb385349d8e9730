//! Files that are too big for memory: one PutObject up to [`PART`], a multipart upload beyond.

use std::{fs::File, io, os::unix::fs::FileExt, path::Path, sync::Arc};

use aws_sdk_s3::{
    primitives::ByteStream,
    types::{CompletedMultipartUpload, CompletedPart},
};
use bytes::Bytes;
use datastore::{Cause, PutOptions, PutOutcome};
use tokio::task::{JoinSet, spawn_blocking};

use super::{S3Store, metadata, put};
use crate::failure::Failure;

/// Size of a part in bytes, unless a file would need too many. At least 5 MiB (S3 user guide,
/// "Amazon S3 multipart upload limits").
const PART: u64 = 8 << 20;

/// The most parts of an upload (the same).
const MAX_PARTS: u64 = 10_000;

/// Parts on their way at once: what is held in memory is at most this many.
const IN_FLIGHT: usize = 4;

pub(super) async fn put_file(
    store: &S3Store,
    key: &str,
    path: &Path,
    options: &PutOptions,
) -> Result<PutOutcome, Cause> {
    let path = path.to_owned();
    let (file, size) = blocking(move || {
        let file = File::open(&path)?;
        let size = file.metadata()?.len();
        Ok((Arc::new(file), size))
    })
    .await?;
    if size <= PART {
        let body = read_part(file, 0, size).await?;
        return put::object(store, key, body, options).await;
    }
    let upload = Upload {
        store: store.clone(),
        key: store.full_key(key),
        id: begin(store, key, options).await?,
    };
    let uploaded = upload.parts(key, file, size).await;
    let completed = match uploaded {
        Ok(parts) => upload.complete(key, parts, options).await,
        Err(cause) => Err(cause),
    };
    if !matches!(completed, Ok(PutOutcome::Written)) {
        upload.abort().await;
    }
    completed
}

async fn begin(store: &S3Store, key: &str, options: &PutOptions) -> Result<Arc<str>, Cause> {
    let call = store
        .sdk
        .create_multipart_upload()
        .bucket(&store.address.bucket);
    let call = call
        .key(store.full_key(key))
        .set_metadata(metadata::header(options.user_metadata.as_ref()))
        .set_server_side_encryption(put::encryption(store));
    match call.send().await {
        Ok(answer) => Ok(answer.upload_id().unwrap_or_default().into()),
        Err(error) => Err(store.cause(key, error.into())),
    }
}

/// An upload that has begun.
#[derive(Clone)]
struct Upload {
    store: S3Store,
    key: String,
    id: Arc<str>,
}

impl Upload {
    async fn parts(
        &self,
        key: &str,
        file: Arc<File>,
        size: u64,
    ) -> Result<Vec<CompletedPart>, Cause> {
        let part_size = part_size(size);
        let mut in_flight = JoinSet::new();
        let mut done = Vec::new();
        for (index, offset) in (0..size).step_by(part_size as usize).enumerate() {
            if in_flight.len() == IN_FLIGHT {
                done.extend(joined(key, self, &mut in_flight).await?);
            }
            let length = part_size.min(size - offset);
            let body = read_part(Arc::clone(&file), offset, length).await?;
            in_flight.spawn(self.clone().part(index as i32 + 1, body));
        }
        while !in_flight.is_empty() {
            done.extend(joined(key, self, &mut in_flight).await?);
        }
        done.sort_unstable_by_key(CompletedPart::part_number);
        Ok(done)
    }

    async fn part(self, number: i32, body: Bytes) -> Result<CompletedPart, Failure> {
        let patience = put::patience(&self.store, body.len());
        let call = self
            .store
            .sdk
            .upload_part()
            .bucket(&self.store.address.bucket);
        let answer = call
            .key(&self.key)
            .upload_id(&*self.id)
            .part_number(number)
            .body(ByteStream::from(body))
            .customize()
            .config_override(patience)
            .send()
            .await?;
        Ok(CompletedPart::builder()
            .part_number(number)
            .set_e_tag(answer.e_tag)
            .set_checksum_crc32(answer.checksum_crc32)
            .build())
    }

    async fn complete(
        &self,
        key: &str,
        parts: Vec<CompletedPart>,
        options: &PutOptions,
    ) -> Result<PutOutcome, Cause> {
        let parts = CompletedMultipartUpload::builder()
            .set_parts(Some(parts))
            .build();
        put::while_in_conflict(options.mode, async || {
            let call = self.store.sdk.complete_multipart_upload();
            call.bucket(&self.store.address.bucket)
                .key(&self.key)
                .upload_id(&*self.id)
                .multipart_upload(parts.clone())
                .set_if_none_match(put::condition(options.mode))
                .send()
                .await?;
            Ok(())
        })
        .await
        .map_err(|failure| self.store.cause(key, failure))
    }

    /// Parts that are left cost money until somebody removes them.
    async fn abort(&self) {
        let call = self
            .store
            .sdk
            .abort_multipart_upload()
            .bucket(&self.store.address.bucket);
        if let Err(error) = call.key(&self.key).upload_id(&*self.id).send().await {
            let Failure { code, message, .. } = error.into();
            tracing::warn!(
                key = self.key,
                code,
                message,
                "an upload could not be aborted"
            );
        }
    }
}

/// The next part that is finished.
async fn joined(
    key: &str,
    upload: &Upload,
    in_flight: &mut JoinSet<Result<CompletedPart, Failure>>,
) -> Result<Option<CompletedPart>, Cause> {
    match in_flight.join_next().await {
        None => Ok(None),
        Some(Ok(Ok(part))) => Ok(Some(part)),
        Some(Ok(Err(failure))) => Err(upload.store.cause(key, failure)),
        Some(Err(error)) => Err(Cause::Io(io::Error::other(error))),
    }
}

fn part_size(size: u64) -> u64 {
    PART.max(size.div_ceil(MAX_PARTS))
}

async fn read_part(file: Arc<File>, offset: u64, length: u64) -> Result<Bytes, Cause> {
    blocking(move || {
        let mut part = vec![0; length as usize];
        file.read_exact_at(&mut part, offset)?;
        Ok(part.into())
    })
    .await
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Cause> {
    match spawn_blocking(work).await {
        Ok(result) => result.map_err(Cause::Io),
        Err(error) => Err(Cause::Io(io::Error::other(error))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_small_but_not_too_many() {
        assert_eq!(part_size(PART + 1), PART);
        let terabyte = 1 << 40;
        assert!(terabyte / part_size(terabyte) < MAX_PARTS);
    }
}
