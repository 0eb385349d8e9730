//! `--input-paths` (metaflow/util.py, `compress_list`): `a,b`, or `prefix:a,b`, or `!` and the base64 of such a text deflated
//! twice.

use std::io::Read;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use flate2::read::ZlibDecoder;

use super::{Failure, nonsense};

/// The first of them, as `run/step/task`: the attempt, where there is one, is left away.
pub(super) fn first(text: &str) -> Result<String, Failure> {
    let plain = match text.strip_prefix('!') {
        None => text.to_owned(),
        Some(packed) => {
            let bytes = BASE64_STANDARD
                .decode(packed)
                .map_err(|_| nonsense("its input paths are no base64"))?;
            let mut plain = String::new();
            ZlibDecoder::new(ZlibDecoder::new(bytes.as_slice())).read_to_string(&mut plain)?;
            plain
        }
    };
    let (prefix, rest) = plain.split_once(':').unwrap_or(("", &plain));
    let path = format!("{prefix}{}", rest.split(',').next().unwrap_or_default());
    let parts: Vec<_> = path.split('/').take(3).collect();
    Ok(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_forms_are_read() {
        for text in ["7/work/2", "7/work/2,7/work/3", "7/work/:2,3", "7/work/2/0"] {
            assert_eq!(first(text).unwrap(), "7/work/2", "{text}");
        }
        // compress_list of 7/work/2 to 7/work/1000.
        let many: Vec<_> = (2..=1000).map(|n| n.to_string()).collect();
        let text = format!("7/work/:{}", many.join(","));
        let packed = BASE64_STANDARD.encode(deflated(&deflated(text.as_bytes())));
        assert_eq!(first(&format!("!{packed}")).unwrap(), "7/work/2");
        assert!(first("!x").is_err());
    }

    fn deflated(bytes: &[u8]) -> Vec<u8> {
        let mut all = Vec::new();
        flate2::read::ZlibEncoder::new(bytes, flate2::Compression::default())
            .read_to_end(&mut all)
            .unwrap();
        all
    }
}
