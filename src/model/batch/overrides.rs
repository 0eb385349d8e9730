//! The container overrides of a job: what Ferroflow puts there, and how long they may be.
//!
//! ECS takes overrides of at most 8,192 characters and tells so only after Batch has accepted the
//! job (status reason `Container Overrides length must be at most 8192`). A task's own data
//! therefore travels in its spec in the datastore, and the override only points there.

use crate::{
    launch_record::SpecRange,
    spec::{StoreAddress, variable},
};

/// The longest overrides, in characters (ECS API reference, RunTask).
pub const MAX_LENGTH: usize = 8_192;

/// What Batch itself adds, estimated from above: five `AWS_BATCH_*` variables, of which the names
/// of queue and compute environment have 128 characters each, resources, and the frame.
pub const OWN_OF_BATCH: usize = 1_000;

/// The most that Ferroflow adds to an override, in bytes.
pub const MAX_ADDED: usize = 2_048;

/// Variables that point a container at its spec.
pub fn spec_variables(
    store: &StoreAddress,
    record_key: &str,
    range: &SpecRange,
) -> Vec<(String, String)> {
    let StoreAddress { bucket, prefix, .. } = store;
    let slash = if prefix.is_empty() { "" } else { "/" };
    let SpecRange {
        offset,
        length,
        sha256,
    } = range;
    vec![
        (
            variable::SPEC.to_owned(),
            format!("s3://{bucket}/{prefix}{slash}{record_key}"),
        ),
        (variable::RANGE.to_owned(), format!("{offset}+{length}")),
        (variable::SHA256.to_owned(), sha256.clone()),
    ]
}

/// Bytes that a command and variables take in the JSON of an override.
pub fn added_bytes(command: &[String], environment: &[(String, String)]) -> usize {
    const QUOTES_AND_COMMA: usize = r#""","#.len();
    const VARIABLE: usize = r#"{"name":,"value":},"#.len();
    let quoted = |text: &str| escaped_len(text) + QUOTES_AND_COMMA - 1;
    let command = command.iter().map(|argument| quoted(argument) + 1);
    let environment = environment
        .iter()
        .map(|(name, value)| VARIABLE + quoted(name) + quoted(value));
    command.sum::<usize>() + environment.sum::<usize>()
}

/// Length of a text in JSON of ASCII characters.
fn escaped_len(text: &str) -> usize {
    let of = |c: char| match c {
        '"' | '\\' | '\n' | '\r' | '\t' => 2,
        ' '..='~' => 1,
        c => r"\u0000".len() * c.len_utf16(),
    };
    text.chars().map(of).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The longest key, in bytes (S3 user guide, "Naming Amazon S3 objects").
    const MAX_KEY: usize = 1_024;
    /// The longest bucket name (S3 user guide, "Bucket naming rules").
    const MAX_BUCKET: usize = 63;

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn what_is_counted_is_the_json() {
        let command = ["bash".to_owned(), "say \"\u{e9}\u{1f600}\"\n".to_owned()];
        let environment = [pair("A", "1"), pair("B", "\\")];
        let json = concat!(
            r#""bash","say \"\u00e9\ud83d\ude00\"\n","#,
            r#"{"name":"A","value":"1"},{"name":"B","value":"\\"},"#
        );
        assert_eq!(added_bytes(&command, &environment), json.len());
    }

    #[test]
    fn we_add_less_than_two_kilobytes_whatever_the_names() {
        let key = "k".repeat(MAX_KEY - "prefix/".len());
        let store = StoreAddress {
            bucket: "b".repeat(MAX_BUCKET),
            prefix: "prefix".to_owned(),
            endpoint: None,
            region: "ap-northeast-1".to_owned(),
            server_side_encryption: None,
        };
        let range = SpecRange {
            offset: u64::MAX,
            length: u64::MAX,
            sha256: "0".repeat(64),
        };
        let mut environment = spec_variables(&store, &key, &range);
        assert!(environment[0].1.len() > MAX_KEY + MAX_BUCKET);
        environment.push(pair("AWS_DEFAULT_REGION", "ap-northeast-1"));
        assert!(added_bytes(&[], &environment) < MAX_ADDED);
    }

    #[test]
    fn the_spec_is_found_below_the_prefix_or_without_one() {
        let mut store = StoreAddress {
            bucket: "b".to_owned(),
            prefix: "p/q".to_owned(),
            endpoint: None,
            region: "r".to_owned(),
            server_side_encryption: None,
        };
        let range = SpecRange {
            offset: 12,
            length: 34,
            sha256: "ab".to_owned(),
        };
        assert_eq!(
            spec_variables(&store, "k", &range),
            [
                pair("FERROFLOW_SPEC", "s3://b/p/q/k"),
                pair("FERROFLOW_SPEC_RANGE", "12+34"),
                pair("FERROFLOW_SPEC_SHA256", "ab"),
            ]
        );
        store.prefix.clear();
        assert_eq!(spec_variables(&store, "k", &range)[0].1, "s3://b/k");
    }
}
