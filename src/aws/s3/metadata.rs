//! User metadata: one header with a JSON object, in ASCII
//! (metaflow/plugins/datatools/s3/s3.py, `put` and `S3Object`).

use std::{collections::HashMap, fmt::Write as _, io};

use datastore::{Cause, UserMetadata};
use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

/// Name of the header, behind `x-amz-meta-`.
const NAME: &str = "metaflow-user-attributes";

/// The header to put. An empty object is no metadata, as upstream has it.
pub(super) fn header(metadata: Option<&UserMetadata>) -> Option<HashMap<String, String>> {
    let metadata = metadata.filter(|metadata| !metadata.is_empty())?;
    Some(HashMap::from([(NAME.to_owned(), dumps(metadata))]))
}

/// The metadata of an answer.
pub(super) fn read(
    headers: Option<&HashMap<String, String>>,
) -> Result<Option<UserMetadata>, Cause> {
    let Some(text) = headers.and_then(|headers| headers.get(NAME)) else {
        return Ok(None);
    };
    serde_json::from_str(text)
        .map(Some)
        .map_err(Cause::BadMetadata)
}

/// `json.dumps(metadata)`
fn dumps(metadata: &UserMetadata) -> String {
    let mut text = Vec::new();
    metadata
        .serialize(&mut Serializer::with_formatter(&mut text, Python))
        .expect("a JSON object serialises into memory");
    String::from_utf8(text).expect("the formatter writes ASCII")
}

/// A blank after each comma and colon, ASCII only.
struct Python;

impl Formatter for Python {
    fn begin_array_value<W: ?Sized + io::Write>(
        &mut self,
        w: &mut W,
        first: bool,
    ) -> io::Result<()> {
        if first { Ok(()) } else { w.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + io::Write>(
        &mut self,
        w: &mut W,
        first: bool,
    ) -> io::Result<()> {
        if first { Ok(()) } else { w.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, w: &mut W) -> io::Result<()> {
        w.write_all(b": ")
    }

    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        w: &mut W,
        text: &str,
    ) -> io::Result<()> {
        let mut escaped = String::with_capacity(text.len());
        for character in text.chars() {
            if matches!(character, ' '..='~') {
                escaped.push(character);
            } else {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    write!(escaped, "\\u{unit:04x}").map_err(io::Error::other)?;
                }
            }
        }
        w.write_all(escaped.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_header_is_what_json_dumps_writes() {
        let metadata =
            json!({"cas_raw": true, "cas_version": 1, "t": ["gr\u{fc}\u{df}e\n", "\u{1f600}"]});
        let header = header(metadata.as_object()).unwrap();
        assert_eq!(
            header[NAME],
            r#"{"cas_raw": true, "cas_version": 1, "t": ["gr\u00fc\u00dfe\n", "\ud83d\ude00"]}"#
        );
        assert_eq!(read(Some(&header)).unwrap().as_ref(), metadata.as_object());
    }

    #[test]
    fn no_metadata_is_no_header() {
        assert_eq!(header(None), None);
        assert_eq!(header(Some(&UserMetadata::new())), None);
        assert_eq!(read(None).unwrap(), None);
        assert_eq!(
            read(Some(&HashMap::from([("other".to_owned(), "1".to_owned())]))).unwrap(),
            None
        );
        let bad = HashMap::from([(NAME.to_owned(), "[1]".to_owned())]);
        assert!(matches!(read(Some(&bad)), Err(Cause::BadMetadata(_))));
    }
}
