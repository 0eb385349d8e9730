//! CompleteMultipartUpload.

use std::sync::Arc;

use s3s::{
    S3Error, S3ErrorCode, S3Request, S3Response, S3Result,
    crypto::{Checksum as _, Md5},
    dto,
};

use super::{
    checksum::{Algorithm, Checksum, answer_checksum, given_checksum},
    condition::OfWrite,
    failure,
    index::{AboutUpload, Index, Part, Record, Upload},
    multipart_upload::Name,
    object::{Content, Object},
    store::Store,
    upload_part::part_number,
};

/// All parts but the last ("Amazon S3 multipart upload limits").
const MIN_PART: u64 = 5 * 1024 * 1024;

impl Store {
    pub(super) fn complete_multipart_upload(
        &self,
        request: S3Request<dto::CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<dto::CompleteMultipartUploadOutput>> {
        let input = request.input;
        let given = given_checksum!(input)?;
        let condition = OfWrite {
            if_match: input.if_match.clone(),
            if_none_match: input.if_none_match.clone(),
        }
        .under(&request.extensions);
        let name = Name {
            bucket: &input.bucket,
            key: &input.key,
            upload_id: &input.upload_id,
        };
        let modified_ms = self.context.clock.now_ms();
        let object = self.write(|index| {
            if let Some(done) = completed_before(index, &name) {
                return Ok((Vec::new(), done));
            }
            let (bucket, upload) = name.find(index)?;
            let object = assembled(&input, upload, given.as_ref(), modified_ms)?;
            condition.check(bucket.objects.get(name.key).map(AsRef::as_ref))?;
            let object = Arc::new(object);
            let record = Record::CompleteUpload {
                bucket: name.bucket.into(),
                key: name.key.into(),
                upload_id: name.upload_id.into(),
                object: object.clone(),
            };
            Ok((vec![record], object))
        })?;
        let endpoint = &self.context.endpoint;
        let mut output = dto::CompleteMultipartUploadOutput {
            location: Some(format!("{endpoint}/{}/{}", input.bucket, input.key)),
            e_tag: Some(object.etag()),
            server_side_encryption: Some(object.headers().encryption()),
            bucket: Some(input.bucket),
            key: Some(input.key),
            ..Default::default()
        };
        if let Some(checksum) = &object.checksum {
            output.checksum_type = Some(checksum.kind().as_str().to_owned().into());
        }
        answer_checksum!(output, &object.checksum);
        Ok(S3Response::new(output))
    }
}

/// The object, when this upload made it: completing twice succeeds twice, which a client needs that lost the first answer.
fn completed_before(index: &Index, name: &Name<'_>) -> Option<Arc<Object>> {
    let object = index.buckets.get(name.bucket)?.objects.get(name.key)?;
    (object.upload_id.as_deref() == Some(name.upload_id)).then(|| object.clone())
}

/// The object that the named parts make.
fn assembled(
    input: &dto::CompleteMultipartUploadInput,
    upload: &Upload,
    given: Option<&Checksum>,
    modified_ms: i64,
) -> S3Result<Object> {
    let about = &upload.about;
    let parts = chosen(input, upload)?;
    let size = parts.iter().map(|part| part.piece.size).sum();
    if let Some(stated) = input.mpu_object_size
        && u64::try_from(stated) != Ok(size)
    {
        return Err(failure::invalid_request(format!(
            "The provided 'x-amz-mp-object-size' header value {stated} does not match what was computed: {size}"
        )));
    }
    let checksum = checksum_of(about, &parts);
    if let (Some(given), Some(computed)) = (given, &checksum)
        && given.algorithm == computed.algorithm
        && given.value != computed.value
        && given.kind() == computed.kind()
    {
        let text = format!(
            "The {} you specified did not match the calculated checksum.",
            given.algorithm.as_str()
        );
        return Err(S3Error::with_message(S3ErrorCode::BadDigest, text));
    }
    let mut md5 = Md5::new();
    for part in &parts {
        md5.update(&hex::decode(&*part.etag).unwrap_or_default());
    }
    Ok(Object {
        size,
        modified_ms,
        etag: format!("{}-{}", hex::encode(md5.finalize()), parts.len()).into(),
        content: Content::Parts(parts.iter().map(|part| part.piece.clone()).collect()),
        checksum,
        headers: about.headers.clone().boxed(),
        tags: about.tags.clone(),
        upload_id: Some(input.upload_id.as_str().into()),
    })
}

fn chosen<'u>(
    input: &dto::CompleteMultipartUploadInput,
    upload: &'u Upload,
) -> S3Result<Vec<&'u Part>> {
    let named = input.multipart_upload.as_ref();
    let named = named.and_then(|upload| upload.parts.as_deref());
    let named = named.filter(|parts| !parts.is_empty()).ok_or_else(|| {
        S3Error::with_message(
            S3ErrorCode::MalformedXML,
            "The XML you provided was not well-formed or did not validate against our published schema",
        )
    })?;
    let invalid = || {
        S3Error::with_message(
            S3ErrorCode::InvalidPart,
            "One or more of the specified parts could not be found.  The part may not have been uploaded, or the specified entity tag may not match the part's entity tag.",
        )
    };
    let mut parts: Vec<&Part> = Vec::with_capacity(named.len());
    let mut before = 0;
    for one in named {
        let number = part_number(one.part_number.unwrap_or_default())?;
        if number <= before {
            return Err(S3Error::with_message(
                S3ErrorCode::InvalidPartOrder,
                "The list of parts was not in ascending order. Parts must be ordered by part number.",
            ));
        }
        before = number;
        let part = upload.parts.get(&number).ok_or_else(invalid)?;
        let etag = one.e_tag.as_ref().map(dto::ETag::value);
        let checksum = given_checksum!(one)?;
        let other = checksum.is_some_and(|sum| {
            sum.algorithm == part.piece.checksum.algorithm && sum != part.piece.checksum
        });
        if etag != Some(&*part.etag) || other {
            return Err(invalid());
        }
        parts.push(part);
    }
    let all_but_last = &parts[..parts.len() - 1];
    if all_but_last.iter().any(|part| part.piece.size < MIN_PART) {
        return Err(S3Error::with_message(
            S3ErrorCode::EntityTooSmall,
            "Your proposed upload is smaller than the minimum allowed size",
        ));
    }
    Ok(parts)
}

/// `None` when the parts have no checksum in common.
fn checksum_of(about: &AboutUpload, parts: &[&Part]) -> Option<Checksum> {
    let algorithm = about.algorithm.unwrap_or(Algorithm::Crc64nvme);
    let kind = about.kind.unwrap_or_else(|| algorithm.usual_kind());
    let sums = parts.iter().map(|part| {
        let sum = &part.piece.checksum;
        (sum.algorithm == algorithm).then_some((sum, part.piece.size))
    });
    Checksum::of_parts(algorithm, kind, &sums.collect::<Option<Vec<_>>>()?)
}
