//! The port to object stores.

use std::{future::Future, sync::Arc};

use bytes::Bytes;

use crate::StoreError;

/// The most keys that one [`ObjectStore::list`] returns; more are an error.
pub const MAX_LISTED_KEYS: usize = 1_000_000;

/// What Metaflow keeps beside an object: a JSON object, on S3 in the header
/// `metaflow-user-attributes`, on disk in `<key>_meta`.
pub type UserMetadata = serde_json::Map<String, serde_json::Value>;

/// An object with its user metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// The content.
    pub body: Bytes,
    /// The user metadata, if any was put.
    pub user_metadata: Option<UserMetadata>,
}

/// What is known of an object without its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// Length of the content in bytes.
    pub size: u64,
    /// The user metadata, if any was put.
    pub user_metadata: Option<UserMetadata>,
}

/// One object of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key, relative to the root.
    pub key: String,
    /// Length of the content in bytes.
    pub size: u64,
}

/// What a put does to an object that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PutMode {
    /// Replaces it.
    #[default]
    Overwrite,
    /// Leaves it as it is. Of several puts at the same time, exactly one writes.
    CreateOnly,
}

/// How to put an object.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PutOptions {
    /// What happens to an object that is there.
    pub mode: PutMode,
    /// User metadata to keep with the object; without it the object has none afterwards.
    pub user_metadata: Option<UserMetadata>,
}

/// What a put did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutOutcome {
    /// The object has the given content.
    Written,
    /// An object was there and was left alone ([`PutMode::CreateOnly`]).
    AlreadyExists,
}

/// A store of objects by key. Keys are relative to the root of the datastore, have no empty,
/// `.` or `..` component and do not begin or end with a slash. A reader sees an object whole or
/// not at all, and sees it once its put has returned.
///
/// `conformance::check` says in code what an implementation must do.
pub trait ObjectStore: Send + Sync {
    /// The whole object, or `None` if there is none.
    fn get(&self, key: &str) -> impl Future<Output = Result<Option<Object>, StoreError>> + Send;

    /// At most `limit` bytes of the content from the byte `from` on, or `None` if there is no
    /// object. Empty if the object has no more than `from` bytes. `limit` is not 0.
    fn get_range(
        &self,
        key: &str,
        from: u64,
        limit: u64,
    ) -> impl Future<Output = Result<Option<Bytes>, StoreError>> + Send;

    /// Writes an object.
    fn put(
        &self,
        key: &str,
        body: Bytes,
        options: PutOptions,
    ) -> impl Future<Output = Result<PutOutcome, StoreError>> + Send;

    /// Size and user metadata of an object, or `None` if there is none.
    fn head(&self, key: &str) -> impl Future<Output = Result<Option<Info>, StoreError>> + Send;

    /// All objects whose keys begin with `prefix`, in the byte order of their keys; at most
    /// [`MAX_LISTED_KEYS`]. A prefix need not end at a slash.
    fn list(&self, prefix: &str) -> impl Future<Output = Result<Vec<Entry>, StoreError>> + Send;

    /// Names of the folders directly in `folder`, sorted, however many objects those have: what comes between
    /// `folder/` and the next slash of keys. None if there are no such keys.
    fn folders(&self, folder: &str)
    -> impl Future<Output = Result<Vec<String>, StoreError>> + Send;
}

impl<S: ObjectStore> ObjectStore for Arc<S> {
    fn get(&self, key: &str) -> impl Future<Output = Result<Option<Object>, StoreError>> + Send {
        self.as_ref().get(key)
    }

    fn get_range(
        &self,
        key: &str,
        from: u64,
        limit: u64,
    ) -> impl Future<Output = Result<Option<Bytes>, StoreError>> + Send {
        self.as_ref().get_range(key, from, limit)
    }

    fn put(
        &self,
        key: &str,
        body: Bytes,
        options: PutOptions,
    ) -> impl Future<Output = Result<PutOutcome, StoreError>> + Send {
        self.as_ref().put(key, body, options)
    }

    fn head(&self, key: &str) -> impl Future<Output = Result<Option<Info>, StoreError>> + Send {
        self.as_ref().head(key)
    }

    fn list(&self, prefix: &str) -> impl Future<Output = Result<Vec<Entry>, StoreError>> + Send {
        self.as_ref().list(prefix)
    }

    fn folders(
        &self,
        folder: &str,
    ) -> impl Future<Output = Result<Vec<String>, StoreError>> + Send {
        self.as_ref().folders(folder)
    }
}
