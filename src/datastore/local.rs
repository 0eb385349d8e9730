//! Metaflow's local datastore: one file per object, readable and writable by upstream
//! (metaflow/plugins/datastores/local_storage.py).
//!
//! User metadata is in `<key>_meta`. Folders called `_meta` belong to the metadata provider
//! and are neither read nor written. Files are made under another name and renamed, with mode
//! 0600; they are not synced to the disk, as upstream does not either.

mod list;
mod read;
mod write;

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;

use crate::{Cause, Entry, Info, Object, ObjectStore, Op, PutOptions, PutOutcome, StoreError};

/// Ends the name of the file with an object's user metadata, and is the name of the folders of
/// the metadata provider.
const META: &str = "_meta";
/// Begins the names of files that are being written.
const TEMPORARY: &str = ".ferroflow-";

/// The local datastore under one folder, which is made when the first object is put. Cheap to
/// clone.
#[derive(Debug, Clone)]
pub struct LocalStore {
    root: Arc<Path>,
}

impl LocalStore {
    /// The datastore under this folder: what Metaflow calls `…/.metaflow`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into().into(),
        }
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The file of an object, for callers that hand it to another process. `op` is what the
    /// error says if the key is not valid.
    pub fn path(&self, op: Op, key: &str) -> Result<PathBuf, StoreError> {
        check_key(key).map_err(|why| StoreError::new(op, key, Cause::InvalidKey(why)))?;
        Ok(self.root.join(key))
    }

    /// Does `work` on the file of `key` where blocking is allowed.
    async fn with_file<T: Send + 'static>(
        &self,
        op: Op,
        key: &str,
        work: impl FnOnce(&Path) -> Result<T, Cause> + Send + 'static,
    ) -> Result<T, StoreError> {
        let path = self.path(op, key)?;
        blocking(move || work(&path))
            .await
            .map_err(|cause| StoreError::new(op, key, cause))
    }
}

impl ObjectStore for LocalStore {
    async fn get(&self, key: &str) -> Result<Option<Object>, StoreError> {
        self.with_file(Op::Get, key, read::object).await
    }

    async fn get_range(
        &self,
        key: &str,
        from: u64,
        limit: u64,
    ) -> Result<Option<Bytes>, StoreError> {
        self.with_file(Op::GetRange, key, move |path| {
            read::range(path, from, limit)
        })
        .await
    }

    async fn put(
        &self,
        key: &str,
        body: Bytes,
        options: PutOptions,
    ) -> Result<PutOutcome, StoreError> {
        self.with_file(Op::Put, key, move |path| {
            write::object(path, &body, &options)
        })
        .await
    }

    async fn head(&self, key: &str) -> Result<Option<Info>, StoreError> {
        self.with_file(Op::Head, key, read::info).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Entry>, StoreError> {
        let error = |cause| StoreError::new(Op::List, prefix, cause);
        check_prefix(prefix).map_err(|why| error(Cause::InvalidKey(why)))?;
        let (root, wanted) = (Arc::clone(&self.root), prefix.to_owned());
        blocking(move || list::entries(&root, &wanted))
            .await
            .map_err(error)
    }

    async fn folders(&self, folder: &str) -> Result<Vec<String>, StoreError> {
        self.with_file(Op::List, folder, list::folders).await
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Cause> + Send + 'static,
) -> Result<T, Cause> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(cancelled) => Err(Cause::Io(io::Error::other(cancelled))),
        },
    }
}

/// Refuses what could leave the root, and names that have a meaning of their own.
fn check_key(key: &str) -> Result<(), &'static str> {
    check_components(key)?;
    let name = key.rsplit('/').next().unwrap_or(key);
    if name.is_empty() {
        Err("a key must not be empty or end with a slash")
    } else if name.ends_with(META) || name.starts_with(TEMPORARY) {
        Err("names ending with `_meta` or beginning with `.ferroflow-` are reserved")
    } else {
        Ok(())
    }
}

fn check_prefix(prefix: &str) -> Result<(), &'static str> {
    if prefix.is_empty() {
        Ok(())
    } else {
        check_components(prefix)
    }
}

/// Checks all components but for emptiness of the last.
fn check_components(key: &str) -> Result<(), &'static str> {
    let mut components = key.split('/').rev();
    let last = components.next().unwrap_or_default();
    if key.contains('\0') {
        return Err("a key must not contain a zero byte");
    }
    if matches!(last, "." | "..") || components.any(|name| matches!(name, "" | "." | ".." | META)) {
        return Err("a key must not have the components ``, `.`, `..` or `_meta`");
    }
    Ok(())
}

/// The file with the user metadata of the object in `path`.
fn metadata_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(META);
    name.into()
}

#[cfg(test)]
mod tests;
