//! JSON as Python's `json.dumps` writes it: a space after each comma and colon, ASCII only.
//! Metaflow's files are compared byte for byte with upstream's.

use std::{fmt::Write as _, io};

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

/// The document as text. Floats with an exponent are not written as Python would; none of the
/// files has one.
///
/// `value` must serialise to valid JSON, as structs of strings, numbers and such do.
pub(crate) fn dumps<T: Serialize>(value: &T) -> Vec<u8> {
    let mut text = Vec::new();
    value
        .serialize(&mut Serializer::with_formatter(&mut text, Python))
        .expect("plain data serialises into memory");
    text
}

struct Python;

impl Formatter for Python {
    fn begin_array_value<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        if first {
            Ok(())
        } else {
            writer.write_all(b", ")
        }
    }

    fn begin_object_key<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        if first {
            Ok(())
        } else {
            writer.write_all(b", ")
        }
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }

    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut escaped = String::with_capacity(fragment.len());
        for character in fragment.chars() {
            if character.is_ascii() && character != '\x7f' {
                escaped.push(character);
            } else {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    write!(escaped, "\\u{unit:04x}").map_err(io::Error::other)?;
                }
            }
        }
        writer.write_all(escaped.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_pythons_layout() {
        let value = serde_json::json!({"a": [1, 2.5, null], "b": {"c": true}, "d": "é\n\u{1f600}"});
        assert_eq!(
            String::from_utf8(dumps(&value)).unwrap(),
            r#"{"a": [1, 2.5, null], "b": {"c": true}, "d": "\u00e9\n\ud83d\ude00"}"#
        );
    }
}
