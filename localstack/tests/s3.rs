//! The S3 service on loopback, driven by boto3 (the scripts beside this file). Each test has a server and a folder of its own.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{convert::Infallible, net::SocketAddr, path::Path, process::Command, sync::Arc};

use hyper::{Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use localstack::{
    Clock, Context,
    faults::{Faults, LoseReply, Rule},
    history::History,
    s3::S3,
};
use s3s::{Body, auth::SimpleAuth};
use tempfile::TempDir;
use tokio::{
    net::{TcpListener, TcpStream},
    runtime::Runtime,
};

#[path = "../../tests/harness/python.rs"]
#[expect(dead_code, reason = "moto is not needed here")]
mod python;

const KEY_ID: &str = "AKIDTEST";
const SECRET: &str = "secret/with+characters";
const ACCOUNT: &str = "123456789012";

/// A running server. Dropping it ends it, connections included.
struct Server {
    runtime: Option<Runtime>,
    address: SocketAddr,
}

impl Server {
    fn start(folder: &Path, rules: &str) -> Self {
        let runtime = Runtime::new().unwrap();
        let listener = runtime
            .block_on(TcpListener::bind(("127.0.0.1", 0)))
            .unwrap();
        let address = listener.local_addr().unwrap();
        let context = Context {
            folder: folder.to_owned(),
            endpoint: format!("http://{address}"),
            region: "us-east-1".to_owned(),
            account: ACCOUNT.to_owned(),
            clock: Clock::default(),
            history: History::open(&folder.join("history.jsonl")).unwrap(),
            faults: Faults::new(serde_json::from_str::<Vec<Rule>>(rules).unwrap()),
            python: None,
            strict: false,
        };
        let s3 = S3::open(Arc::new(context), SimpleAuth::from_single(KEY_ID, SECRET)).unwrap();
        s3.create_bucket_if_missing("default").unwrap();
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, s3.clone()));
            }
        });
        Self {
            runtime: Some(runtime),
            address,
        }
    }

    /// Runs a script, which fails when something is not as it should be.
    fn run(&self, script: &str, arguments: &[&str]) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/s3");
        let output = Command::new(python::with_metaflow())
            .arg(folder.join(script))
            .args(arguments)
            .env("AWS_ACCESS_KEY_ID", KEY_ID)
            .env("AWS_SECRET_ACCESS_KEY", SECRET)
            .env("AWS_DEFAULT_REGION", "us-east-1")
            .env("AWS_ENDPOINT_URL", format!("http://{}", self.address))
            .env("AWS_CONFIG_FILE", "/dev/null")
            .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env_remove("AWS_PROFILE")
            .env_remove("AWS_SESSION_TOKEN")
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        assert!(output.status.success(), "{script} failed:\n{text}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn serve(stream: TcpStream, s3: S3) {
    let answer = service_fn(move |request: http::Request<Incoming>| {
        let s3 = s3.clone();
        async move {
            let response: Response<Body> = s3.call(request).await;
            if response.extensions().get::<LoseReply>().is_some() {
                return Err("the reply is lost");
            }
            Ok(response)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), answer);
    // Clients close connections as they like.
    let _: Result<(), Infallible> = connection.await.or(Ok(()));
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn blobs(folder: &Path) -> usize {
    std::fs::read_dir(folder.join("s3/blobs")).unwrap().count()
}

#[test]
fn objects_are_kept_as_they_were_put() {
    let folder = folder();
    Server::start(folder.path(), "[]").run("objects.py", &[]);
    assert_eq!(blobs(folder.path()), 0, "all objects were deleted");
}

#[test]
fn keys_are_exact() {
    let folder = folder();
    Server::start(folder.path(), "[]").run("keys.py", &[]);
}

#[test]
fn listings_are_paged_and_encoded() {
    let folder = folder();
    Server::start(folder.path(), "[]").run("listings.py", &[]);
}

#[test]
fn writes_under_a_condition_have_one_winner() {
    let folder = folder();
    Server::start(folder.path(), "[]").run("conditions.py", &[]);
}

#[test]
fn uploads_in_parts() {
    let folder = folder();
    Server::start(folder.path(), "[]").run("multipart.py", &[]);
    assert_eq!(
        blobs(folder.path()),
        0,
        "all objects and parts were deleted"
    );
}

#[test]
fn checksums_are_verified_and_kept() {
    let folder = folder();
    Server::start(folder.path(), "[]").run("checksums.py", &[]);
}

#[test]
fn only_signed_requests_are_answered() {
    let folder = folder();
    Server::start(folder.path(), "[]").run("signatures.py", &[]);
}

#[test]
fn a_restart_loses_nothing() {
    let folder = folder();
    Server::start(folder.path(), "[]").run("restart.py", &["before"]);
    let leftover = folder.path().join("s3/blobs/00000000000fffff");
    std::fs::write(&leftover, "of an upload that was cut off").unwrap();
    Server::start(folder.path(), "[]").run("restart.py", &["after"]);
    assert!(!leftover.exists());
    assert_eq!(
        blobs(folder.path()),
        0,
        "all objects and parts were deleted"
    );
}

/// As some stores do that look like S3.
#[test]
fn conditions_of_writes_can_be_ignored() {
    let folder = folder();
    let rules = ["PutObject", "CopyObject", "CompleteMultipartUpload"].map(|operation| {
        serde_json::json!({"operation": operation, "subject": "lax", "times": 100, "fault": "ignore_conditions"})
    });
    let rules = serde_json::json!(rules).to_string();
    Server::start(folder.path(), &rules).run("lax.py", &[]);
}

#[test]
fn what_is_to_go_wrong_goes_wrong() {
    let folder = folder();
    let rules = r#"[
        {"operation": "PutObject", "subject": "refused", "fault": {"refuse": {"status": 503, "code": "SlowDown"}}},
        {"operation": "PutObject", "subject": "done", "fault": {"refuse_after_effect": {"status": 500, "code": "InternalError"}}},
        {"operation": "PutObject", "subject": "lost", "nth": 1, "fault": "lose_reply"},
        {"operation": "ListObjectsV2", "subject": "default", "fault": {"refuse": {"status": 429, "code": "OurOwnException"}}},
        {"operation": "PutObject", "subject": "at-once", "fault": {"refuse": {"status": 409, "code": "ConditionalRequestConflict"}}},
        {"operation": "GetObject", "fault": {"refuse": {"status": 400, "code": "ExpiredToken"}}},
        {"operation": "GetObject", "nth": 2, "fault": {"refuse": {"status": 403, "code": "RequestTimeTooSkewed"}}},
        {"operation": "GetObject", "nth": 3, "fault": "hang_up"}
    ]"#;
    Server::start(folder.path(), rules).run("faults.py", &[]);
    let history = std::fs::read_to_string(folder.path().join("history.jsonl")).unwrap();
    let calls: Vec<_> = history
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .filter(|line| line["kind"] == "s3.call" && line["detail"]["operation"] == "PutObject")
        .map(|line| {
            let (key, status) = (&line["detail"]["key"], &line["detail"]["status"]);
            (key.as_str().unwrap().to_owned(), status.as_u64().unwrap())
        })
        .collect();
    let expected = [
        ("refused", 503),
        ("refused", 200),
        ("done", 500),
        ("lost", 200),
        ("at-once", 409),
        ("at-once", 200),
    ];
    assert_eq!(
        calls,
        expected.map(|(key, status)| (key.to_owned(), status))
    );
}
