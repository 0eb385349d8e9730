//! PutObject.

use std::sync::Arc;

use s3s::{S3Request, S3Response, S3Result, dto};

use super::{
    checksum::{Algorithm, answer_checksum, given_checksum},
    condition::OfWrite,
    draft::{Claims, Place, Written, receive},
    failure,
    headers::{Headers, headers_of},
    index::Record,
    object::{Object, Tags},
    object_tagging::tags_of_header,
    store::Store,
};

impl Store {
    pub(super) async fn put_object(
        &self,
        mut request: S3Request<dto::PutObjectInput>,
    ) -> S3Result<S3Response<dto::PutObjectOutput>> {
        let input = &mut request.input;
        if input.write_offset_bytes.is_some() {
            return Err(failure::not_implemented("x-amz-write-offset-bytes"));
        }
        let headers = headers_of!(input)?;
        let tags = input.tagging.as_deref().map(tags_of_header).transpose()?;
        let claims = Claims {
            content_md5: input.content_md5.take(),
            checksum: given_checksum!(input)?,
            algorithm: input
                .checksum_algorithm
                .as_ref()
                .map(Algorithm::parse)
                .transpose()?,
            trailers: request.trailing_headers.take(),
        };
        let condition = OfWrite {
            if_match: input.if_match.take(),
            if_none_match: input.if_none_match.take(),
        }
        .under(&request.extensions);
        let written = receive(&self.blobs, Place::Anywhere, input.body.take(), claims).await?;
        let object = self.index_object(input, &condition, written, headers, tags.flatten())?;
        let mut output = dto::PutObjectOutput {
            e_tag: Some(object.etag()),
            ..Default::default()
        };
        let headers = object.headers();
        output.server_side_encryption = Some(headers.encryption());
        output.ssekms_key_id = headers.ssekms_key_id;
        output.bucket_key_enabled = headers.bucket_key_enabled;
        if let Some(checksum) = &object.checksum {
            output.checksum_type = Some(checksum.kind().as_str().to_owned().into());
        }
        answer_checksum!(output, &object.checksum);
        Ok(S3Response::new(output))
    }

    fn index_object(
        &self,
        input: &dto::PutObjectInput,
        condition: &OfWrite,
        written: Written,
        headers: Headers,
        tags: Option<Tags>,
    ) -> S3Result<Arc<Object>> {
        let object = Arc::new(written.into_object(self.context.clock.now_ms(), headers, tags));
        self.write(|index| {
            let bucket = index.bucket(&input.bucket)?;
            let current = bucket.objects.get(input.key.as_str());
            condition.check(current.map(AsRef::as_ref))?;
            let record = Record::PutObject {
                bucket: input.bucket.as_str().into(),
                key: input.key.as_str().into(),
                object: object.clone(),
            };
            Ok((vec![record], ()))
        })?;
        Ok(object)
    }
}

impl Written {
    pub(super) fn into_object(
        self,
        modified_ms: i64,
        headers: Headers,
        tags: Option<Tags>,
    ) -> Object {
        Object {
            size: self.size,
            modified_ms,
            etag: hex::encode(self.md5).into(),
            content: self.content,
            checksum: Some(self.checksum),
            headers: headers.boxed(),
            tags,
            upload_id: None,
        }
    }
}
