//! Metaflow's content-addressed store (metaflow/datastore/content_addressed_store.py).
//!
//! A blob's key is the SHA-1 of its content. Artifacts are stored gzipped, files such as the
//! code package as they are; which of both is said by the user metadata alone.

use std::{fmt, io::Read, str::FromStr};

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use model::{FlowName, layout};
use serde::Deserialize;
use serde_json::json;
use sha1::{Digest, Sha1};

use crate::{Object, ObjectStore, PutMode, PutOptions, StoreError, UserMetadata};

/// The only version of the packed form that there is (`cas_version`).
const VERSION: i64 = 1;

/// The address of a blob: SHA-1 of its content before compression, as 40 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct BlobKey([u8; 20]);

impl BlobKey {
    /// The address of this content.
    pub fn of(content: &[u8]) -> Self {
        Self(Sha1::digest(content).into())
    }
}

impl fmt::Display for BlobKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for BlobKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlobKey({self})")
    }
}

/// A text is not the address of a blob.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not 40 lowercase hexadecimal digits")]
pub struct InvalidBlobKey(String);

impl FromStr for BlobKey {
    type Err = InvalidBlobKey;

    fn from_str(text: &str) -> Result<Self, InvalidBlobKey> {
        let mut digest = [0; 20];
        if text.bytes().any(|byte| byte.is_ascii_uppercase())
            || hex::decode_to_slice(text, &mut digest).is_err()
        {
            return Err(InvalidBlobKey(text.to_owned()));
        }
        Ok(Self(digest))
    }
}

impl TryFrom<String> for BlobKey {
    type Error = InvalidBlobKey;

    fn try_from(text: String) -> Result<Self, InvalidBlobKey> {
        text.parse()
    }
}

/// Why a blob could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum CasError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no such blob.
    #[error("there is no blob `{0}`")]
    Absent(BlobKey),
    /// The blob's metadata names no version, or one that is not known.
    #[error("blob `{0}` is packed in an unknown way")]
    UnknownVersion(BlobKey),
    /// The blob is not gzip data.
    #[error("failed to unpack blob `{key}`")]
    Unpack {
        /// The blob.
        key: BlobKey,
        /// What was wrong.
        #[source]
        source: std::io::Error,
    },
    /// The blob has more bytes than the caller wants to hold.
    #[error("blob `{key}` has more than {limit} bytes")]
    TooLarge {
        /// The blob.
        key: BlobKey,
        /// The limit in bytes.
        limit: u64,
    },
    /// The blob's content has another address.
    #[error("blob `{0}` has the content of another blob")]
    Corrupt(BlobKey),
}

/// Loads a blob of at most `limit` bytes, unpacked.
pub async fn load<S: ObjectStore>(
    store: &S,
    flow: &FlowName,
    key: BlobKey,
    limit: u64,
) -> Result<Bytes, CasError> {
    let object = store.get(&layout::blob(flow, &key.to_string())).await?;
    let content = unpack(key, object.ok_or(CasError::Absent(key))?, limit)?;
    if content.len() as u64 > limit {
        return Err(CasError::TooLarge { key, limit });
    }
    if BlobKey::of(&content) != key {
        return Err(CasError::Corrupt(key));
    }
    Ok(content)
}

/// Saves a blob as it is, unless there is one with its content, and returns its address.
pub async fn save_raw<S: ObjectStore>(
    store: &S,
    flow: &FlowName,
    content: Bytes,
) -> Result<BlobKey, StoreError> {
    let key = BlobKey::of(&content);
    let object_key = layout::blob(flow, &key.to_string());
    if store.head(&object_key).await?.is_none() {
        let options = PutOptions {
            mode: PutMode::CreateOnly,
            user_metadata: Some(raw_metadata()),
        };
        store.put(&object_key, content, options).await?;
    }
    Ok(key)
}

fn raw_metadata() -> UserMetadata {
    UserMetadata::from_iter([
        ("cas_raw".to_owned(), json!(true)),
        ("cas_version".to_owned(), json!(VERSION)),
    ])
}

/// Undoes the packing that the metadata names; without metadata it is gzip, as old versions
/// of Metaflow wrote it.
fn unpack(key: BlobKey, object: Object, limit: u64) -> Result<Bytes, CasError> {
    if let Some(metadata) = &object.user_metadata {
        if metadata
            .get("cas_raw")
            .and_then(serde_json::Value::as_bool)
            .unwrap_or(false)
        {
            return Ok(object.body);
        }
        if metadata
            .get("cas_version")
            .and_then(serde_json::Value::as_i64)
            != Some(VERSION)
        {
            return Err(CasError::UnknownVersion(key));
        }
    }
    let mut content = Vec::new();
    MultiGzDecoder::new(object.body.as_ref())
        .take(limit.saturating_add(1))
        .read_to_end(&mut content)
        .map_err(|source| CasError::Unpack { key, source })?;
    Ok(content.into())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};

    use super::*;
    use crate::{Op, failing::FailingStore, local::LocalStore};

    const LIMIT: u64 = 100;

    struct Fixture {
        _folder: tempfile::TempDir,
        store: FailingStore<LocalStore>,
        flow: FlowName,
    }

    fn fixture() -> Fixture {
        let folder = tempfile::tempdir().unwrap();
        let store = FailingStore::new(LocalStore::new(folder.path()));
        Fixture {
            _folder: folder,
            store,
            flow: "F".parse().unwrap(),
        }
    }

    impl Fixture {
        async fn put(&self, content: &[u8], body: Vec<u8>, metadata: Option<&str>) -> BlobKey {
            let key = BlobKey::of(content);
            let user_metadata = metadata.map(|text| serde_json::from_str(text).unwrap());
            let options = PutOptions {
                mode: PutMode::Overwrite,
                user_metadata,
            };
            let object_key = layout::blob(&self.flow, &key.to_string());
            self.store
                .put(&object_key, body.into(), options)
                .await
                .unwrap();
            key
        }

        async fn load(&self, key: BlobKey) -> Result<Bytes, CasError> {
            load(&self.store, &self.flow, key, LIMIT).await
        }
    }

    fn gzip(content: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    #[tokio::test]
    async fn saved_blobs_are_raw_and_saved_once() {
        let f = fixture();
        let key = save_raw(&f.store, &f.flow, Bytes::from_static(b"abc"))
            .await
            .unwrap();
        assert_eq!(key.to_string(), "a9993e364706816aba3e25717850c26c9cd0d89d");
        save_raw(&f.store, &f.flow, Bytes::from_static(b"abc"))
            .await
            .unwrap();
        let object_key = "F/data/a9/a9993e364706816aba3e25717850c26c9cd0d89d";
        assert_eq!(f.store.calls(Op::Put), [object_key]);
        let object = f.store.get(object_key).await.unwrap().unwrap();
        assert_eq!(object.body, b"abc"[..]);
        assert_eq!(object.user_metadata, Some(raw_metadata()));
        assert_eq!(f.load(key).await.unwrap(), b"abc"[..]);
    }

    #[tokio::test]
    async fn metadata_decides_how_a_blob_is_packed() {
        let f = fixture();
        let (packed, two_members) = (gzip(b"x"), [gzip(b"x"), gzip(b"y")].concat());
        let version_1 = Some(r#"{"cas_raw": false, "cas_version": 1}"#);
        for (content, body, metadata) in [
            (&b"x"[..], packed.clone(), version_1),
            (b"x", packed.clone(), None),
            (b"xy", two_members, None),
            (
                &packed,
                packed.clone(),
                Some(r#"{"cas_raw": true, "cas_version": 1}"#),
            ),
        ] {
            let key = f.put(content, body, metadata).await;
            assert_eq!(f.load(key).await.unwrap(), content);
        }
        for metadata in [r#"{"cas_version": 2}"#, r#"{"cas_raw": false}"#] {
            let key = f.put(b"x", packed.clone(), Some(metadata)).await;
            assert!(matches!(
                f.load(key).await,
                Err(CasError::UnknownVersion(_))
            ));
        }
    }

    #[tokio::test]
    async fn broken_blobs_are_errors() {
        let f = fixture();
        assert!(matches!(
            f.load(BlobKey::of(b"none")).await,
            Err(CasError::Absent(_))
        ));
        let key = f.put(b"x", b"not gzip".to_vec(), None).await;
        assert!(matches!(f.load(key).await, Err(CasError::Unpack { .. })));
        let key = f.put(b"x", gzip(b"y"), None).await;
        assert!(matches!(f.load(key).await, Err(CasError::Corrupt(_))));
        let key = f.put(&[0; 101], gzip(&[0; 101]), None).await;
        assert!(matches!(f.load(key).await, Err(CasError::TooLarge { .. })));
        let key = f.put(&[0; 100], gzip(&[0; 100]), None).await;
        assert_eq!(f.load(key).await.unwrap().len(), 100);
    }

    #[test]
    fn addresses_are_forty_digits() {
        for bad in [
            "",
            "A9993E364706816ABA3E25717850C26C9CD0D89D",
            "a9",
            &"g".repeat(40),
        ] {
            assert!(bad.parse::<BlobKey>().is_err(), "{bad}");
        }
    }
}
