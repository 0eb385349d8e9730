//! A task: what the command line of its step says.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Failure, input_paths, nonsense};

/// A task, and the attempt that its container is for.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) flow: String,
    /// `run/step/task`
    pub(super) path: String,
    pub(super) attempt: u32,
    pub(super) store: Store,
    /// Words of the step's command line.
    pub(super) command: Vec<String>,
    pub(super) environment: BTreeMap<String, String>,
    /// Contents of files that the command line names.
    pub(super) files: BTreeMap<String, String>,
}

/// Where the datastore's root is.
#[derive(Debug, Deserialize)]
pub(super) struct Store {
    pub(super) bucket: String,
    pub(super) prefix: String,
}

impl Task {
    /// The flow's task, attempt and file: a key below the datastore's root.
    pub(super) fn attempt_file(&self, name: &str) -> String {
        format!("{}/{}/{}.{name}", self.flow, self.path, self.attempt)
    }

    /// A key in the bucket.
    pub(super) fn full_key(&self, key: &str) -> String {
        match self.store.prefix.trim_matches('/') {
            "" => key.to_owned(),
            prefix => format!("{prefix}/{key}"),
        }
    }

    pub(super) fn step(&self) -> Result<&str, Failure> {
        let step = self.path.split('/').nth(1);
        step.ok_or_else(|| nonsense(format!("`{}` is no task", self.path)))
    }

    /// The value of an option of the step's command line. It may be quoted for a shell.
    pub(super) fn option(&self, name: &str) -> Option<&str> {
        let at = self.command.iter().position(|word| word == name)?;
        let value = self.command.get(at + 1)?;
        Some(value.trim_matches('\''))
    }

    /// 0 outside of a foreach.
    pub(super) fn split_index(&self) -> u64 {
        let index = self
            .option("--split-index")
            .and_then(|index| index.parse().ok());
        index.unwrap_or(0)
    }

    /// The first task that this one has its input from, as `run/step/task`.
    pub(super) fn first_input(&self) -> Result<String, Failure> {
        let in_file = || self.files.get(self.option("--input-paths-filename")?);
        let paths = self
            .option("--input-paths")
            .or_else(|| in_file().map(String::as_str));
        let paths = paths.ok_or_else(|| nonsense("its command line has no input paths"))?;
        input_paths::first(paths)
    }
}
