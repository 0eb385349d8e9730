use aws::s3::S3Store;
use bytes::Bytes;
use datastore::{
    ErrorKind, ObjectStore, PutMode, PutOptions, PutOutcome, StoreError, UserMetadata,
};
use model::plan::S3Settings;

use crate::server::{Answer, Server};

fn chain(error: &StoreError) -> String {
    let source = std::error::Error::source(error).unwrap();
    format!("{error}: {source}")
}

fn create_only() -> PutOptions {
    PutOptions {
        mode: PutMode::CreateOnly,
        user_metadata: None,
    }
}

#[tokio::test]
async fn an_absent_object_is_none_and_an_absent_bucket_an_error() {
    let server = Server::start([
        Answer::s3_error(404, "NoSuchKey", "The specified key does not exist."),
        Answer::text(404, ""),
        Answer::s3_error(404, "NoSuchBucket", "The specified bucket does not exist"),
        Answer::s3_error(404, "NoSuchBucket", "The specified bucket does not exist"),
    ])
    .await;
    let store = server.store().await;
    assert_eq!(store.get("k").await.unwrap(), None);
    assert_eq!(store.head("k").await.unwrap(), None);
    assert_eq!(store.get("k").await.unwrap_err().kind(), ErrorKind::NoStore);
    assert_eq!(
        store.list("k").await.unwrap_err().kind(),
        ErrorKind::NoStore
    );
    server.assert_quiet();
}

#[tokio::test]
async fn refusals_name_the_object() {
    let server = Server::start([
        Answer::s3_error(403, "AccessDenied", "Access Denied"),
        Answer::text(403, ""),
    ])
    .await;
    let store = server.store().await;
    let error = store.get("a/b").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert!(!error.is_transient());
    assert_eq!(
        chain(&error),
        "failed to get `a/b` in the datastore: AccessDenied: Access Denied (s3://bucket/prefix/a/b)"
    );
    let error = store.head("a/b").await.unwrap_err();
    assert_eq!(
        error.kind(),
        ErrorKind::PermissionDenied,
        "HEAD has no body"
    );
}

#[tokio::test]
async fn passing_faults_are_tried_again_and_then_told() {
    let fine = || Answer::text(200, "body");
    for fault in [
        Answer::s3_error(503, "SlowDown", "Please reduce your request rate."),
        Answer::s3_error(500, "InternalError", "We encountered an internal error."),
        Answer::HangUp,
        Answer::Silence,
        Answer::text(200, "bo").broken_off(),
    ] {
        let server = Server::start([fault.clone(), fine()]).await;
        let object = server.store().await.get("k").await.unwrap().unwrap();
        assert_eq!(object.body, "body", "{fault:?}");
        assert_eq!(server.requests().len(), 2, "{fault:?}");
    }
    for (fault, kind) in [
        (
            Answer::s3_error(503, "SlowDown", "Please"),
            ErrorKind::Throttled,
        ),
        (
            Answer::s3_error(500, "InternalError", "We"),
            ErrorKind::Unavailable,
        ),
        (Answer::HangUp, ErrorKind::Unavailable),
        (Answer::Silence, ErrorKind::Unavailable),
    ] {
        let server = Server::start([fault.clone(), fault.clone(), fault.clone()]).await;
        let error = server.store().await.get("k").await.unwrap_err();
        assert_eq!(error.kind(), kind, "{fault:?}");
        assert!(error.is_transient());
        server.assert_quiet();
    }
    let broken = || Answer::text(200, "bo").broken_off();
    let server = Server::start([broken(), broken(), broken(), broken()]).await;
    let error = server.store().await.get("k").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    server.assert_quiet();
}

#[tokio::test]
async fn stale_credentials_may_be_renewed() {
    let server = Server::start([Answer::s3_error(
        400,
        "ExpiredToken",
        "The provided token has expired.",
    )])
    .await;
    let error = server
        .store()
        .await
        .put("k", Bytes::new(), PutOptions::default())
        .await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn a_range_behind_the_end_is_empty() {
    let part = Answer::text(206, "56").header("content-range", "bytes 5-6/7");
    let server = Server::start([
        Answer::s3_error(
            416,
            "InvalidRange",
            "The requested range is not satisfiable",
        ),
        part,
        Answer::text(200, "whole"),
        Answer::text(200, "0123456"),
    ])
    .await;
    let store = server.store().await;
    assert_eq!(store.get_range("k", 7, 9).await.unwrap().unwrap(), "");
    assert_eq!(store.get_range("k", 5, 9).await.unwrap().unwrap(), "56");
    assert_eq!(store.get_range("k", 0, 9).await.unwrap().unwrap(), "whole");
    assert_eq!(
        store.get_range("k", 5, 9).await.unwrap().unwrap(),
        "56",
        "the range was ignored"
    );
    let ranges: Vec<_> = server
        .requests()
        .iter()
        .map(|request| request.headers.get("range").cloned())
        .collect();
    let range = |text: &str| Some(text.to_owned());
    assert_eq!(
        ranges,
        [
            range("bytes=7-15"),
            range("bytes=5-13"),
            range("bytes=0-8"),
            range("bytes=5-13")
        ]
    );
}

#[tokio::test]
async fn creating_only_regards_conflicts() {
    let conflict = || Answer::s3_error(409, "ConditionalRequestConflict", "conflict");
    let exists = Answer::s3_error(
        412,
        "PreconditionFailed",
        "At least one precondition failed",
    );
    let server = Server::start([conflict(), conflict(), Answer::text(200, ""), exists]).await;
    let store = server.store().await;
    let put = || store.put("k", Bytes::from_static(b"x"), create_only());
    assert_eq!(put().await.unwrap(), PutOutcome::Written);
    assert_eq!(put().await.unwrap(), PutOutcome::AlreadyExists);
    for request in server.requests() {
        assert_eq!(request.headers["if-none-match"], "*");
        assert_eq!(request.body, b"x");
    }

    let server = Server::start([conflict()]).await;
    let store = server.store().await;
    let put = store.put("k", Bytes::new(), PutOptions::default()).await;
    assert!(put.is_err(), "an overwrite does not wait");
    assert!(!server.requests()[0].headers.contains_key("if-none-match"));
}

#[tokio::test]
async fn a_put_carries_metadata_and_encryption() {
    let server = Server::start([Answer::text(200, "")]).await;
    let s3 = S3Settings {
        server_side_encryption: Some("aws:kms".to_owned()),
        ..S3Settings::default()
    };
    let store = S3Store::open(&server.aws(s3).await, "s3://bucket")
        .await
        .unwrap();
    let options = PutOptions {
        mode: PutMode::Overwrite,
        user_metadata: Some(UserMetadata::from_iter([("t".to_owned(), "\u{fc}".into())])),
    };
    store
        .put("a/b c", Bytes::from_static(b"body"), options)
        .await
        .unwrap();
    let request = server.requests().pop().unwrap();
    assert_eq!(request.line, "PUT /bucket/a/b%20c?x-id=PutObject");
    assert_eq!(
        request.headers["x-amz-meta-metaflow-user-attributes"],
        r#"{"t": "\u00fc"}"#
    );
    assert_eq!(request.headers["x-amz-server-side-encryption"], "aws:kms");
    assert_eq!(request.headers["content-length"], "4");
    let address = store.address();
    assert_eq!((&*address.bucket, &*address.prefix), ("bucket", ""));
    assert_eq!(address.server_side_encryption.as_deref(), Some("aws:kms"));
}

#[tokio::test]
async fn an_explicit_endpoint_wins() {
    let other = Server::start([]).await;
    let server = Server::start([Answer::text(200, "body")]).await;
    let s3 = S3Settings {
        endpoint: Some(server.url.clone()),
        ..S3Settings::default()
    };
    let store = S3Store::open(&other.aws(s3).await, "s3://bucket/p")
        .await
        .unwrap();
    assert!(store.get("k").await.unwrap().is_some());
    assert_eq!(server.lines(), ["GET /bucket/p/k?x-id=GetObject"]);
    assert_eq!(store.address().endpoint.as_deref(), Some(&*server.url));
    assert_eq!(other.requests().len(), 0);
}

#[tokio::test]
async fn listings_are_read_page_by_page() {
    let page = |keys: &[&str], next: Option<&str>| {
        let contents = |key: &&str| format!("<Contents><Key>{key}</Key><Size>3</Size></Contents>");
        let contents = keys.iter().map(contents).collect::<Vec<_>>().concat();
        let more = next.map_or(String::new(), |next| {
            format!("<IsTruncated>true</IsTruncated><NextContinuationToken>{next}</NextContinuationToken>")
        });
        Answer::text(
            200,
            format!("<ListBucketResult>{contents}{more}</ListBucketResult>"),
        )
    };
    let server = Server::start([
        page(&["prefix/a/2", "prefix/a/folder/"], Some("t&amp;1")),
        page(&["prefix/a/1"], None),
    ])
    .await;
    let entries = server.store().await.list("a/").await.unwrap();
    let keys: Vec<_> = entries
        .iter()
        .map(|entry| (&*entry.key, entry.size))
        .collect();
    assert_eq!(keys, [("a/1", 3), ("a/2", 3)]);
    assert_eq!(
        server.lines(),
        [
            "GET /bucket/?list-type=2&prefix=prefix%2Fa%2F",
            "GET /bucket/?list-type=2&prefix=prefix%2Fa%2F&continuation-token=t%261",
        ]
    );
}

#[tokio::test]
async fn an_upload_that_fails_is_aborted() {
    let begun =
        "<InitiateMultipartUploadResult><UploadId>u1</UploadId></InitiateMultipartUploadResult>";
    let refusal = || Answer::s3_error(403, "AccessDenied", "no");
    let server = Server::start([
        Answer::text(200, begun),
        refusal(),
        refusal(),
        Answer::text(204, ""),
    ])
    .await;
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len((8 << 20) + 1).unwrap();
    let store = server.store().await;
    let put = store
        .put_file("k", file.path(), PutOptions::default())
        .await;
    assert_eq!(put.unwrap_err().kind(), ErrorKind::PermissionDenied);
    let lines = server.lines();
    let aborts = lines
        .iter()
        .filter(|line| line.starts_with("DELETE "))
        .count();
    assert_eq!(aborts, 1, "{lines:?}");
}

#[tokio::test]
async fn a_missing_file_is_an_error() {
    let server = Server::start([]).await;
    let store = server.store().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("none");
    let put = store.put_file("k", &path, PutOptions::default()).await;
    assert!(chain(&put.unwrap_err()).contains("No such file"));
}
