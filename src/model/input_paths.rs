//! The encoding of `--input-paths`: a list of `run/step/task[/attempt]`
//! (metaflow/util.py, `compress_list` and `decompress_list`).
//!
//! Three forms: `a,b`; `prefix:a,b` with the longest common prefix taken out; and, from
//! [`COMPRESS_FROM`] characters on, `!` and the base64 of that text deflated twice.

use std::io::{Read, Write};

use flate2::{Compression, read::ZlibDecoder, write::ZlibEncoder};

use crate::base64;

/// Texts of this many characters or more are compressed (`zlibmin`).
pub const COMPRESS_FROM: usize = 500;
/// The most bytes that a compressed list may unfold to.
pub const MAX_TEXT_BYTES: u64 = 64 << 20;

const SEPARATOR: &str = ",";
const PREFIX_END: &str = ":";
const COMPRESSED: &str = "!";

/// Why a list of input paths was not written or read.
#[derive(Debug, thiserror::Error)]
pub enum InputPathsError {
    /// A path contains one of the separators.
    #[error("input path `{path}` contains one of `, : !`")]
    Separator {
        /// The path.
        path: String,
    },
    /// There is nothing to read.
    #[error("the list of input paths is empty")]
    Empty,
    /// More than one `:`.
    #[error("the list of input paths has more than one prefix")]
    SecondPrefix,
    /// What follows the `!` is not base64.
    #[error("the compressed list of input paths is not base64")]
    NotBase64,
    /// What follows the `!` is not zlib data twice, or the text is not UTF-8.
    #[error("failed to inflate the list of input paths")]
    Inflate(#[source] std::io::Error),
    /// The text is longer than [`MAX_TEXT_BYTES`].
    #[error("the list of input paths unfolds to more than {MAX_TEXT_BYTES} bytes")]
    TooLong,
}

/// Encodes paths, in the given order, byte for byte as upstream does up to the choices of the
/// deflate implementation, which every inflater reads. An empty list is the empty text.
pub fn compress<S: AsRef<str>>(paths: &[S]) -> Result<String, InputPathsError> {
    if let Some(bad) = paths
        .iter()
        .find(|path| path.as_ref().contains([',', ':', '!']))
    {
        return Err(InputPathsError::Separator {
            path: bad.as_ref().to_owned(),
        });
    }
    let prefix = longest_common_prefix(paths);
    let text = if paths.len() < 2 || prefix.is_empty() {
        join(paths, 0)
    } else {
        format!("{prefix}{PREFIX_END}{}", join(paths, prefix.len()))
    };
    if text.chars().count() < COMPRESS_FROM {
        return Ok(text);
    }
    let twice = deflate(text.as_bytes()).and_then(|once| deflate(&once));
    let twice = twice.expect("deflating into memory does not fail");
    Ok(format!("{COMPRESSED}{}", base64::encode(&twice)))
}

/// Decodes any of the three forms.
pub fn decompress(text: &str) -> Result<Vec<String>, InputPathsError> {
    if text.is_empty() {
        return Err(InputPathsError::Empty);
    }
    let inflated;
    let text = match text.strip_prefix(COMPRESSED) {
        None => text,
        Some(encoded) => {
            let twice = base64::decode(encoded).ok_or(InputPathsError::NotBase64)?;
            inflated = inflate_twice(&twice)?;
            &inflated
        }
    };
    match text.split_once(PREFIX_END) {
        None => Ok(text.split(SEPARATOR).map(str::to_owned).collect()),
        Some((_, rest)) if rest.contains(PREFIX_END) => Err(InputPathsError::SecondPrefix),
        Some((prefix, rest)) => Ok(rest
            .split(SEPARATOR)
            .map(|path| format!("{prefix}{path}"))
            .collect()),
    }
}

/// The common prefix of the least and the greatest path, which is the one of all.
fn longest_common_prefix<S: AsRef<str>>(paths: &[S]) -> &str {
    let least = paths.iter().map(AsRef::as_ref).min().unwrap_or("");
    let greatest = paths.iter().map(AsRef::as_ref).max().unwrap_or("");
    let same = least
        .chars()
        .zip(greatest.chars())
        .take_while(|(a, b)| a == b);
    &least[..same.map(|(a, _)| a.len_utf8()).sum()]
}

fn join<S: AsRef<str>>(paths: &[S], skip_bytes: usize) -> String {
    let rests: Vec<&str> = paths
        .iter()
        .map(|path| &path.as_ref()[skip_bytes..])
        .collect();
    rests.join(SEPARATOR)
}

fn deflate(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes)?;
    encoder.finish()
}

fn inflate_twice(twice: &[u8]) -> Result<String, InputPathsError> {
    let mut text = String::new();
    ZlibDecoder::new(ZlibDecoder::new(twice))
        .take(MAX_TEXT_BYTES + 1)
        .read_to_string(&mut text)
        .map_err(InputPathsError::Inflate)?;
    if text.len() as u64 > MAX_TEXT_BYTES {
        return Err(InputPathsError::TooLong);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `compress_list` of metaflow 2.19.39 of `1795474309902956/work/0` to `…/199`.
    const GOLDEN_200: &str = include_str!("testdata/input_paths_200.txt");

    fn works(count: usize) -> Vec<String> {
        (0..count)
            .map(|task| format!("1795474309902956/work/{task}"))
            .collect()
    }

    #[test]
    fn short_lists_are_upstreams() {
        for (paths, text) in [
            (&["1/start/1"][..], "1/start/1"),
            (&["1/a/1", "1/a/2", "1/a/10"], "1/a/:1,2,10"),
            (&["1/b/2", "1/a/1"], "1/:b/2,a/1"),
            (&["a/b/1", "c/d/2"], "a/b/1,c/d/2"),
            (&["1/a/7", "1/a/7"], "1/a/7:,"),
            (&["9/ä/1", "9/à/2"], "9/:ä/1,à/2"),
            (&["1/a/1/0", "1/a/2/3"], "1/a/:1/0,2/3"),
        ] {
            assert_eq!(compress(paths).unwrap(), text);
            assert_eq!(decompress(text).unwrap(), paths);
        }
        assert_eq!(compress::<&str>(&[]).unwrap(), "");
    }

    #[test]
    fn long_lists_are_compressed() {
        assert_eq!(decompress(GOLDEN_200).unwrap(), works(200));
        let text = compress(&works(200)).unwrap();
        assert!(text.starts_with('!') && text.len() < 600, "{text}");
        assert_eq!(decompress(&text).unwrap(), works(200));
    }

    #[test]
    fn the_limit_counts_characters() {
        let path = |length: usize| "ä".repeat(length);
        assert_eq!(compress(&[path(499)]).unwrap(), path(499));
        assert!(compress(&[path(500)]).unwrap().starts_with('!'));
    }

    #[test]
    fn separators_are_refused() {
        for bad in ["a,b", "a:b", "!a"] {
            assert!(
                matches!(compress(&[bad]), Err(InputPathsError::Separator { .. })),
                "{bad}"
            );
        }
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(matches!(decompress(""), Err(InputPathsError::Empty)));
        assert!(matches!(
            decompress("a:b:c"),
            Err(InputPathsError::SecondPrefix)
        ));
        assert!(matches!(decompress("!*"), Err(InputPathsError::NotBase64)));
        assert!(matches!(
            decompress("!AAAA"),
            Err(InputPathsError::Inflate(_))
        ));
        let (cut, _) = GOLDEN_200.split_at(401);
        assert!(matches!(decompress(cut), Err(InputPathsError::Inflate(_))));
    }

    proptest! {
        #[test]
        fn lists_round_trip(paths in proptest::collection::vec("[1-3ä]{1,2}/[ab]{1,2}/[0-9]{1,3}", 1..200)) {
            prop_assert_eq!(decompress(&compress(&paths).unwrap()).unwrap(), paths);
        }

        #[test]
        fn any_text_is_survived(text in "[!:,a-zA-Z0-9+/=]{0,60}") {
            drop(decompress(&text));
        }
    }
}
