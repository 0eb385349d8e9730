use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::{ErrorKind, PutMode, UserMetadata, conformance};

fn store() -> (tempfile::TempDir, LocalStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = LocalStore::new(folder.path().join("made/.metaflow"));
    (folder, store)
}

fn raw() -> UserMetadata {
    serde_json::from_str(r#"{"cas_version": 1, "cas_raw": true}"#).unwrap()
}

#[tokio::test]
async fn it_conforms() {
    let (_folder, store) = store();
    conformance::check(&store).await;
}

#[tokio::test]
async fn files_are_upstreams() {
    let (_folder, store) = store();
    let options = PutOptions {
        mode: PutMode::Overwrite,
        user_metadata: Some(raw()),
    };
    store
        .put("F/data/ab/abc", Bytes::from_static(b"x"), options)
        .await
        .unwrap();

    let path = store.root().join("F/data/ab/abc");
    assert_eq!(std::fs::read(&path).unwrap(), b"x");
    assert_eq!(
        std::fs::read_to_string(metadata_path(&path)).unwrap(),
        r#"{"cas_raw": true, "cas_version": 1}"#
    );
    assert_eq!(
        std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert_eq!(
        std::fs::read_dir(path.parent().unwrap()).unwrap().count(),
        2
    );
}

#[tokio::test]
async fn what_belongs_to_others_is_not_listed() {
    let (_folder, store) = store();
    store
        .put("F/1/start/1/a", Bytes::new(), PutOptions::default())
        .await
        .unwrap();
    let task = store.root().join("F/1/start/1");
    std::fs::create_dir(task.join("_meta")).unwrap();
    for name in ["_meta/_self.json", "a_meta", ".ferroflow-x"] {
        std::fs::write(task.join(name), "{}").unwrap();
    }
    let keys: Vec<String> = store
        .list("F/")
        .await
        .unwrap()
        .into_iter()
        .map(|entry| entry.key)
        .collect();
    assert_eq!(keys, ["F/1/start/1/a"]);
}

#[tokio::test]
async fn a_folder_is_no_object() {
    let (_folder, store) = store();
    store
        .put("F/1/a", Bytes::new(), PutOptions::default())
        .await
        .unwrap();
    assert_eq!(store.get("F/1").await.unwrap(), None);
    assert_eq!(store.head("F/1").await.unwrap(), None);
    assert_eq!(store.get_range("F/1", 0, 9).await.unwrap(), None);
    assert_eq!(store.get("F/1/a/b").await.unwrap(), None);
}

#[tokio::test]
async fn keys_cannot_leave_the_root() {
    let (_folder, store) = store();
    for key in [
        "", "/a", "a/", "a//b", "../a", "a/../b", "a/..", "./a", "a_meta", "_meta/a", "a\0",
    ] {
        let error = store.get(key).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidKey, "{key}");
        assert!(!error.is_transient());
    }
    assert!(store.list("../").await.is_err());
    assert!(store.list("F/../..").await.is_err());
}

#[tokio::test]
async fn broken_metadata_is_an_error() {
    let (_folder, store) = store();
    store
        .put("F/a", Bytes::new(), PutOptions::default())
        .await
        .unwrap();
    std::fs::write(store.root().join("F/a_meta"), "[1]").unwrap();
    let error = store.get("F/a").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadMetadata);
    assert_eq!(error.to_string(), "failed to get `F/a` in the datastore");
}
