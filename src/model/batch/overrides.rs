//! The container overrides of a job: what Ferroflow puts there, and how long they may be.
//!
//! ECS takes overrides of at most 8,192 characters and tells so only after Batch has accepted the
//! job (status reason `Container Overrides length must be at most 8192`). A task's own data
//! therefore travels in its spec in the datastore, and the override only points there.

use std::collections::BTreeMap;

use crate::{
    launch_record::{SpecPlace, SpecRange},
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
    place: &SpecPlace,
) -> Vec<(String, String)> {
    let StoreAddress { bucket, prefix, .. } = store;
    let slash = if prefix.is_empty() { "" } else { "/" };
    let SpecRange {
        offset,
        length,
        sha256,
    } = &place.spec;
    let mut variables = vec![
        (
            variable::SPEC.to_owned(),
            format!("s3://{bucket}/{prefix}{slash}{record_key}"),
        ),
        (variable::RANGE.to_owned(), format!("{offset}+{length}")),
        (variable::SHA256.to_owned(), sha256.clone()),
    ];
    if let Some(array) = &place.array {
        variables.push((variable::ARRAY.to_owned(), array.to_string()));
    }
    variables
}

/// Divides the variables of @environment into those that an override takes and those for which
/// there is no room. The longest have to give way: short ones may be for the container's loader
/// or runtime, which reads them before the task has begun.
pub fn divide(
    variables: &BTreeMap<String, String>,
) -> (BTreeMap<String, String>, BTreeMap<String, String>) {
    let cost = |(name, value): &(&String, &String)| {
        added_bytes(&[], &[((*name).clone(), (*value).clone())])
    };
    let mut by_length: Vec<_> = variables.iter().collect();
    by_length.sort_by_key(cost);
    let mut room = MAX_LENGTH - OWN_OF_BATCH - MAX_ADDED;
    let (mut inside, mut outside) = (BTreeMap::new(), BTreeMap::new());
    for (name, value) in by_length {
        let cost = cost(&(name, value));
        let place = if cost <= room {
            room -= cost;
            &mut inside
        } else {
            room = 0;
            &mut outside
        };
        place.insert(name.clone(), value.clone());
    }
    (inside, outside)
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
    use crate::array_spec::{ArrayKey, ArrayTable};

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
    fn the_longest_variables_give_way() {
        let variables = |lengths: &[usize]| -> BTreeMap<String, String> {
            let named = |(i, n): (usize, &usize)| (format!("V{i}"), "x".repeat(*n));
            lengths.iter().enumerate().map(named).collect()
        };
        let names = |found: BTreeMap<String, String>| found.into_keys().collect::<Vec<_>>();
        let (inside, outside) = divide(&variables(&[5_000, 10]));
        assert_eq!(
            (names(inside), outside.len()),
            (vec!["V0".into(), "V1".into()], 0)
        );
        let (inside, outside) = divide(&variables(&[3_000, 10, 6_000, 2_500]));
        assert_eq!(names(inside), ["V1", "V3"]);
        assert_eq!(names(outside), ["V0", "V2"]);
        let many = variables(&[100; 200]);
        let (inside, outside) = divide(&many);
        assert_eq!(inside.len() + outside.len(), many.len());
        let inside: Vec<_> = inside.into_iter().collect();
        assert!(added_bytes(&[], &inside) + MAX_ADDED + OWN_OF_BATCH <= MAX_LENGTH);
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
        let place = SpecPlace {
            spec: SpecRange {
                offset: u64::MAX,
                length: u64::MAX,
                sha256: "0".repeat(64),
            },
            array: Some(ArrayTable {
                offset: u64::MAX,
                children: u32::MAX,
                key: ArrayKey([0; 32]),
            }),
        };
        let mut environment = spec_variables(&store, &key, &place);
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
        let place = SpecPlace {
            spec: SpecRange {
                offset: 12,
                length: 34,
                sha256: "ab".to_owned(),
            },
            array: None,
        };
        assert_eq!(
            spec_variables(&store, "k", &place),
            [
                pair("FERROFLOW_SPEC", "s3://b/p/q/k"),
                pair("FERROFLOW_SPEC_RANGE", "12+34"),
                pair("FERROFLOW_SPEC_SHA256", "ab"),
            ]
        );
        store.prefix.clear();
        assert_eq!(spec_variables(&store, "k", &place)[0].1, "s3://b/k");
    }
}
