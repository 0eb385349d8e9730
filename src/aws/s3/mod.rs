//! The datastore on S3 (metaflow/plugins/datastores/s3_storage.py and
//! metaflow/plugins/datatools/s3/s3.py).

pub(crate) mod address;
mod fault;
mod get;
mod list;
mod metadata;
mod put;
mod put_file;
mod region;
mod versioned;

use std::{fmt, path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use datastore::{Cause, Entry, Info, Object, ObjectStore, Op, PutOptions, PutOutcome, StoreError};
use model::spec::StoreAddress;
use tokio::sync::Semaphore;

use self::address::Location;
pub use self::versioned::{Replaced, Versioned};
use crate::{Aws, ConfigError, failure::Failure};

/// Requests under way at a time. Ten thousand tasks that end at once want as many; each would take tens of kilobytes.
const REQUESTS_AT_ONCE: usize = 64;

/// A datastore below `s3://bucket/prefix`. Cheap to clone.
#[derive(Clone)]
pub struct S3Store {
    sdk: aws_sdk_s3::Client,
    address: StoreAddress,
    /// How long an answer may take after the whole request was sent.
    read_timeout: Duration,
    turns: Arc<Semaphore>,
}

impl S3Store {
    /// The datastore with this root. Asks S3 for the bucket's region, because a client of another
    /// one is turned away (boto3 follows to the right one); an endpoint of one's own is taken as
    /// it is. Whether the bucket can be used is not checked.
    pub async fn open(aws: &Aws, root: &str) -> Result<Self, ConfigError> {
        let Location { bucket, prefix } = address::parse(root)?;
        let mut region = aws.s3_region().to_owned();
        let mut sdk = aws.s3_client(&region)?;
        if !aws.has_s3_endpoint()
            && let Some(actual) = region::of_bucket(&sdk, &bucket).await
            && actual != region
        {
            region = actual;
            sdk = aws.s3_client(&region)?;
        }
        let settings = aws.s3_settings();
        let address = StoreAddress {
            bucket,
            prefix,
            endpoint: settings.endpoint.clone(),
            region,
            server_side_encryption: settings.server_side_encryption.clone(),
        };
        Ok(Self {
            sdk,
            address,
            read_timeout: aws.patience().read,
            turns: Arc::new(Semaphore::new(REQUESTS_AT_ONCE)),
        })
    }

    /// The same datastore by other connections.
    pub fn through(&self, aws: &Aws) -> Result<Self, ConfigError> {
        Ok(Self {
            sdk: aws.s3_client(&self.address.region)?,
            address: self.address.clone(),
            read_timeout: aws.patience().read,
            turns: Arc::new(Semaphore::new(REQUESTS_AT_ONCE)),
        })
    }

    /// Where it is, for others to open it. The region is the bucket's.
    pub fn address(&self) -> &StoreAddress {
        &self.address
    }

    /// `s3://bucket/prefix/key`
    pub fn url(&self, key: &str) -> String {
        format!("s3://{}/{}", self.address.bucket, self.full_key(key))
    }

    /// Puts the content of a file, however big, without holding it in memory.
    pub async fn put_file(
        &self,
        key: &str,
        path: &Path,
        options: PutOptions,
    ) -> Result<PutOutcome, StoreError> {
        self.check(Op::Put, key)?;
        let result = put_file::put_file(self, key, path, &options).await;
        result.map_err(|cause| StoreError::new(Op::Put, key, cause))
    }

    /// An object with what tells it from the one that replaces it, or `None` if there is none.
    pub async fn get_versioned(&self, key: &str) -> Result<Option<Versioned>, StoreError> {
        self.check(Op::Get, key)?;
        let result = versioned::get(self, key).await;
        result.map_err(|cause| StoreError::new(Op::Get, key, cause))
    }

    /// Puts an object in the place of the one with the ETag `seen`, or, without it, where there is none.
    pub async fn replace(
        &self,
        key: &str,
        body: Bytes,
        seen: Option<&str>,
    ) -> Result<Replaced, StoreError> {
        self.check(Op::Put, key)?;
        let result = versioned::replace(self, key, body, seen).await;
        result.map_err(|cause| StoreError::new(Op::Put, key, cause))
    }

    /// The key in the bucket.
    fn full_key(&self, key: &str) -> String {
        let prefix = &self.address.prefix;
        if prefix.is_empty() {
            key.to_owned()
        } else {
            format!("{prefix}/{key}")
        }
    }

    fn check(&self, op: Op, key: &str) -> Result<(), StoreError> {
        address::check_key(&self.full_key(key), key)
            .map_err(|why| StoreError::new(op, key, Cause::InvalidKey(why)))
    }

    /// Makes a request in its turn. The request is made only then, and kept apart: whoever waits for it stays small.
    async fn in_turn<T, F: Future<Output = T>>(&self, request: impl FnOnce() -> F) -> T {
        // Never closed.
        let _turn = self.turns.acquire().await.ok();
        Box::pin(request()).await
    }

    /// A failed request as the port tells it.
    fn cause(&self, key: &str, failure: Failure) -> Cause {
        fault::cause(failure, &self.url(key))
    }
}

impl ObjectStore for S3Store {
    async fn get(&self, key: &str) -> Result<Option<Object>, StoreError> {
        self.check(Op::Get, key)?;
        let result = self.in_turn(|| get::object(self, key)).await;
        result.map_err(|cause| StoreError::new(Op::Get, key, cause))
    }

    async fn get_range(
        &self,
        key: &str,
        from: u64,
        limit: u64,
    ) -> Result<Option<Bytes>, StoreError> {
        self.check(Op::GetRange, key)?;
        let result = self.in_turn(|| get::range(self, key, from, limit)).await;
        result.map_err(|cause| StoreError::new(Op::GetRange, key, cause))
    }

    async fn put(
        &self,
        key: &str,
        body: Bytes,
        options: PutOptions,
    ) -> Result<PutOutcome, StoreError> {
        self.check(Op::Put, key)?;
        let result = self
            .in_turn(|| put::object(self, key, body, &options))
            .await;
        result.map_err(|cause| StoreError::new(Op::Put, key, cause))
    }

    async fn head(&self, key: &str) -> Result<Option<Info>, StoreError> {
        self.check(Op::Head, key)?;
        let result = self.in_turn(|| get::info(self, key)).await;
        result.map_err(|cause| StoreError::new(Op::Head, key, cause))
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Entry>, StoreError> {
        let result = self.in_turn(|| list::entries(self, prefix)).await;
        result.map_err(|cause| StoreError::new(Op::List, prefix, cause))
    }

    async fn folders(&self, folder: &str) -> Result<Vec<String>, StoreError> {
        self.check(Op::List, folder)?;
        let result = self.in_turn(|| list::folders(self, folder)).await;
        result.map_err(|cause| StoreError::new(Op::List, folder, cause))
    }
}

impl fmt::Debug for S3Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Store")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}
