//! Finding the spec: the variables of the container override, and what they point at.

use std::io::Read;

use model::{
    array_spec::{self, ArrayTable, PatchError},
    spec::{SPEC_VERSION, TaskSpec, variable},
};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::{
    environment::Environment,
    s3::{Call, Patience, S3},
    s3_address::S3Url,
    s3_error::S3Error,
};

/// Which child of an array this is (AWS Batch user guide, "Job environment variables").
const INDEX: &str = "AWS_BATCH_JOB_ARRAY_INDEX";

/// Longest spec that is read, in bytes.
const MAX_LENGTH: u64 = 16 << 20;

/// There is no spec to run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SpecError {
    /// A variable is missing.
    #[error("`{name}` is not set: this program is started by jobs of `ferroflow`, not by hand")]
    Missing {
        /// The variable.
        name: &'static str,
    },
    /// A variable makes no sense.
    #[error("`{name}` has the value `{value}`, which is not {form}")]
    Malformed {
        /// The variable.
        name: &'static str,
        /// Its value.
        value: String,
        /// What it should be.
        form: &'static str,
    },
    /// The store did not give it.
    #[error("failed to read the task's spec")]
    Unreadable(#[from] S3Error),
    /// It was changed.
    #[error("the task's spec has SHA-256 {found} where the job asks for {wanted}: it was changed")]
    Digest {
        /// Of the bytes read.
        found: String,
        /// Of the job.
        wanted: String,
    },
    /// It is not a spec.
    #[error("the task's spec cannot be understood")]
    Parse(#[from] serde_json::Error),
    /// What makes an array's spec this child's is not what the launcher wrote.
    #[error("the spec of child {0} is not the one that the job was submitted with: it was changed")]
    Changed(u32),
    /// The child's spec cannot be made of the array's.
    #[error("the spec of child {index} cannot be understood")]
    Child {
        /// The child.
        index: u32,
        /// Why.
        source: PatchError,
    },
    /// Another version wrote it.
    #[error(
        "the task's spec has version {found} and this bootstrap reads {SPEC_VERSION}: \
         launch with the `ferroflow` that belongs to it"
    )]
    Version {
        /// Of the spec.
        found: u32,
    },
}

/// Where a spec is, and what it must be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SpecPointer {
    url: S3Url,
    offset: u64,
    length: u64,
    sha256: String,
    child: Option<Child>,
}

/// A child of an array job.
#[derive(Debug, PartialEq, Eq)]
struct Child {
    index: u32,
    table: ArrayTable,
}

#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

impl SpecPointer {
    /// Reads the variables.
    pub(crate) fn new(environment: &Environment) -> Result<Self, SpecError> {
        let text = |name| environment.text(name).ok_or(SpecError::Missing { name });
        let malformed = |name, value: &str, form| SpecError::Malformed {
            name,
            value: value.to_owned(),
            form,
        };
        let (spec, range) = (text(variable::SPEC)?, text(variable::RANGE)?);
        let url = S3Url::parse(spec)
            .ok_or_else(|| malformed(variable::SPEC, spec, "of the form s3://bucket/key"))?;
        let (offset, length) = parse_range(range).ok_or_else(|| {
            malformed(variable::RANGE, range, "of the form offset+length in bytes")
        })?;
        let sha256 = text(variable::SHA256)?.to_ascii_lowercase();
        let child = || {
            let Some(table) = environment.text(variable::ARRAY) else {
                return Ok::<_, SpecError>(None);
            };
            let index = text(INDEX)?;
            Ok(Some(Child {
                index: (index.parse()).map_err(|_| malformed(INDEX, index, "a number"))?,
                // Not shown: it has a key.
                table: (table.parse())
                    .map_err(|()| malformed(variable::ARRAY, "…", "offset+children:key"))?,
            }))
        };
        Ok(Self {
            child: child()?,
            url,
            offset,
            length,
            sha256,
        })
    }

    /// Reads the spec and checks it before it is parsed.
    pub(crate) fn fetch(&self, s3: &S3) -> Result<TaskSpec, SpecError> {
        let bytes = self.read(s3, self.offset, self.length)?;
        let found = hex::encode(Sha256::digest(&bytes));
        if found != self.sha256 {
            return Err(SpecError::Digest {
                found,
                wanted: self.sha256.clone(),
            });
        }
        let Versioned { version } = serde_json::from_slice(&bytes)?;
        if version != SPEC_VERSION {
            return Err(SpecError::Version { found: version });
        }
        match &self.child {
            Some(child) => self.of_child(s3, child, &bytes),
            None => Ok(serde_json::from_slice(&bytes)?),
        }
    }

    fn of_child(&self, s3: &S3, child: &Child, first: &[u8]) -> Result<TaskSpec, SpecError> {
        let Child { index, table } = child;
        let changed = || SpecError::Changed(*index);
        let (offset, length) = table.entry_range(*index).ok_or_else(changed)?;
        let entry = table.entry(&self.read(s3, offset, length)?);
        let entry = entry
            .filter(|entry| (1..=MAX_LENGTH).contains(&entry.length))
            .ok_or_else(changed)?;
        let differences = self.read(s3, entry.offset, entry.length)?;
        if !table.is_genuine(*index, &entry, &differences) {
            return Err(changed());
        }
        array_spec::decode(first, &differences).map_err(|source| SpecError::Child {
            index: *index,
            source,
        })
    }

    fn read(&self, s3: &S3, offset: u64, length: u64) -> Result<Vec<u8>, S3Error> {
        let last = offset.saturating_add(length).saturating_sub(1);
        let call = Call {
            method: "GET",
            bucket: &self.url.bucket,
            key: &self.url.key,
            headers: vec![("range", format!("bytes={offset}-{last}"))],
            body: None,
            patience: Patience::UntilSignal,
        };
        s3.call(&call, |body| {
            let mut bytes = Vec::new();
            // A store that ignores ranges gives more; the digest then tells.
            body.take(length + 1).read_to_end(&mut bytes)?;
            Ok(bytes)
        })
    }
}

fn parse_range(text: &str) -> Option<(u64, u64)> {
    let (offset, length) = text.split_once('+')?;
    let (offset, length): (u64, u64) = (offset.parse().ok()?, length.parse().ok()?);
    offset.checked_add(length)?;
    (1..=MAX_LENGTH)
        .contains(&length)
        .then_some((offset, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read() {
        assert_eq!(parse_range("0+5"), Some((0, 5)));
        for bad in ["", "5", "+5", "0+0", "-1+2", "0+99999999", "0x1+2"] {
            assert_eq!(parse_range(bad), None, "{bad}");
        }
    }
}
