//! GetObject and HeadObject.

use std::{ops::Range, sync::Arc};

use http::{HeaderValue, StatusCode, header::CONTENT_RANGE};
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result, dto};

use super::{
    checksum::{Checksum, answer_checksum},
    condition::OfRead,
    failure,
    object::{Content, Object},
    send,
    store::Store,
};

/// Which bytes of an object are wanted.
struct Wanted {
    range: Range<u64>,
    /// Not the whole object: 206 and Content-Range.
    partial: bool,
    parts_count: Option<i32>,
    checksum: Option<Checksum>,
}

/// Fills in what GetObject and HeadObject answer alike.
macro_rules! answer {
    ($output:ident, $object:expr, $wanted:expr) => {{
        let (object, wanted): (&Object, &Wanted) = ($object, $wanted);
        let headers = object.headers();
        $output.accept_ranges = Some("bytes".to_owned());
        $output.content_length = i64::try_from(wanted.range.end - wanted.range.start).ok();
        $output.content_range = wanted.content_range(object);
        $output.content_type = Some(headers.content_type());
        $output.e_tag = Some(object.etag());
        $output.last_modified = Some(object.last_modified());
        $output.parts_count = wanted.parts_count;
        $output.server_side_encryption = Some(headers.encryption());
        $output.cache_control = headers.cache_control;
        $output.content_disposition = headers.content_disposition;
        $output.content_encoding = headers.content_encoding;
        $output.content_language = headers.content_language;
        $output.expires = headers.expires;
        $output.website_redirect_location = headers.website_redirect_location;
        $output.storage_class = headers.storage_class.map(Into::into);
        $output.ssekms_key_id = headers.ssekms_key_id;
        $output.bucket_key_enabled = headers.bucket_key_enabled;
        $output.metadata = Some(headers.metadata.into_iter().collect());
        if let Some(checksum) = &wanted.checksum {
            $output.checksum_type = Some(checksum.kind().as_str().to_owned().into());
        }
        answer_checksum!($output, &wanted.checksum);
    }};
}

impl Store {
    pub(super) fn get_object(
        &self,
        request: S3Request<dto::GetObjectInput>,
    ) -> S3Result<S3Response<dto::GetObjectOutput>> {
        let input = request.input;
        let object = self.object(&input.bucket, &input.key)?;
        let condition = OfRead {
            if_match: input.if_match,
            if_none_match: input.if_none_match,
            if_modified_since: input.if_modified_since,
            if_unmodified_since: input.if_unmodified_since,
        };
        condition.check(&object)?;
        let mode = input.checksum_mode.as_ref();
        let wanted = wanted(&object, input.range, input.part_number, mode)?;
        let mut output = dto::GetObjectOutput::default();
        answer!(output, &object, &wanted);
        let tags = object.tags.as_deref().unwrap_or_default().len() as i32;
        output.tag_count = (tags > 0).then_some(tags);
        let body = send::body(object, wanted.range).map_err(failure::internal)?;
        output.body = Some(body);
        Ok(S3Response::new(output))
    }

    pub(super) fn head_object(
        &self,
        request: S3Request<dto::HeadObjectInput>,
    ) -> S3Result<S3Response<dto::HeadObjectOutput>> {
        let input = request.input;
        let object = self.object(&input.bucket, &input.key)?;
        let condition = OfRead {
            if_match: input.if_match,
            if_none_match: input.if_none_match,
            if_modified_since: input.if_modified_since,
            if_unmodified_since: input.if_unmodified_since,
        };
        condition.check(&object)?;
        let mode = input.checksum_mode.as_ref();
        let wanted = wanted(&object, input.range, input.part_number, mode)?;
        let mut output = dto::HeadObjectOutput::default();
        answer!(output, &object, &wanted);
        Ok(S3Response::new(output))
    }
}

impl Wanted {
    fn content_range(&self, object: &Object) -> Option<String> {
        let Range { start, end } = self.range;
        let last = end.checked_sub(1)?;
        self.partial
            .then(|| format!("bytes {start}-{last}/{}", object.size))
    }
}

fn wanted(
    object: &Arc<Object>,
    range: Option<dto::Range>,
    part_number: Option<i32>,
    mode: Option<&dto::ChecksumMode>,
) -> S3Result<Wanted> {
    let with_checksum = mode.is_some_and(|mode| mode.as_str() == dto::ChecksumMode::ENABLED);
    match (range, part_number) {
        (Some(_), Some(_)) => Err(failure::invalid_request(
            "Cannot specify both Range header and partNumber query parameter",
        )),
        (None, None) => Ok(Wanted {
            range: 0..object.size,
            partial: false,
            parts_count: None,
            checksum: object.checksum.clone().filter(|_| with_checksum),
        }),
        (Some(range), None) => Ok(Wanted {
            range: satisfied(range, object.size)?,
            partial: true,
            parts_count: None,
            checksum: None,
        }),
        (None, Some(number)) => of_part(object, number, with_checksum),
    }
}

fn of_part(object: &Object, number: i32, with_checksum: bool) -> S3Result<Wanted> {
    let unsatisfiable = || {
        failure::custom(
            StatusCode::RANGE_NOT_SATISFIABLE,
            "InvalidPartNumber",
            "The requested partnumber is not satisfiable",
        )
    };
    let position = u64::try_from(number).map_err(|_| unsatisfiable())?;
    let range = object.range_of_part(position).ok_or_else(unsatisfiable)?;
    let (parts_count, checksum) = match &object.content {
        Content::Parts(parts) => {
            let part = &parts[position as usize - 1];
            (Some(parts.len() as i32), Some(part.checksum.clone()))
        }
        _ => (None, object.checksum.clone()),
    };
    Ok(Wanted {
        range,
        partial: true,
        parts_count,
        checksum: checksum.filter(|_| with_checksum),
    })
}

/// The bytes that a Range header means, or 416 with the size in it.
fn satisfied(range: dto::Range, size: u64) -> S3Result<Range<u64>> {
    let found = range.check(size).ok().filter(|range| !range.is_empty());
    found.ok_or_else(|| {
        let text = "The requested range is not satisfiable";
        let mut error = S3Error::with_message(S3ErrorCode::InvalidRange, text);
        let mut headers = http::HeaderMap::new();
        if let Ok(value) = HeaderValue::try_from(format!("bytes */{size}")) {
            headers.insert(CONTENT_RANGE, value);
        }
        let xml = HeaderValue::from_static("application/xml");
        headers.insert(http::header::CONTENT_TYPE, xml);
        error.set_headers(headers);
        error
    })
}
