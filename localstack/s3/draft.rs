//! A body on its way into the store: hashed while it is written, verified before anybody can see it.

use std::{
    fs::File,
    io::{self, Write as _},
    sync::Arc,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use s3s::{
    Body, S3Error, S3ErrorCode, S3Result, TrailingHeaders,
    crypto::{Checksum as _, Md5},
    dto::StreamingBlob,
};

use super::{
    blob::{Blob, Blobs},
    checksum::{Algorithm, Checksum, Hasher},
    failure,
    object::Content,
};

/// Bodies up to this size live in the index: most of what Metaflow and the launch protocol write is smaller.
const MAX_INLINE: usize = 512;

/// S3's limit for one upload.
const MAX_UPLOAD: u64 = 5 * 1024 * 1024 * 1024;

/// Where a body goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Into the index when it is small.
    Anywhere,
    /// Into a file: parts of uploads.
    File,
}

/// What is being written.
pub(super) struct Draft<'a> {
    blobs: &'a Blobs,
    place: Place,
    buffer: Vec<u8>,
    file: Option<(Arc<Blob>, File)>,
    size: u64,
    md5: Md5,
    hasher: Hasher,
}

/// What was written. Its blob is removed again unless it is indexed.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) size: u64,
    pub(super) md5: [u8; 16],
    pub(super) content: Content,
    pub(super) checksum: Checksum,
}

/// What a client says about the body that it sends.
#[derive(Debug, Default)]
pub(super) struct Claims {
    pub(super) content_md5: Option<String>,
    /// From a header.
    pub(super) checksum: Option<Checksum>,
    /// Which checksum is to be kept, or comes behind the body.
    pub(super) algorithm: Option<Algorithm>,
    pub(super) trailers: Option<TrailingHeaders>,
}

impl<'a> Draft<'a> {
    pub(super) fn new(blobs: &'a Blobs, place: Place, algorithm: Algorithm) -> Self {
        Self {
            blobs,
            place,
            buffer: Vec::new(),
            file: None,
            size: 0,
            md5: Md5::new(),
            hasher: algorithm.hasher(),
        }
    }

    pub(super) fn write(&mut self, data: &[u8]) -> io::Result<()> {
        self.size += data.len() as u64;
        self.md5.update(data);
        self.hasher.update(data);
        if self.file.is_none() && self.buffer.len() + data.len() <= MAX_INLINE {
            self.buffer.extend_from_slice(data);
            return Ok(());
        }
        self.file()?.write_all(data)
    }

    pub(super) fn finish(mut self) -> io::Result<Written> {
        if self.place == Place::File {
            self.file()?;
        }
        let content = match self.file {
            Some((blob, _)) => Content::Blob(blob),
            None => Content::Inline(Bytes::from(self.buffer)),
        };
        Ok(Written {
            size: self.size,
            md5: self.md5.finalize(),
            content,
            checksum: self.hasher.finish(),
        })
    }

    /// The file, with all that was buffered in it.
    fn file(&mut self) -> io::Result<&mut File> {
        if self.file.is_none() {
            let (blob, mut file) = self.blobs.create()?;
            file.write_all(&self.buffer)?;
            self.file = Some((blob, file));
        }
        let file = self.file.as_mut().map(|(_, file)| file);
        file.ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// Receives a body and verifies what the client says about it.
pub(super) async fn receive(
    blobs: &Blobs,
    place: Place,
    body: Option<StreamingBlob>,
    claims: Claims,
) -> S3Result<Written> {
    let stated = claims.checksum.as_ref().map(|sum| sum.algorithm);
    let algorithm = stated.or(claims.algorithm).unwrap_or(Algorithm::Crc64nvme);
    let mut draft = Draft::new(blobs, place, algorithm);
    let mut body = body.map(Body::from).unwrap_or_default();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| failure::broken_body(&error))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        draft.write(&data).map_err(failure::internal)?;
        if draft.size > MAX_UPLOAD {
            let text = "Your proposed upload exceeds the maximum allowed size";
            return Err(S3Error::with_message(S3ErrorCode::EntityTooLarge, text));
        }
    }
    let written = draft.finish().map_err(failure::internal)?;
    verify(&written, &claims)?;
    Ok(written)
}

fn verify(written: &Written, claims: &Claims) -> S3Result<()> {
    if let Some(text) = &claims.content_md5 {
        let digest = BASE64_STANDARD.decode(text).unwrap_or_default();
        if digest.len() != written.md5.len() {
            let text = "The Content-MD5 you specified was invalid.";
            return Err(S3Error::with_message(S3ErrorCode::InvalidDigest, text));
        }
        if digest != written.md5 {
            let text = "The Content-MD5 you specified did not match what we received.";
            return Err(S3Error::with_message(S3ErrorCode::BadDigest, text));
        }
    }
    let algorithm = written.checksum.algorithm;
    let stated = claims.checksum.as_ref().map(|sum| sum.value.to_string());
    let trailing = || {
        let read = |headers: &http::HeaderMap| {
            let value = headers.get(algorithm.header())?.to_str().ok()?;
            Some(value.trim().to_owned())
        };
        claims.trailers.as_ref()?.read(read)?
    };
    match stated.or_else(trailing) {
        Some(value) if value != *written.checksum.value => Err(S3Error::with_message(
            S3ErrorCode::BadDigest,
            format!(
                "The {} you specified did not match the calculated checksum.",
                algorithm.as_str()
            ),
        )),
        _ => Ok(()),
    }
}
