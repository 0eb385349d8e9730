//! ListMultipartUploads.

use std::ops::Bound;

use s3s::{S3Request, S3Response, S3Result, dto};

use super::{
    index::{Bucket, Upload},
    list_objects::Spelling,
    object::seconds,
    store::Store,
};

/// More are never listed at once.
const MAX_UPLOADS: i32 = 1000;

/// What a page has in it, and by which key and upload id the next one begins.
#[derive(Default)]
struct Listed {
    uploads: Vec<dto::MultipartUpload>,
    prefixes: Vec<String>,
    last: (String, String),
    truncated: bool,
}

impl Store {
    pub(super) fn list_multipart_uploads(
        &self,
        request: S3Request<dto::ListMultipartUploadsInput>,
    ) -> S3Result<S3Response<dto::ListMultipartUploadsOutput>> {
        let input = request.input;
        let spelling = Spelling::of(input.encoding_type.as_ref())?;
        let max = input.max_uploads.unwrap_or(MAX_UPLOADS);
        let max = max.clamp(1, MAX_UPLOADS);
        let listed = self.read(|index| {
            let bucket = index.bucket(&input.bucket)?;
            Ok(self.page_of_uploads(bucket, &input, max as usize))
        })?;
        let spell = |text: String| spelling.spell(&text);
        let prefixes = listed.prefixes.into_iter().map(|prefix| dto::CommonPrefix {
            prefix: Some(spell(prefix)),
        });
        let uploads = listed
            .uploads
            .into_iter()
            .map(|upload| dto::MultipartUpload {
                key: upload.key.map(spell),
                ..upload
            });
        let (next_key, next_id) = listed.last;
        Ok(S3Response::new(dto::ListMultipartUploadsOutput {
            common_prefixes: Some(prefixes.collect()),
            uploads: Some(uploads.collect()),
            is_truncated: Some(listed.truncated),
            max_uploads: Some(max),
            next_key_marker: listed.truncated.then(|| spell(next_key)),
            next_upload_id_marker: listed.truncated.then_some(next_id),
            key_marker: input.key_marker.map(spell),
            upload_id_marker: input.upload_id_marker,
            prefix: input.prefix.map(spell),
            delimiter: input.delimiter.map(spell),
            encoding_type: input.encoding_type,
            bucket: Some(input.bucket),
            ..Default::default()
        }))
    }

    /// Uploads are few: what is rolled up into a common prefix is walked over.
    fn page_of_uploads(
        &self,
        bucket: &Bucket,
        input: &dto::ListMultipartUploadsInput,
        max: usize,
    ) -> Listed {
        let prefix = input.prefix.as_deref().unwrap_or_default();
        let delimiter = input.delimiter.as_deref().filter(|text| !text.is_empty());
        let marker = input.key_marker.as_deref().unwrap_or_default();
        let id_marker = input.upload_id_marker.as_deref();
        let mut listed = Listed::default();
        let from: (Box<str>, Box<str>) = (marker.max(prefix).into(), "".into());
        for ((key, upload_id), upload) in bucket
            .uploads
            .range((Bound::Included(from), Bound::Unbounded))
        {
            if !key.starts_with(prefix) {
                break;
            }
            let listed_before = !marker.is_empty()
                && (&**key < marker
                    || &**key == marker && id_marker.is_none_or(|marker| &**upload_id <= marker));
            let common = delimiter.and_then(|delimiter| {
                let end = key[prefix.len()..].find(delimiter)? + delimiter.len();
                Some(&key[..prefix.len() + end])
            });
            let rolled_up = common.is_some_and(|common| {
                common == marker || listed.prefixes.last().is_some_and(|last| last == common)
            });
            if listed_before || rolled_up {
                continue;
            }
            if listed.uploads.len() + listed.prefixes.len() == max {
                listed.truncated = true;
                break;
            }
            if let Some(common) = common {
                listed.prefixes.push(common.to_owned());
                listed.last = (common.to_owned(), String::new());
            } else {
                listed
                    .uploads
                    .push(self.listed_upload(key, upload_id, upload));
                listed.last = (key.to_string(), upload_id.to_string());
            }
        }
        listed
    }

    fn listed_upload(&self, key: &str, upload_id: &str, upload: &Upload) -> dto::MultipartUpload {
        let about = &upload.about;
        dto::MultipartUpload {
            checksum_algorithm: about.algorithm.map(|a| a.as_str().to_owned().into()),
            checksum_type: about.kind.map(|kind| kind.as_str().to_owned().into()),
            initiated: Some(seconds(about.initiated_ms)),
            initiator: Some(self.initiator()),
            key: Some(key.to_owned()),
            owner: Some(self.owner()),
            storage_class: Some(about.headers.listed_class().as_str().to_owned().into()),
            upload_id: Some(upload_id.to_owned()),
        }
    }
}
