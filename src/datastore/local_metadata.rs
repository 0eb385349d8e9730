//! What a remote task registered with the local metadata provider, brought to this machine.
//!
//! In the container there is a `.metaflow` of its own. Upstream packs it when the task has finished, keeps it as a blob,
//! and leaves the blob's key in `<attempt>.local_metadata`; whoever waits for the task merges it into the launcher's
//! `.metaflow` (metaflow/metadata_provider/util.py, `sync_local_metadata_to_datastore` and `…_from_datastore`). A file is
//! replaced if it is older. Unlike upstream, which copies all that is in the archive, only the metadata folders of the
//! task, its step, its run and its flow are taken: the rest is the container's own.

mod archive;
mod install;
mod register;

#[cfg(test)]
mod tests;

use std::{
    io,
    path::{Path, PathBuf},
};

use model::layout;

pub use self::register::register;

use crate::{
    AttemptRef, ObjectStore, StoreError,
    cas::{self, BlobKey, CasError},
};

/// The compressed archive. A task's metadata has some kilobytes.
const MAX_BLOB: u64 = 64 << 20;

/// Why the metadata of a remote task could not be merged.
#[derive(Debug, thiserror::Error)]
pub enum LocalMetadataError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The key of the blob cannot be read.
    #[error("`{key}` does not name a blob")]
    BadKey {
        /// The file that should.
        key: String,
        /// Why it does not.
        #[source]
        source: serde_json::Error,
    },
    /// The blob cannot be loaded.
    #[error("failed to load the metadata of a remote task")]
    Blob(#[from] CasError),
    /// The blob is no archive.
    #[error("failed to unpack the metadata in blob `{blob}`")]
    BadArchive {
        /// The blob.
        blob: BlobKey,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A member would be written where it does not belong, or is more than metadata can be.
    #[error("the metadata in blob `{blob}` has the member `{member}`, which {why}")]
    Refused {
        /// The blob.
        blob: BlobKey,
        /// The member.
        member: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A file cannot be written.
    #[error("failed to write `{path}`")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl LocalMetadataError {
    /// Whether the same request may well work a little later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Store(error) | Self::Blob(CasError::Store(error)) => error.is_transient(),
            _ => false,
        }
    }
}

/// Merges the metadata that an attempt left behind into `local_root`, a `.metaflow` folder. False if it left none, as
/// an attempt that was killed does.
pub async fn merge<S: ObjectStore>(
    store: &S,
    at: AttemptRef<'_>,
    local_root: &Path,
) -> Result<bool, LocalMetadataError> {
    let key = layout::local_metadata(at.flow, at.task, at.attempt);
    let Some(object) = store.get(&key).await? else {
        return Ok(false);
    };
    let blob: BlobKey = serde_json::from_slice(&object.body)
        .map_err(|source| LocalMetadataError::BadKey { key, source })?;
    let tarball = cas::load(store, at.flow, blob, MAX_BLOB).await?;
    let files = archive::files(blob, &tarball, at.flow, at.task)?;
    let root = local_root.to_owned();
    blocking(local_root, move || {
        files.iter().try_for_each(|file| install::file(&root, file))
    })
    .await
    .map(|()| true)
}

/// Writes files below `local_root` on a thread of its own.
async fn blocking(
    local_root: &Path,
    write: impl FnOnce() -> Result<(), LocalMetadataError> + Send + 'static,
) -> Result<(), LocalMetadataError> {
    match tokio::task::spawn_blocking(write).await {
        Ok(written) => written,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(cancelled) => Err(LocalMetadataError::Write {
                path: local_root.to_owned(),
                source: io::Error::other(cancelled),
            }),
        },
    }
}
