//! What the process environment decides. A test cannot change its own environment, so these start
//! the test program again with another one.

use std::process::{Command, Output};

use aws::{Aws, ConfigError, Settings, batch, s3::S3Store};
use datastore::ObjectStore;
use model::{batch::JobId, plan::S3Settings};
use serde_json::json;

use crate::server::{Answer, Server, impatience};

/// Tells the started program what to do.
const ROLE: &str = "FERROFLOW_TEST_ROLE";

fn start(role: &str, variables: &[(&str, &str)]) -> Output {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "environment::started_again", "--nocapture"])
        .env_clear()
        .env(ROLE, role)
        .envs([
            ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
        ])
        .envs([
            ("AWS_EC2_METADATA_DISABLED", "true"),
            ("AWS_CONFIG_FILE", "/nonexistent"),
        ])
        .envs([("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")])
        .envs(variables.iter().copied())
        .output()
        .unwrap()
}

async fn started(role: &'static str, variables: Vec<(&'static str, String)>) -> String {
    let output = tokio::task::spawn_blocking(move || {
        let variables: Vec<_> = variables
            .iter()
            .map(|(name, value)| (*name, &**value))
            .collect();
        start(role, &variables)
    });
    let output = output.await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    text
}

/// Not a test of its own: what a test starts.
#[tokio::test]
async fn started_again() {
    let Some(role) = std::env::var_os(ROLE) else {
        return;
    };
    let settings = Settings {
        patience: impatience(),
        ..Settings::default()
    };
    match role.to_str().unwrap() {
        "describe" => {
            let client = batch::Client::new(&Aws::load(settings).await.unwrap()).unwrap();
            assert_eq!(client.describe_jobs(&[JobId::new("id")]).await.error, None);
        }
        "get" => {
            let aws = Aws::load(settings).await.unwrap();
            let store = S3Store::open(&aws, "s3://bucket/prefix").await.unwrap();
            assert_eq!(store.get("key").await.unwrap(), None);
            println!("region {}", store.address().region);
        }
        "load" => match Aws::load(settings).await {
            Ok(aws) => println!("{:?}", batch::Client::new(&aws).map(drop).err()),
            Err(error) => println!("{error}"),
        },
        other => panic!("unknown role {other}"),
    }
}

fn no_jobs() -> Answer {
    Answer::json(200, &json!({"jobs": []}))
}

#[tokio::test]
async fn endpoints_and_region_come_from_the_environment() {
    for name in ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_BATCH"] {
        let server = Server::start([no_jobs()]).await;
        let region = ("AWS_DEFAULT_REGION", "eu-west-3".to_owned());
        started("describe", vec![(name, server.url.clone()), region]).await;
        let authorization = &server.requests()[0].headers["authorization"];
        assert!(
            authorization.contains("/eu-west-3/batch/aws4_request"),
            "{authorization}"
        );
    }
    for name in ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"] {
        let server = Server::start([Answer::s3_error(404, "NoSuchKey", "none")]).await;
        let text = started("get", vec![(name, server.url.clone())]).await;
        assert!(text.contains("region us-east-1"), "boto3's default: {text}");
        assert_eq!(server.lines(), ["GET /bucket/prefix/key?x-id=GetObject"]);
    }
}

#[tokio::test]
async fn proxies_are_honoured() {
    let proxy = Server::start([no_jobs()]).await;
    let variables = |no_proxy: &str, endpoint: &str| {
        vec![
            ("HTTP_PROXY", proxy.url.clone()),
            ("NO_PROXY", no_proxy.to_owned()),
            ("AWS_ENDPOINT_URL", endpoint.to_owned()),
            ("AWS_REGION", "eu-west-3".to_owned()),
        ]
    };
    started("describe", variables("", "http://batch.invalid")).await;
    assert_eq!(proxy.lines(), ["POST http://batch.invalid/v1/describejobs"]);

    let server = Server::start([no_jobs()]).await;
    started("describe", variables("127.0.0.1", &server.url)).await;
    assert_eq!(server.lines(), ["POST /v1/describejobs"]);
    assert_eq!(proxy.requests().len(), 1);
}

#[tokio::test]
async fn https_goes_through_a_tunnel() {
    // The proxy refuses the tunnel; that it was asked is enough.
    let proxy = Server::start((0..3).map(|_| Answer::text(502, ""))).await;
    let variables = [
        ("HTTPS_PROXY", proxy.url.clone()),
        ("AWS_REGION", "eu-west-3".to_owned()),
    ];
    let output = tokio::task::spawn_blocking(move || {
        let variables: Vec<_> = variables
            .iter()
            .map(|(name, value)| (*name, &**value))
            .collect();
        start("describe", &variables)
    });
    assert!(!output.await.unwrap().status.success());
    assert_eq!(
        proxy.lines()[0],
        "CONNECT batch.eu-west-3.amazonaws.com:443"
    );
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let text = started("load", vec![]).await;
    assert!(text.contains("Some(NoRegion)"), "{text}");

    let text = started("load", vec![("AWS_CA_BUNDLE", "/nonexistent".to_owned())]).await;
    assert!(
        text.contains("cannot read the certificates `/nonexistent`"),
        "{text}"
    );

    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap().to_owned();
    let text = started("load", vec![("AWS_CA_BUNDLE", path)]).await;
    assert!(text.contains("there are no certificates in"), "{text}");
}

#[tokio::test]
async fn a_plan_may_name_certificates_for_s3() {
    let server = Server::start([]).await;
    let s3 = S3Settings {
        ca_bundle: Some("/nonexistent".to_owned()),
        ..S3Settings::default()
    };
    let error = S3Store::open(&server.aws(s3).await, "s3://b/p")
        .await
        .unwrap_err();
    assert!(matches!(error, ConfigError::CaBundle { .. }), "{error:?}");
}
