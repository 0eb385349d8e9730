//! UploadPart and UploadPartCopy.

use std::{ops::Range, sync::Arc};

use s3s::{S3Request, S3Response, S3Result, dto};

use super::{
    checksum::{Algorithm, answer_checksum, given_checksum},
    condition::OfRead,
    copy_object::source_of,
    draft::{Claims, Place, Written, receive},
    failure,
    index::{Part, Record},
    multipart_upload::Name,
    object::{Content, Piece, seconds},
    store::Store,
};

/// Of "Amazon S3 multipart upload limits".
const MAX_PART_NUMBER: u16 = 10_000;

impl Store {
    pub(super) async fn upload_part(
        &self,
        mut request: S3Request<dto::UploadPartInput>,
    ) -> S3Result<S3Response<dto::UploadPartOutput>> {
        let input = &mut request.input;
        if input.sse_customer_key.is_some() {
            return Err(failure::not_implemented(
                "x-amz-server-side-encryption-customer-key",
            ));
        }
        let number = part_number(input.part_number)?;
        let name = Name {
            bucket: &input.bucket,
            key: &input.key,
            upload_id: &input.upload_id,
        };
        let about = self.read(|index| Ok(name.find(index)?.1.about.clone()))?;
        let given = given_checksum!(input)?;
        let asked = input.checksum_algorithm.as_ref();
        let asked = asked.map(Algorithm::parse).transpose()?;
        let stated = given.as_ref().map(|sum| sum.algorithm).or(asked);
        if let (Some(expected), Some(stated)) = (about.algorithm, stated)
            && expected != stated
        {
            return Err(failure::invalid_request(format!(
                "Checksum Type mismatch occurred, expected checksum Type: {}, actual checksum Type: {}",
                expected.as_str().to_lowercase(),
                stated.as_str().to_lowercase(),
            )));
        }
        let claims = Claims {
            content_md5: input.content_md5.take(),
            checksum: given,
            algorithm: asked.or(about.algorithm),
            trailers: request.trailing_headers.take(),
        };
        let written = receive(&self.blobs, Place::File, input.body.take(), claims).await?;
        let part = self.put_part(&name, number, written)?;
        let mut output = dto::UploadPartOutput {
            e_tag: Some(dto::ETag::Strong(part.etag.to_string())),
            server_side_encryption: Some(about.headers.encryption()),
            ..Default::default()
        };
        answer_checksum!(output, Some(&part.piece.checksum));
        Ok(S3Response::new(output))
    }

    pub(super) async fn upload_part_copy(
        self: &Arc<Self>,
        request: S3Request<dto::UploadPartCopyInput>,
    ) -> S3Result<S3Response<dto::UploadPartCopyOutput>> {
        let input = request.input;
        let number = part_number(input.part_number)?;
        let name = Name {
            bucket: &input.bucket,
            key: &input.key,
            upload_id: &input.upload_id,
        };
        let about = self.read(|index| Ok(name.find(index)?.1.about.clone()))?;
        let (bucket, key) = source_of(&input.copy_source)?;
        let source = self.object(bucket, key)?;
        let condition = OfRead {
            if_match: input.copy_source_if_match,
            if_none_match: input.copy_source_if_none_match,
            if_modified_since: input.copy_source_if_modified_since,
            if_unmodified_since: input.copy_source_if_unmodified_since,
        };
        condition.check_source(&source)?;
        let range = match &input.copy_source_range {
            None => 0..source.size,
            Some(text) => source_range(text, source.size)?,
        };
        let written = self
            .rewritten(source, range, Place::File, about.algorithm)
            .await?;
        let part = self.put_part(&name, number, written)?;
        let mut result = dto::CopyPartResult {
            e_tag: Some(dto::ETag::Strong(part.etag.to_string())),
            last_modified: Some(seconds(part.modified_ms)),
            ..Default::default()
        };
        answer_checksum!(result, Some(&part.piece.checksum));
        Ok(S3Response::new(dto::UploadPartCopyOutput {
            copy_part_result: Some(result),
            server_side_encryption: Some(about.headers.encryption()),
            ..Default::default()
        }))
    }

    fn put_part(&self, name: &Name<'_>, number: u16, written: Written) -> S3Result<Part> {
        let Content::Blob(blob) = written.content else {
            return Err(failure::internal(std::io::ErrorKind::InvalidData.into()));
        };
        let part = Part {
            etag: hex::encode(written.md5).into(),
            modified_ms: self.context.clock.now_ms(),
            piece: Piece {
                blob,
                size: written.size,
                checksum: written.checksum,
            },
        };
        self.write(|index| {
            name.find(index)?;
            let record = Record::PutPart {
                bucket: name.bucket.into(),
                key: name.key.into(),
                upload_id: name.upload_id.into(),
                number,
                part: part.clone(),
            };
            Ok((vec![record], ()))
        })?;
        Ok(part)
    }
}

pub(super) fn part_number(given: i32) -> S3Result<u16> {
    let number = u16::try_from(given).ok();
    number
        .filter(|number| (1..=MAX_PART_NUMBER).contains(number))
        .ok_or_else(|| {
            failure::invalid_argument(
                "Part number must be an integer between 1 and 10000, inclusive",
            )
        })
}

fn source_range(text: &str, size: u64) -> S3Result<Range<u64>> {
    let invalid = || {
        failure::invalid_argument(
            "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based offsets of the first and last bytes to copy",
        )
    };
    match dto::Range::parse(text) {
        Ok(dto::Range::Int {
            first,
            last: Some(last),
        }) if last < size => Ok(first..last + 1),
        Ok(dto::Range::Int { last: Some(_), .. }) => Err(failure::invalid_argument(format!(
            "Range specified is not valid for source object of size: {size}"
        ))),
        _ => Err(invalid()),
    }
}
