//! ListObjectsV2 and ListObjects.

use std::sync::Arc;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use s3s::{S3Request, S3Response, S3Result, dto};

use super::{
    failure,
    object::Object,
    page::{Entry, Query, page},
    store::Store,
};

/// More are never listed at once.
const MAX_KEYS: i32 = 1000;

/// A page in the form of an answer.
struct Listed {
    contents: Vec<dto::Object>,
    prefixes: Vec<dto::CommonPrefix>,
    truncated: bool,
    /// The last name in it.
    last: Option<String>,
}

impl Store {
    pub(super) fn list_objects_v2(
        &self,
        request: S3Request<dto::ListObjectsV2Input>,
    ) -> S3Result<S3Response<dto::ListObjectsV2Output>> {
        let input = request.input;
        let spelling = Spelling::of(input.encoding_type.as_ref())?;
        let token = input.continuation_token.as_deref().map(name_of_token);
        let after = token.transpose()?.or(input.start_after.clone());
        let max_keys = checked_max(input.max_keys)?;
        let query = Query {
            prefix: input.prefix.as_deref().unwrap_or_default(),
            delimiter: input.delimiter.as_deref().filter(|text| !text.is_empty()),
            after: after.as_deref().unwrap_or_default(),
            limit: max_keys.min(MAX_KEYS) as usize,
        };
        let owner = (input.fetch_owner == Some(true)).then(|| self.owner());
        let listed = self.list(&input.bucket, &query, spelling, owner.as_ref())?;
        let next = listed.last.filter(|_| listed.truncated);
        Ok(S3Response::new(dto::ListObjectsV2Output {
            key_count: Some((listed.contents.len() + listed.prefixes.len()) as i32),
            max_keys: Some(max_keys.min(MAX_KEYS)),
            is_truncated: Some(listed.truncated),
            next_continuation_token: next.map(|name| BASE64_URL_SAFE_NO_PAD.encode(name)),
            contents: (!listed.contents.is_empty()).then_some(listed.contents),
            common_prefixes: (!listed.prefixes.is_empty()).then_some(listed.prefixes),
            prefix: Some(spelling.spell(query.prefix)),
            delimiter: query.delimiter.map(|text| spelling.spell(text)),
            start_after: input.start_after.map(|text| spelling.spell(&text)),
            name: Some(input.bucket),
            continuation_token: input.continuation_token,
            encoding_type: input.encoding_type,
            ..Default::default()
        }))
    }

    pub(super) fn list_objects(
        &self,
        request: S3Request<dto::ListObjectsInput>,
    ) -> S3Result<S3Response<dto::ListObjectsOutput>> {
        let input = request.input;
        let spelling = Spelling::of(input.encoding_type.as_ref())?;
        let max_keys = checked_max(input.max_keys)?;
        let query = Query {
            prefix: input.prefix.as_deref().unwrap_or_default(),
            delimiter: input.delimiter.as_deref().filter(|text| !text.is_empty()),
            after: input.marker.as_deref().unwrap_or_default(),
            limit: max_keys.min(MAX_KEYS) as usize,
        };
        let owner = self.owner();
        let listed = self.list(&input.bucket, &query, spelling, Some(&owner))?;
        // Without a delimiter the last key is the marker.
        let next = listed
            .last
            .filter(|_| listed.truncated && query.delimiter.is_some());
        Ok(S3Response::new(dto::ListObjectsOutput {
            max_keys: Some(max_keys.min(MAX_KEYS)),
            is_truncated: Some(listed.truncated),
            next_marker: next.map(|name| spelling.spell(&name)),
            contents: (!listed.contents.is_empty()).then_some(listed.contents),
            common_prefixes: (!listed.prefixes.is_empty()).then_some(listed.prefixes),
            prefix: Some(spelling.spell(query.prefix)),
            delimiter: query.delimiter.map(|text| spelling.spell(text)),
            marker: Some(spelling.spell(query.after)),
            name: Some(input.bucket),
            encoding_type: input.encoding_type,
            ..Default::default()
        }))
    }

    fn list(
        &self,
        bucket: &str,
        query: &Query<'_>,
        spelling: Spelling,
        owner: Option<&dto::Owner>,
    ) -> S3Result<Listed> {
        self.read(|index| {
            let (entries, truncated) = page(&index.bucket(bucket)?.objects, query);
            let last = entries.last().map(|entry| entry.name().to_owned());
            let (mut contents, mut prefixes) = (Vec::new(), Vec::new());
            for entry in entries {
                match entry {
                    Entry::Key(key, object) => {
                        contents.push(listed(spelling.spell(key), object, owner));
                    }
                    Entry::CommonPrefix(prefix) => prefixes.push(dto::CommonPrefix {
                        prefix: Some(spelling.spell(prefix)),
                    }),
                }
            }
            Ok(Listed {
                contents,
                prefixes,
                truncated,
                last,
            })
        })
    }

    /// There is one account.
    pub(super) fn owner(&self) -> dto::Owner {
        dto::Owner {
            display_name: None,
            id: Some(self.context.account.clone()),
        }
    }
}

fn listed(key: String, object: &Arc<Object>, owner: Option<&dto::Owner>) -> dto::Object {
    let checksum = object.checksum.as_ref();
    dto::Object {
        checksum_algorithm: checksum.map(|sum| vec![sum.algorithm.as_str().to_owned().into()]),
        checksum_type: checksum.map(|sum| sum.kind().as_str().to_owned().into()),
        e_tag: Some(object.etag()),
        key: Some(key),
        last_modified: Some(object.last_modified()),
        owner: owner.cloned(),
        restore_status: None,
        size: i64::try_from(object.size).ok(),
        storage_class: Some(object.headers().listed_class()),
    }
}

fn checked_max(asked: Option<i32>) -> S3Result<i32> {
    let asked = asked.unwrap_or(MAX_KEYS);
    if asked < 0 {
        return Err(failure::invalid_argument(
            "Argument maxKeys must be an integer between 0 and 2147483647",
        ));
    }
    Ok(asked)
}

fn name_of_token(token: &str) -> S3Result<String> {
    let name = BASE64_URL_SAFE_NO_PAD.decode(token).ok();
    name.and_then(|name| String::from_utf8(name).ok())
        .ok_or_else(|| failure::invalid_argument("The continuation token provided is incorrect"))
}

/// How names are written in an answer. XML cannot carry all that a key can.
#[derive(Debug, Clone, Copy)]
pub(super) enum Spelling {
    Plain,
    Url,
}

impl Spelling {
    pub(super) fn of(asked: Option<&dto::EncodingType>) -> S3Result<Self> {
        match asked.map(dto::EncodingType::as_str) {
            None => Ok(Self::Plain),
            Some(dto::EncodingType::URL) => Ok(Self::Url),
            Some(_) => Err(failure::invalid_argument(
                "Invalid Encoding Method specified in Request",
            )),
        }
    }

    pub(super) fn spell(self, name: &str) -> String {
        match self {
            Self::Plain => name.to_owned(),
            Self::Url => url_encoded(name),
        }
    }
}

/// As S3 does it, except that a blank is `%20`, which every decoder takes for a blank.
fn url_encoded(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'*' | b'/' => {
                text.push(char::from(byte));
            }
            _ => {
                text.push('%');
                text.push_str(&hex::encode_upper([byte]));
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_encoded_byte_by_byte() {
        assert_eq!(
            url_encoded("a b/+%41*~\u{1}ü"),
            "a%20b/%2B%2541*%7E%01%C3%BC"
        );
    }

    #[test]
    fn a_token_that_is_not_ours_is_refused() {
        assert!(name_of_token("no token!").is_err());
    }
}
