//! What every [`ObjectStore`] must do, as a test to run over each implementation.

use bytes::Bytes;

use crate::{Entry, Info, Object, ObjectStore, PutMode, PutOptions, PutOutcome, UserMetadata};

/// Panics unless the store, which must be empty, behaves. It is not empty afterwards.
pub async fn check<S: ObjectStore>(store: &S) {
    absent_objects_are_none(store).await;
    objects_are_replaced_whole(store).await;
    user_metadata_belongs_to_the_object(store).await;
    ranges_begin_anywhere(store).await;
    create_only_writes_once(store).await;
    lists_are_by_prefix_and_sorted(store).await;
    folders_have_names(store).await;
    bad_keys_are_refused(store).await;
}

async fn absent_objects_are_none<S: ObjectStore>(store: &S) {
    assert_eq!(store.get("absent/key").await.expect("get"), None);
    assert_eq!(
        store
            .get_range("absent/key", 0, 9)
            .await
            .expect("get_range"),
        None
    );
    assert_eq!(
        store
            .get_range("absent/key", 7, 9)
            .await
            .expect("get_range"),
        None
    );
    assert_eq!(store.head("absent/key").await.expect("head"), None);
    assert_eq!(store.list("").await.expect("list"), []);
    assert_eq!(store.list("absent/").await.expect("list"), []);
}

async fn objects_are_replaced_whole<S: ObjectStore>(store: &S) {
    for body in [&b"a longer body"[..], b"", b"\x00\xff\r\n"] {
        assert_eq!(
            put(store, "replace/key", body, None).await,
            PutOutcome::Written
        );
        let object = Object {
            body: Bytes::from_static(body),
            user_metadata: None,
        };
        assert_eq!(store.get("replace/key").await.expect("get"), Some(object));
        let info = Info {
            size: body.len() as u64,
            user_metadata: None,
        };
        assert_eq!(store.head("replace/key").await.expect("head"), Some(info));
    }
}

async fn user_metadata_belongs_to_the_object<S: ObjectStore>(store: &S) {
    let key = "metadata/key";
    let metadata = UserMetadata::from_iter([
        ("cas_raw".to_owned(), false.into()),
        ("cas_version".to_owned(), 1.into()),
        ("text".to_owned(), "gr\u{fc}\u{df}e, \"x\"".into()),
    ]);
    put(store, key, b"1", Some(&metadata)).await;
    let object = store
        .get(key)
        .await
        .expect("get")
        .expect("there is an object");
    assert_eq!(object.user_metadata.as_ref(), Some(&metadata));
    let info = store
        .head(key)
        .await
        .expect("head")
        .expect("there is an object");
    assert_eq!(info.user_metadata.as_ref(), Some(&metadata));

    put(store, key, b"2", None).await;
    let object = store
        .get(key)
        .await
        .expect("get")
        .expect("there is an object");
    assert_eq!(
        object.user_metadata, None,
        "a put without metadata leaves none"
    );
    let keys = store.list("metadata/").await.expect("list");
    assert_eq!(keys.len(), 1, "metadata is not listed: {keys:?}");
}

async fn ranges_begin_anywhere<S: ObjectStore>(store: &S) {
    put(store, "range/key", b"0123456789", None).await;
    for (from, rest) in [
        (0, &b"0123456789"[..]),
        (3, b"3456789"),
        (9, b"9"),
        (10, b""),
        (99, b""),
    ] {
        let range = store
            .get_range("range/key", from, 100)
            .await
            .expect("get_range");
        assert_eq!(range.as_deref(), Some(rest), "from {from}");
    }
    for (from, limit, part) in [(0, 4, &b"0123"[..]), (3, 2, b"34"), (8, 2, b"89")] {
        let range = store.get_range("range/key", from, limit).await;
        let range = range.expect("get_range");
        assert_eq!(range.as_deref(), Some(part), "{limit} from {from}");
    }
    put(store, "range/empty", b"", None).await;
    let range = store
        .get_range("range/empty", 0, 9)
        .await
        .expect("get_range");
    assert_eq!(range.as_deref(), Some(&b""[..]));
}

async fn create_only_writes_once<S: ObjectStore>(store: &S) {
    let options = || PutOptions {
        mode: PutMode::CreateOnly,
        user_metadata: None,
    };
    let put = async |key, body| {
        store
            .put(key, Bytes::from_static(body), options())
            .await
            .expect("put")
    };
    assert_eq!(put("create/key", b"first").await, PutOutcome::Written);
    assert_eq!(
        put("create/key", b"second").await,
        PutOutcome::AlreadyExists
    );
    let object = store
        .get("create/key")
        .await
        .expect("get")
        .expect("there is an object");
    assert_eq!(object.body, b"first"[..]);

    let (a, b, c) = tokio::join!(
        put("create/race", b"a"),
        put("create/race", b"b"),
        put("create/race", b"c")
    );
    let outcomes = [(a, b"a"), (b, b"b"), (c, b"c")];
    let winners: Vec<_> = outcomes
        .iter()
        .filter(|(outcome, _)| *outcome == PutOutcome::Written)
        .collect();
    assert_eq!(winners.len(), 1, "exactly one put writes");
    let object = store
        .get("create/race")
        .await
        .expect("get")
        .expect("there is an object");
    assert_eq!(object.body, winners[0].1[..]);
}

async fn lists_are_by_prefix_and_sorted<S: ObjectStore>(store: &S) {
    let keys = [
        "list/a/2",
        "list/a-b",
        "list/a/10",
        "list/a/1/deep/er",
        "list/b/1",
        "list/ab",
    ];
    for key in keys {
        put(store, key, key.as_bytes(), None).await;
    }
    let listed = async |prefix| store.list(prefix).await.expect("list");
    let entries = |keys: &[&str]| -> Vec<Entry> {
        keys.iter()
            .map(|key| Entry {
                key: (*key).to_owned(),
                size: key.len() as u64,
            })
            .collect()
    };
    assert_eq!(
        listed("list/a/").await,
        entries(&["list/a/1/deep/er", "list/a/10", "list/a/2"])
    );
    assert_eq!(
        listed("list/a/1").await,
        entries(&["list/a/1/deep/er", "list/a/10"])
    );
    assert_eq!(
        listed("list/a").await,
        entries(&[
            "list/a-b",
            "list/a/1/deep/er",
            "list/a/10",
            "list/a/2",
            "list/ab"
        ])
    );
    assert_eq!(listed("list/b/1").await, entries(&["list/b/1"]));
    assert_eq!(listed("list/c").await, []);
    assert!(
        listed("").await.len() > keys.len(),
        "an empty prefix lists everything"
    );
}

async fn folders_have_names<S: ObjectStore>(store: &S) {
    let names = async |folder| store.folders(folder).await.expect("folders");
    assert_eq!(names("folders").await, [""; 0]);
    for key in [
        "folders/b/1/x",
        "folders/b/2",
        "folders/a-c/1",
        "folders/a/1",
        "folders/z",
    ] {
        put(store, key, b"", None).await;
    }
    assert_eq!(names("folders").await, ["a", "a-c", "b"]);
    assert_eq!(names("folders/b").await, ["1"]);
    assert_eq!(names("folders/a").await, [""; 0]);
}

async fn bad_keys_are_refused<S: ObjectStore>(store: &S) {
    for key in ["", "/a", "a/", "a//b", "../a", "a/../b"] {
        let put = store.put(key, Bytes::new(), PutOptions::default()).await;
        assert!(put.is_err(), "`{key}` can be put");
        assert!(store.get(key).await.is_err(), "`{key}` can be got");
    }
}

async fn put<S: ObjectStore>(
    store: &S,
    key: &str,
    body: &[u8],
    metadata: Option<&UserMetadata>,
) -> PutOutcome {
    let options = PutOptions {
        mode: PutMode::Overwrite,
        user_metadata: metadata.cloned(),
    };
    store
        .put(key, Bytes::copy_from_slice(body), options)
        .await
        .expect("put")
}
