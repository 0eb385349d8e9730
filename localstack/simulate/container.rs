//! A container that is played, and what it writes.

use std::collections::BTreeMap;

use super::{Failure, task::Task};
use crate::{
    Caller,
    s3::{Put, S3},
};

/// A container that is to be played.
#[derive(Debug)]
pub(crate) struct Container<'a> {
    pub(crate) command: &'a [String],
    pub(crate) environment: &'a BTreeMap<String, String>,
    pub(crate) job_id: &'a str,
    /// Of a child of an array.
    pub(crate) index: Option<u32>,
    /// Which start of the job it is.
    pub(crate) task: String,
}

/// A task in its container.
#[derive(Debug)]
pub(super) struct Playing {
    pub(super) task: Task,
    pub(super) job: String,
    pub(super) by: Caller,
}

impl Playing {
    pub(super) fn new(container: &Container<'_>, task: Task) -> Self {
        Self {
            task,
            job: container.job_id.to_owned(),
            by: Caller {
                job: Some(container.job_id.to_owned()),
                task: Some(container.task.clone()),
                ..Caller::default()
            },
        }
    }

    /// Writes an object below the datastore's root.
    pub(super) fn put(
        &self,
        s3: &S3,
        key: &str,
        body: &[u8],
        create: bool,
    ) -> Result<bool, Failure> {
        let put = Put {
            bucket: &self.task.store.bucket,
            key: &self.task.full_key(key),
            body,
            metadata: None,
            create,
        };
        Ok(s3.write(put, self.by.clone())?)
    }
}
