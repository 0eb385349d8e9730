//! Tags of objects: GetObjectTagging, PutObjectTagging, DeleteObjectTagging and the header of writes.

use std::{collections::BTreeSet, sync::Arc};

use http::StatusCode;
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result, dto};

use super::{
    failure,
    index::Record,
    object::{Object, Tags},
    store::Store,
};

/// Limits of "Categorizing your objects using tags" in the user guide.
const MAX_TAGS: usize = 10;
const MAX_NAME: usize = 128;
const MAX_VALUE: usize = 256;

impl Store {
    pub(super) fn get_object_tagging(
        &self,
        request: S3Request<dto::GetObjectTaggingInput>,
    ) -> S3Result<S3Response<dto::GetObjectTaggingOutput>> {
        let object = self.object(&request.input.bucket, &request.input.key)?;
        let tags = object.tags.as_deref().unwrap_or_default().iter().cloned();
        let tag = |(key, value)| dto::Tag {
            key: Some(key),
            value: Some(value),
        };
        Ok(S3Response::new(dto::GetObjectTaggingOutput {
            tag_set: tags.map(tag).collect(),
            version_id: None,
        }))
    }

    pub(super) fn put_object_tagging(
        &self,
        request: S3Request<dto::PutObjectTaggingInput>,
    ) -> S3Result<S3Response<dto::PutObjectTaggingOutput>> {
        let tags = request.input.tagging.tag_set.into_iter();
        let tags = tags.map(|tag| (tag.key.unwrap_or_default(), tag.value.unwrap_or_default()));
        let tags = checked(tags.collect())?;
        self.set_tags(&request.input.bucket, &request.input.key, tags)?;
        Ok(S3Response::new(dto::PutObjectTaggingOutput::default()))
    }

    pub(super) fn delete_object_tagging(
        &self,
        request: S3Request<dto::DeleteObjectTaggingInput>,
    ) -> S3Result<S3Response<dto::DeleteObjectTaggingOutput>> {
        self.set_tags(&request.input.bucket, &request.input.key, None)?;
        Ok(S3Response::new(dto::DeleteObjectTaggingOutput::default()))
    }

    fn set_tags(&self, bucket: &str, key: &str, tags: Option<Tags>) -> S3Result<()> {
        self.write(|index| {
            let object = index.bucket(bucket)?.object(key)?;
            let object = Arc::new(Object {
                size: object.size,
                modified_ms: object.modified_ms,
                etag: object.etag.clone(),
                content: object.content.clone(),
                checksum: object.checksum.clone(),
                headers: object.headers.clone(),
                tags,
                upload_id: object.upload_id.clone(),
            });
            let record = Record::PutObject {
                bucket: bucket.into(),
                key: key.into(),
                object,
            };
            Ok((vec![record], ()))
        })
    }
}

/// Reads `x-amz-tagging`, which is a query string.
pub(super) fn tags_of_header(text: &str) -> S3Result<Option<Tags>> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        Some((decoded(name)?, decoded(value)?))
    });
    let tags = pairs.collect::<Option<Vec<_>>>();
    checked(tags.ok_or_else(|| {
        let text = "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag name duplicates.";
        S3Error::with_message(S3ErrorCode::InvalidArgument, text)
    })?)
}

fn checked(tags: Vec<(String, String)>) -> S3Result<Option<Tags>> {
    let invalid = |code, text: &'static str| Err(S3Error::with_message(code, text));
    if tags.len() > MAX_TAGS {
        let text = "Object tags cannot be greater than 10";
        return Err(failure::custom(StatusCode::BAD_REQUEST, "BadRequest", text));
    }
    let names: BTreeSet<_> = tags.iter().map(|(name, _)| name).collect();
    if names.len() < tags.len() {
        return invalid(
            S3ErrorCode::InvalidTag,
            "Cannot provide multiple Tags with the same key",
        );
    }
    let length = |text: &String| text.chars().count();
    if tags
        .iter()
        .any(|(name, _)| name.is_empty() || length(name) > MAX_NAME)
    {
        return invalid(
            S3ErrorCode::InvalidTag,
            "The TagKey you have provided is invalid",
        );
    }
    if tags.iter().any(|(_, value)| length(value) > MAX_VALUE) {
        return invalid(
            S3ErrorCode::InvalidTag,
            "The TagValue you have provided is invalid",
        );
    }
    Ok((!tags.is_empty()).then(|| tags.into()))
}

fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        match first {
            b'+' => bytes.push(b' '),
            b'%' => {
                bytes.extend(hex::decode(tail.get(..2)?).ok()?);
                rest = &tail[2..];
            }
            other => bytes.push(*other),
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_a_query_string() {
        let tags = tags_of_header("a=1&b%20c=%C3%BC+x&d").unwrap().unwrap();
        let expected = [("a", "1"), ("b c", "ü x"), ("d", "")];
        assert_eq!(*tags, expected.map(|(k, v)| (k.to_owned(), v.to_owned())));
        assert_eq!(tags_of_header("").unwrap(), None);
        for bad in ["a=%", "a=%zz", "a=1&a=2", "=x"] {
            assert!(tags_of_header(bad).is_err(), "{bad}");
        }
    }
}
