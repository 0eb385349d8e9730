//! Objects for the stack's own use, without a request: what a simulated container reads and writes.

use std::{io, ops::Range};

use super::{
    S3,
    checksum::Algorithm,
    condition::OfWrite,
    draft::{Draft, Place},
    headers::Headers,
    index::Record,
    send::Reader,
    store::WRITER,
};
use crate::Caller;

/// What is put, and how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Put<'a> {
    pub(crate) bucket: &'a str,
    pub(crate) key: &'a str,
    pub(crate) body: &'a [u8],
    /// One header of user metadata, without `x-amz-meta-`, and its value.
    pub(crate) metadata: Option<(&'a str, &'a str)>,
    /// Only where there is none (`If-None-Match: *`).
    pub(crate) create: bool,
}

impl S3 {
    /// Whether there is such an object.
    pub(crate) fn has(&self, bucket: &str, key: &str) -> io::Result<bool> {
        let found = self
            .store
            .read(|index| Ok(index.bucket(bucket)?.objects.contains_key(key)));
        found.map_err(io::Error::other)
    }

    /// The bytes of an object in a range, or all of them. Nothing if there is no such object, or it ends before the range does.
    pub(crate) fn read(
        &self,
        bucket: &str,
        key: &str,
        range: Option<Range<u64>>,
    ) -> io::Result<Option<Vec<u8>>> {
        let found = self
            .store
            .read(|index| Ok(index.bucket(bucket)?.objects.get(key).cloned()));
        let Some(object) = found.map_err(io::Error::other)? else {
            return Ok(None);
        };
        let range = range.unwrap_or(0..object.size);
        if range.end > object.size {
            return Ok(None);
        }
        let mut reader = Reader::new(object, range);
        let mut bytes = Vec::new();
        while let Some(piece) = reader.next()? {
            bytes.extend_from_slice(&piece);
        }
        Ok(Some(bytes))
    }

    /// Writes an object in the name of a caller. False if it was to be created and is there.
    pub(crate) fn write(&self, put: Put<'_>, by: Caller) -> io::Result<bool> {
        let mut draft = Draft::new(&self.store.blobs, Place::Anywhere, Algorithm::Crc64nvme);
        draft.write(put.body)?;
        let pair = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let headers = Headers {
            metadata: put.metadata.map(pair).into_iter().collect(),
            ..Headers::default()
        };
        let now = self.store.context.clock.now_ms();
        let object = draft.finish()?.into_object(now, headers, None).into();
        let condition = OfWrite {
            if_none_match: put.create.then_some(s3s::dto::ETagCondition::Any),
            if_match: None,
        };
        let write = || {
            self.store.write(|index| {
                let there = index.bucket(put.bucket)?.objects.get(put.key);
                if condition.check(there.map(AsRef::as_ref)).is_err() {
                    return Ok((Vec::new(), false));
                }
                let record = Record::PutObject {
                    bucket: put.bucket.into(),
                    key: put.key.into(),
                    object,
                };
                Ok((vec![record], true))
            })
        };
        WRITER.sync_scope(by, write).map_err(io::Error::other)
    }
}
