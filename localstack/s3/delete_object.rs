//! DeleteObject and DeleteObjects.

use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result, dto};

use super::{failure, index::Bucket, index::Record, store::Store};

/// Of the API reference.
const MAX_KEYS_PER_DELETE: usize = 1000;

impl Store {
    pub(super) fn delete_object(
        &self,
        request: S3Request<dto::DeleteObjectInput>,
    ) -> S3Result<S3Response<dto::DeleteObjectOutput>> {
        let input = request.input;
        if input.if_match_last_modified_time.is_some() || input.if_match_size.is_some() {
            return Err(failure::not_implemented("x-amz-if-match-size"));
        }
        self.write(|index| {
            let bucket = index.bucket(&input.bucket)?;
            let etag = input
                .if_match
                .as_ref()
                .and_then(dto::ETagCondition::as_etag);
            let record = deletion(&input.bucket, bucket, &input.key, etag)?;
            Ok((record.into_iter().collect(), ()))
        })?;
        Ok(S3Response::new(dto::DeleteObjectOutput::default()))
    }

    pub(super) fn delete_objects(
        &self,
        request: S3Request<dto::DeleteObjectsInput>,
    ) -> S3Result<S3Response<dto::DeleteObjectsOutput>> {
        let dto::DeleteObjectsInput { bucket, delete, .. } = request.input;
        if delete.objects.is_empty() || delete.objects.len() > MAX_KEYS_PER_DELETE {
            return Err(S3Error::with_message(
                S3ErrorCode::MalformedXML,
                "The XML you provided was not well-formed or did not validate against our published schema",
            ));
        }
        let (mut deleted, mut errors) = (Vec::new(), Vec::new());
        self.write(|index| {
            let found = index.bucket(&bucket)?;
            let mut records = Vec::new();
            for object in delete.objects {
                match asked(&bucket, found, &object) {
                    Ok(record) => {
                        records.extend(record);
                        deleted.push(dto::DeletedObject {
                            key: Some(object.key),
                            ..Default::default()
                        });
                    }
                    Err(error) => errors.push(dto::Error {
                        code: Some(error.code().as_str().to_owned()),
                        message: error.message().map(ToOwned::to_owned),
                        key: Some(object.key),
                        version_id: object.version_id,
                    }),
                }
            }
            Ok((records, ()))
        })?;
        let loud = delete.quiet != Some(true);
        Ok(S3Response::new(dto::DeleteObjectsOutput {
            deleted: (loud && !deleted.is_empty()).then_some(deleted),
            errors: (!errors.is_empty()).then_some(errors),
            ..Default::default()
        }))
    }
}

fn asked(name: &str, bucket: &Bucket, object: &dto::ObjectIdentifier) -> S3Result<Option<Record>> {
    if object.version_id.as_deref().is_some_and(|id| id != "null") {
        let text = "The specified version does not exist.";
        return Err(S3Error::with_message(S3ErrorCode::NoSuchVersion, text));
    }
    deletion(name, bucket, &object.key, object.e_tag.as_ref())
}

/// Deleting what is not there succeeds, also under a condition.
fn deletion(
    name: &str,
    bucket: &Bucket,
    key: &str,
    etag: Option<&dto::ETag>,
) -> S3Result<Option<Record>> {
    let Some(object) = bucket.objects.get(key) else {
        return Ok(None);
    };
    // A star is met by any object; the parser of the request body knows it as an ETag.
    if etag.is_some_and(|etag| etag.value() != "*" && etag.value() != &*object.etag) {
        return Err(failure::precondition_failed());
    }
    Ok(Some(Record::DeleteObject {
        bucket: name.into(),
        key: key.into(),
    }))
}
