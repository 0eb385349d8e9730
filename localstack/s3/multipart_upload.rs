//! CreateMultipartUpload, ListParts and AbortMultipartUpload; what uploads have in common.
//! Facts: "Uploading and copying objects using multipart upload" and "Amazon S3 multipart upload limits" of the user guide.

use std::sync::Arc;

use s3s::{S3Request, S3Response, S3Result, dto};
use uuid::Uuid;

use super::{
    checksum::{Algorithm, Kind, answer_checksum},
    failure,
    headers::headers_of,
    index::{AboutUpload, Bucket, Index, Part, Record, Upload},
    object::seconds,
    object_tagging::tags_of_header,
    store::Store,
};

/// More are never listed at once.
const MAX_PARTS_PER_LIST: i32 = 1000;

/// Which upload a request is about.
pub(super) struct Name<'a> {
    pub(super) bucket: &'a str,
    pub(super) key: &'a str,
    pub(super) upload_id: &'a str,
}

impl Name<'_> {
    pub(super) fn find<'i>(&self, index: &'i Index) -> S3Result<(&'i Bucket, &'i Upload)> {
        let bucket = index.bucket(self.bucket)?;
        let ids = (self.key.into(), self.upload_id.into());
        let upload = bucket.uploads.get(&ids);
        Ok((bucket, upload.ok_or_else(failure::no_such_upload)?))
    }
}

impl Store {
    pub(super) fn create_multipart_upload(
        &self,
        request: S3Request<dto::CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<dto::CreateMultipartUploadOutput>> {
        let input = request.input;
        let headers = headers_of!(input)?;
        let tags = input.tagging.as_deref().map(tags_of_header).transpose()?;
        let algorithm = input.checksum_algorithm.as_ref();
        let algorithm = algorithm.map(Algorithm::parse).transpose()?;
        let kind = kind_of(input.checksum_type.as_ref(), algorithm)?;
        let initiated_ms = self.context.clock.now_ms();
        // Ids of later uploads are greater, so that listings are in order.
        let upload_id = format!("{initiated_ms:013x}{}", Uuid::new_v4().simple());
        let mut output = dto::CreateMultipartUploadOutput {
            bucket: Some(input.bucket.clone()),
            key: Some(input.key.clone()),
            upload_id: Some(upload_id.clone()),
            checksum_algorithm: input.checksum_algorithm,
            checksum_type: kind.map(|kind| kind.as_str().to_owned().into()),
            server_side_encryption: Some(headers.encryption()),
            ..Default::default()
        };
        output.ssekms_key_id.clone_from(&headers.ssekms_key_id);
        output.bucket_key_enabled = headers.bucket_key_enabled;
        let about = Arc::new(AboutUpload {
            initiated_ms,
            algorithm,
            kind,
            headers,
            tags: tags.flatten(),
        });
        self.write(|index| {
            index.bucket(&input.bucket)?;
            let record = Record::CreateUpload {
                bucket: input.bucket.into(),
                key: input.key.into(),
                upload_id: upload_id.into(),
                about,
            };
            Ok((vec![record], ()))
        })?;
        Ok(S3Response::new(output))
    }

    pub(super) fn list_parts(
        &self,
        request: S3Request<dto::ListPartsInput>,
    ) -> S3Result<S3Response<dto::ListPartsOutput>> {
        let input = request.input;
        let name = Name {
            bucket: &input.bucket,
            key: &input.key,
            upload_id: &input.upload_id,
        };
        let max = input.max_parts.unwrap_or(MAX_PARTS_PER_LIST);
        let max = max.clamp(0, MAX_PARTS_PER_LIST);
        let marker = input.part_number_marker.unwrap_or_default();
        let first = u16::try_from(marker.saturating_add(1)).unwrap_or(u16::MAX);
        let (parts, more, about) = self.read(|index| {
            let upload = name.find(index)?.1;
            let mut rest = upload.parts.range(first..);
            let parts = rest.by_ref().take(max as usize);
            let parts: Vec<_> = parts.map(|(number, part)| listed(*number, part)).collect();
            Ok((parts, rest.next().is_some(), upload.about.clone()))
        })?;
        let last = parts.last().and_then(|part| part.part_number);
        Ok(S3Response::new(dto::ListPartsOutput {
            checksum_algorithm: about.algorithm.map(|a| a.as_str().to_owned().into()),
            checksum_type: about.kind.map(|kind| kind.as_str().to_owned().into()),
            is_truncated: Some(more),
            max_parts: Some(max),
            next_part_number_marker: last.or(Some(marker)),
            owner: Some(self.owner()),
            initiator: Some(self.initiator()),
            part_number_marker: Some(marker),
            parts: Some(parts),
            storage_class: Some(about.headers.listed_class().as_str().to_owned().into()),
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(input.upload_id),
            ..Default::default()
        }))
    }

    pub(super) fn abort_multipart_upload(
        &self,
        request: S3Request<dto::AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<dto::AbortMultipartUploadOutput>> {
        let input = request.input;
        let name = Name {
            bucket: &input.bucket,
            key: &input.key,
            upload_id: &input.upload_id,
        };
        self.write(|index| {
            name.find(index)?;
            let record = Record::AbortUpload {
                bucket: name.bucket.into(),
                key: name.key.into(),
                upload_id: name.upload_id.into(),
            };
            Ok((vec![record], ()))
        })?;
        Ok(S3Response::new(dto::AbortMultipartUploadOutput::default()))
    }

    pub(super) fn initiator(&self) -> dto::Initiator {
        dto::Initiator {
            display_name: None,
            id: Some(self.context.account.clone()),
        }
    }
}

fn kind_of(
    asked: Option<&dto::ChecksumType>,
    algorithm: Option<Algorithm>,
) -> S3Result<Option<Kind>> {
    let kind = match asked.map(dto::ChecksumType::as_str) {
        None => return Ok(algorithm.map(Algorithm::usual_kind)),
        Some(dto::ChecksumType::FULL_OBJECT) => Kind::FullObject,
        Some(dto::ChecksumType::COMPOSITE) => Kind::Composite,
        Some(_) => {
            return Err(failure::invalid_request(
                "Value for x-amz-checksum-type header is invalid.",
            ));
        }
    };
    match algorithm {
        Some(algorithm) if algorithm.allows(kind) => Ok(Some(kind)),
        Some(algorithm) => Err(failure::invalid_request(format!(
            "The {} checksum type cannot be used with the {} checksum algorithm.",
            kind.as_str(),
            algorithm.as_str().to_lowercase(),
        ))),
        None => Err(failure::invalid_request(
            "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.",
        )),
    }
}

fn listed(number: u16, part: &Part) -> dto::Part {
    let mut answer = dto::Part {
        e_tag: Some(dto::ETag::Strong(part.etag.to_string())),
        last_modified: Some(seconds(part.modified_ms)),
        part_number: Some(i32::from(number)),
        size: i64::try_from(part.piece.size).ok(),
        ..Default::default()
    };
    answer_checksum!(answer, Some(&part.piece.checksum));
    answer
}
