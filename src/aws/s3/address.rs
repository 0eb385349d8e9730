//! Roots and keys.

use crate::ConfigError;

/// The longest key, in bytes (S3 user guide, "Naming Amazon S3 objects").
const MAX_KEY: usize = 1_024;

/// Where a datastore is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Location {
    pub(crate) bucket: String,
    pub(crate) prefix: String,
}

/// Takes `s3://bucket/prefix` apart.
pub(crate) fn parse(root: &str) -> Result<Location, ConfigError> {
    let wrong = || ConfigError::NotS3(root.to_owned());
    let path = root.strip_prefix("s3://").ok_or_else(wrong)?;
    let (bucket, prefix) = path.split_once('/').unwrap_or((path, ""));
    if bucket.is_empty() {
        return Err(wrong());
    }
    Ok(Location {
        bucket: bucket.to_owned(),
        prefix: prefix.trim_matches('/').to_owned(),
    })
}

/// Refuses keys that the port does not allow, so that no store takes what another cannot.
pub(super) fn check_key(full_key: &str, key: &str) -> Result<(), &'static str> {
    if key.split('/').any(|part| matches!(part, "" | "." | "..")) {
        Err("a key must not have the components ``, `.` or `..`")
    } else if full_key.len() > MAX_KEY {
        Err("a key must not be longer than 1,024 bytes")
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_are_bucket_and_prefix() {
        for (root, bucket, prefix) in [
            ("s3://b/p", "b", "p"),
            ("s3://b/p/q/", "b", "p/q"),
            ("s3://b/", "b", ""),
            ("s3://b", "b", ""),
            ("s3://b//p", "b", "p"),
        ] {
            let location = parse(root).unwrap();
            assert_eq!(
                (&*location.bucket, &*location.prefix),
                (bucket, prefix),
                "{root}"
            );
        }
        for root in ["/tmp/x", "s3://", "s3:///p", "S3://b/p", "b/p"] {
            assert!(parse(root).is_err(), "{root}");
        }
    }

    #[test]
    fn long_keys_are_refused() {
        let key = "k".repeat(MAX_KEY);
        assert_eq!(check_key(&key, &key), Ok(()));
        assert!(check_key(&format!("p/{key}"), &key).is_err());
    }
}
