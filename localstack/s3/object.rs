//! What the index knows of an object.

use std::{ops::Range, slice, sync::Arc, time::Duration, time::UNIX_EPOCH};

use bytes::Bytes;
use s3s::dto;
use serde::{Deserialize, Serialize};

use super::{
    blob::Blob,
    checksum::{Algorithm, Checksum},
    headers::Headers,
};

/// Tags, in the order in which they were given.
pub(super) type Tags = Box<[(String, String)]>;

/// An object. Its fields are few and small: stores of 100,000 objects are usual.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Object {
    pub(super) size: u64,
    pub(super) modified_ms: i64,
    /// Without quotes.
    pub(super) etag: Box<str>,
    pub(super) content: Content,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) checksum: Option<Checksum>,
    /// `None` when all is as usual.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) headers: Option<Box<Headers>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) tags: Option<Tags>,
    /// The upload that made it, if it was made by one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) upload_id: Option<Box<str>>,
}

/// Where the bytes are.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Content {
    /// In the index.
    Inline(#[serde(with = "base64_text")] Bytes),
    /// In one file.
    Blob(Arc<Blob>),
    /// In a file for each part of a multipart upload.
    Parts(Box<[Piece]>),
}

/// A part of an object.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Piece {
    pub(super) blob: Arc<Blob>,
    pub(super) size: u64,
    pub(super) checksum: Checksum,
}

impl Content {
    pub(super) fn blobs(&self) -> impl Iterator<Item = &Arc<Blob>> {
        let (one, parts) = match self {
            Self::Inline(_) => (None, [].as_slice()),
            Self::Blob(blob) => (Some(blob), [].as_slice()),
            Self::Parts(parts) => (None, &**parts),
        };
        one.into_iter().chain(parts.iter().map(|part| &part.blob))
    }

    pub(super) fn blobs_mut(&mut self) -> impl Iterator<Item = &mut Arc<Blob>> {
        let (one, parts) = match self {
            Self::Inline(_) => ([].as_mut_slice(), [].as_mut_slice()),
            Self::Blob(blob) => (slice::from_mut(blob), [].as_mut_slice()),
            Self::Parts(parts) => ([].as_mut_slice(), &mut **parts),
        };
        one.iter_mut()
            .chain(parts.iter_mut().map(|part| &mut part.blob))
    }
}

impl Object {
    pub(super) fn headers(&self) -> Headers {
        self.headers.as_deref().cloned().unwrap_or_default()
    }

    pub(super) fn etag(&self) -> dto::ETag {
        dto::ETag::Strong(self.etag.to_string())
    }

    /// S3 keeps whole seconds.
    pub(super) fn last_modified(&self) -> dto::Timestamp {
        seconds(self.modified_ms)
    }

    pub(super) fn checksum_algorithm(&self) -> Option<Algorithm> {
        self.checksum.as_ref().map(|sum| sum.algorithm)
    }

    /// Which bytes a part has, the first part being 1.
    pub(super) fn range_of_part(&self, number: u64) -> Option<Range<u64>> {
        let Content::Parts(parts) = &self.content else {
            return (number == 1).then_some(0..self.size);
        };
        let before = usize::try_from(number).ok()?.checked_sub(1)?;
        let start = parts.get(..before)?.iter().map(|part| part.size).sum();
        Some(start..start + parts.get(before)?.size)
    }
}

/// A moment as S3 tells it: in whole seconds.
pub(super) fn seconds(at_ms: i64) -> dto::Timestamp {
    let since = Duration::from_secs(u64::try_from(at_ms / 1000).unwrap_or_default());
    dto::Timestamp::from(UNIX_EPOCH + since)
}

mod base64_text {
    use base64::{Engine as _, prelude::BASE64_STANDARD};
    use bytes::Bytes;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(data: &Bytes, output: S) -> Result<S::Ok, S::Error> {
        output.serialize_str(&BASE64_STANDARD.encode(data))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<Bytes, D::Error> {
        let text = String::deserialize(input)?;
        let data = BASE64_STANDARD.decode(text);
        data.map(Bytes::from).map_err(serde::de::Error::custom)
    }
}
