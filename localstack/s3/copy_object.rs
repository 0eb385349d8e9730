//! CopyObject, and what it shares with UploadPartCopy.

use std::{ops::Range, sync::Arc};

use http::{
    HeaderMap,
    header::{HeaderName, IF_MATCH, IF_NONE_MATCH},
};
use s3s::{S3Request, S3Response, S3Result, dto, dto::CopySource};
use tokio::task::spawn_blocking;

use super::{
    checksum::{Algorithm, answer_checksum},
    condition::{OfRead, OfWrite},
    draft::{Draft, Place, Written},
    failure,
    headers::{Headers, headers_of},
    index::Record,
    object::{Content, Object, Tags},
    object_tagging::tags_of_header,
    send::Reader,
    store::Store,
};

/// S3's limit for what CopyObject copies.
const MAX_COPY: u64 = 5 * 1024 * 1024 * 1024;

impl Store {
    pub(super) async fn copy_object(
        self: &Arc<Self>,
        request: S3Request<dto::CopyObjectInput>,
    ) -> S3Result<S3Response<dto::CopyObjectOutput>> {
        let input = &request.input;
        let said = headers_of!(input)?;
        let condition = OfWrite {
            if_match: condition(&request.headers, &IF_MATCH)?,
            if_none_match: condition(&request.headers, &IF_NONE_MATCH)?,
        }
        .under(&request.extensions);
        let (bucket, key) = source_of(&input.copy_source)?;
        let source = self.object(bucket, key)?;
        let of_source = OfRead {
            if_match: input.copy_source_if_match.clone(),
            if_none_match: input.copy_source_if_none_match.clone(),
            if_modified_since: input.copy_source_if_modified_since.clone(),
            if_unmodified_since: input.copy_source_if_unmodified_since.clone(),
        };
        of_source.check_source(&source)?;
        if source.size > MAX_COPY {
            return Err(failure::invalid_request(
                "The specified copy source is larger than the maximum allowable size for a copy source: 5368709120",
            ));
        }
        let itself = (bucket, key) == (&*input.bucket, &*input.key);
        let headers = headers_of_copy(input, &source, said, itself)?;
        let tags = tags_of_copy(input, &source)?;
        let algorithm = input.checksum_algorithm.as_ref();
        let algorithm = algorithm.map(Algorithm::parse).transpose()?;
        let written = self.copied(source, algorithm).await?;
        let object = Arc::new(written.into_object(self.context.clock.now_ms(), headers, tags));
        self.write(|index| {
            let current = index.bucket(&input.bucket)?.objects.get(input.key.as_str());
            condition.check(current.map(AsRef::as_ref))?;
            let record = Record::PutObject {
                bucket: input.bucket.as_str().into(),
                key: input.key.as_str().into(),
                object: object.clone(),
            };
            Ok((vec![record], ()))
        })?;
        Ok(S3Response::new(answer(&object)))
    }

    /// The content of an object once more. Without another checksum and in one piece it is only linked.
    async fn copied(
        self: &Arc<Self>,
        source: Arc<Object>,
        algorithm: Option<Algorithm>,
    ) -> S3Result<Written> {
        let algorithm = algorithm.or(source.checksum_algorithm());
        let known = source
            .checksum
            .clone()
            .filter(|sum| Some(sum.algorithm) == algorithm);
        let mut md5 = [0; 16];
        if let Some(checksum) = known
            && hex::decode_to_slice(&*source.etag, &mut md5).is_ok()
        {
            let content = match &source.content {
                Content::Inline(data) => Some(Content::Inline(data.clone())),
                // Where the file system has no links, it is copied like the rest.
                Content::Blob(blob) => self.blobs.link(blob).ok().map(Content::Blob),
                Content::Parts(_) => None,
            };
            if let Some(content) = content {
                return Ok(Written {
                    size: source.size,
                    md5,
                    content,
                    checksum,
                });
            }
        }
        let range = 0..source.size;
        self.rewritten(source, range, Place::Anywhere, algorithm)
            .await
    }

    /// Reads bytes of an object and writes them again.
    pub(super) async fn rewritten(
        self: &Arc<Self>,
        source: Arc<Object>,
        range: Range<u64>,
        place: Place,
        algorithm: Option<Algorithm>,
    ) -> S3Result<Written> {
        let store = self.clone();
        let work = move || {
            let algorithm = algorithm.unwrap_or(Algorithm::Crc64nvme);
            let mut draft = Draft::new(&store.blobs, place, algorithm);
            let mut reader = Reader::new(source, range);
            while let Some(data) = reader.next()? {
                draft.write(&data)?;
            }
            draft.finish()
        };
        let done = spawn_blocking(work).await;
        done.unwrap_or_else(|panicked| Err(panicked.into()))
            .map_err(failure::internal)
    }
}

/// Bucket and key that an `x-amz-copy-source` names.
pub(super) fn source_of(source: &CopySource) -> S3Result<(&str, &str)> {
    match source {
        CopySource::Bucket {
            bucket,
            key,
            version_id,
        } if version_id.as_deref().is_none_or(|id| id == "null") => Ok((bucket, key)),
        CopySource::Bucket { .. } => Err(failure::invalid_argument("Invalid version id specified")),
        _ => Err(failure::not_implemented(
            "x-amz-copy-source of an access point",
        )),
    }
}

/// `s3s` does not know the conditions of CopyObject on its target yet.
fn condition(headers: &HeaderMap, name: &HeaderName) -> S3Result<Option<dto::ETagCondition>> {
    let parse = |value: &http::HeaderValue| {
        dto::ETagCondition::parse_http_header(value.as_bytes())
            .map_err(|_| failure::invalid_argument(format!("Invalid {name}")))
    };
    headers.get(name).map(parse).transpose()
}

fn headers_of_copy(
    input: &dto::CopyObjectInput,
    source: &Object,
    said: Headers,
    itself: bool,
) -> S3Result<Headers> {
    let directive = input.metadata_directive.as_ref();
    let replace = directive.is_some_and(|d| d.as_str() == dto::MetadataDirective::REPLACE);
    if replace {
        return Ok(said);
    }
    let changes = input.storage_class.is_some()
        || said.website_redirect_location.is_some()
        || input.server_side_encryption.is_some();
    if itself && !changes {
        return Err(failure::invalid_request(
            "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes.",
        ));
    }
    // These are never taken over.
    Ok(Headers {
        storage_class: said.storage_class,
        website_redirect_location: said.website_redirect_location,
        server_side_encryption: said.server_side_encryption,
        ssekms_key_id: said.ssekms_key_id,
        bucket_key_enabled: said.bucket_key_enabled,
        ..source.headers()
    })
}

fn tags_of_copy(input: &dto::CopyObjectInput, source: &Object) -> S3Result<Option<Tags>> {
    let directive = input.tagging_directive.as_ref();
    if directive.is_some_and(|d| d.as_str() == dto::TaggingDirective::REPLACE) {
        let tags = input.tagging.as_deref().map(tags_of_header).transpose()?;
        return Ok(tags.flatten());
    }
    Ok(source.tags.clone())
}

fn answer(object: &Object) -> dto::CopyObjectOutput {
    let mut result = dto::CopyObjectResult {
        e_tag: Some(object.etag()),
        last_modified: Some(object.last_modified()),
        ..Default::default()
    };
    answer_checksum!(result, &object.checksum);
    let headers = object.headers();
    dto::CopyObjectOutput {
        copy_object_result: Some(result),
        server_side_encryption: Some(headers.encryption()),
        ssekms_key_id: headers.ssekms_key_id,
        bucket_key_enabled: headers.bucket_key_enabled,
        ..Default::default()
    }
}
