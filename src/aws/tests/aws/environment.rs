//! What the process environment decides.

use aws::{ConfigError, s3::S3Store};
use datastore::ObjectStore;
use model::plan::S3Settings;
use serde_json::json;

use crate::{
    again::{Again, text},
    server::{Answer, Server},
};

pub(crate) fn no_jobs() -> Answer {
    Answer::json(200, &json!({"jobs": []}))
}

#[tokio::test]
async fn endpoints_and_region_come_from_the_environment() {
    for name in ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_BATCH"] {
        let server = Server::start([no_jobs()]).await;
        Again::with_keys("describe")
            .set(name, &server.url)
            .run()
            .await;
        let authorization = &server.requests()[0].headers["authorization"];
        assert!(
            authorization.contains("/eu-west-3/batch/aws4_request"),
            "{authorization}"
        );
    }
    for name in ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"] {
        let server = Server::start([Answer::s3_error(404, "NoSuchKey", "none")]).await;
        let again = Again::with_keys("get").unset("AWS_DEFAULT_REGION");
        let text = again.set(name, &server.url).run().await;
        assert!(text.contains("region us-east-1"), "boto3's default: {text}");
        assert_eq!(server.lines(), ["GET /bucket/prefix/key?x-id=GetObject"]);
    }
}

/// botocore does not read AWS_REGION; here it counts where nothing else says a region.
#[tokio::test]
async fn the_region_is_boto3s() {
    let config = "[default]\nregion = eu-west-2\n[profile other]\nregion = eu-central-1\n";
    for (variables, region) in [
        (&[("AWS_REGION", "us-west-1")][..], "eu-west-2"),
        (&[("AWS_DEFAULT_REGION", "eu-north-1")], "eu-north-1"),
        (&[("AWS_PROFILE", "other")], "eu-central-1"),
        (
            &[("AWS_PROFILE", "default"), ("AWS_DEFAULT_PROFILE", "other")],
            "eu-central-1",
        ),
    ] {
        let server = Server::start([Answer::s3_error(404, "NoSuchKey", "none")]).await;
        let mut again = Again::with_keys("get")
            .unset("AWS_DEFAULT_REGION")
            .file(".aws/config", config)
            .set("AWS_ENDPOINT_URL", &server.url);
        for (name, value) in variables {
            again = again.set(name, *value);
        }
        let text = again.run().await;
        assert!(text.contains(&format!("region {region}")), "{text}");
    }
    let server = Server::start([Answer::s3_error(404, "NoSuchKey", "none")]).await;
    let again = Again::with_keys("get").unset("AWS_DEFAULT_REGION");
    let again = again.set("AWS_REGION", "us-west-1");
    let text = again.set("AWS_ENDPOINT_URL", &server.url).run().await;
    assert!(text.contains("region us-west-1"), "{text}");
}

#[tokio::test]
async fn proxies_are_honoured() {
    let proxy = Server::start([no_jobs()]).await;
    let again = |no_proxy: &str, endpoint: &str| {
        Again::with_keys("describe")
            .set("HTTP_PROXY", &proxy.url)
            .set("NO_PROXY", no_proxy)
            .set("AWS_ENDPOINT_URL", endpoint)
    };
    again("", "http://batch.invalid").run().await;
    assert_eq!(proxy.lines(), ["POST http://batch.invalid/v1/describejobs"]);

    let server = Server::start([no_jobs()]).await;
    again("127.0.0.1", &server.url).run().await;
    assert_eq!(server.lines(), ["POST /v1/describejobs"]);
    assert_eq!(proxy.requests().len(), 1);

    // boto3 does not know it, and people set it to what is no HTTP proxy at all.
    let server = Server::start([no_jobs()]).await;
    let again = Again::with_keys("describe").set("ALL_PROXY", "socks5h://127.0.0.1:9");
    again.set("AWS_ENDPOINT_URL", &server.url).run().await;
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn https_goes_through_a_tunnel() {
    // The proxy refuses the tunnel; that it was asked is enough.
    let proxy = Server::start((0..3).map(|_| Answer::text(502, ""))).await;
    let text = Again::with_keys("describe")
        .set(
            "HTTPS_PROXY",
            proxy.url.replace("http://", "http://me:pass@"),
        )
        .run()
        .await;
    assert!(text.contains("DescribeJobs failed"), "{text}");
    let request = &proxy.requests()[0];
    assert_eq!(request.line, "CONNECT batch.eu-west-3.amazonaws.com:443");
    assert_eq!(request.headers["proxy-authorization"], "Basic bWU6cGFzcw==");
}

/// Whoever names it trusts it, in boto3's order; without, it is a stranger.
#[tokio::test]
async fn certificates_of_ones_own() {
    let (server, certificate) = Server::start_tls([no_jobs(), no_jobs(), no_jobs()]).await;
    let again = || {
        let again = Again::with_keys("describe").file("own.pem", &certificate);
        again.set("AWS_ENDPOINT_URL", &server.url)
    };
    let stranger = again().run().await;
    assert!(stranger.contains("UnknownIssuer"), "{stranger}");
    assert_eq!(server.requests().len(), 0);

    for (count, name) in [(1, "AWS_CA_BUNDLE"), (2, "REQUESTS_CA_BUNDLE")] {
        let again = again();
        let path = text(again.home().join("own.pem"));
        let said = again.set(name, path).run().await;
        assert!(!said.contains("DescribeJobs failed"), "{said}");
        assert_eq!(server.requests().len(), count, "{name}");
    }
    let again = again();
    let path = text(again.home().join("own.pem"));
    let config = format!("[default]\nca_bundle = {path}\n");
    let again = again
        .file(".aws/config", config)
        .set("REQUESTS_CA_BUNDLE", "/nowhere");
    again.run().await;
    assert_eq!(
        server.requests().len(),
        3,
        "the profile comes before requests' variable"
    );
}

/// METAFLOW_S3_VERIFY_CERTIFICATE, which the host tells.
#[tokio::test]
async fn certificates_of_s3_alone() {
    let none = Answer::s3_error(404, "NoSuchKey", "none");
    let (server, certificate) = Server::start_tls([none]).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("own.pem");
    std::fs::write(&path, certificate).unwrap();
    let s3 = S3Settings {
        endpoint: Some(server.url.clone()),
        ca_bundle: Some(text(path)),
        ..S3Settings::default()
    };
    let store = S3Store::open(&server.aws(s3).await, "s3://b/p").await;
    assert_eq!(store.unwrap().get("k").await.unwrap(), None);
    assert_eq!(server.requests().len(), 1);
}

/// As in slim containers; the HTTP client alone would end in a panic.
#[tokio::test]
async fn a_system_without_certificates_has_the_public_ones() {
    let said = Again::with_keys("describe")
        .set("SSL_CERT_FILE", "/nowhere")
        .set("SSL_CERT_DIR", "/nowhere")
        .set("AWS_ENDPOINT_URL", "https://127.0.0.1:9")
        .run()
        .await;
    assert!(
        said.contains("DescribeJobs failed: Unreachable: "),
        "{said}"
    );
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let again = Again::with_keys("load").unset("AWS_DEFAULT_REGION");
    let said = again.run().await;
    assert!(said.contains("Some(NoRegion)"), "{said}");

    let said = Again::with_keys("load")
        .set("HTTPS_PROXY", "socks5://me:pass@proxy:1080")
        .run()
        .await;
    let want = "cannot use the proxy `socks5://…@proxy:1080`: ";
    assert!(said.contains(want) && !said.contains("me:pass"), "{said}");

    let files = "[default]\nregion = x\n[profile dev]\nregion = y\n";
    let again = Again::with_keys("load").file(".aws/config", files);
    let said = again.set("AWS_PROFILE", "prod").run().await;
    let want = "there is no AWS profile `prod`, which AWS_PROFILE names";
    assert!(said.contains(want) && said.contains("dev"), "{said}");
}

#[tokio::test]
async fn bundles_that_are_none_are_named() {
    for (content, why) in [
        (None, "cannot read the certificates `"),
        (Some(""), "there are no certificates in `"),
        (
            Some("-----BEGIN CERTIFICATE-----\nno base64\n-----END CERTIFICATE-----\n"),
            "has what is no certificate",
        ),
        (
            Some("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
            "has what is no certificate",
        ),
    ] {
        let mut again = Again::with_keys("load");
        if let Some(content) = content {
            again = again.file("bundle.pem", content);
        }
        let path = text(again.home().join("bundle.pem"));
        let config = format!("[default]\nca_bundle = {path}\n");
        let said = again.set("AWS_CA_BUNDLE", &path).run().await;
        assert!(said.contains(why) && said.contains(&path), "{said}");
        // And where the profile names it.
        let mut again = Again::with_keys("load").file(".aws/config", config);
        if let Some(content) = content {
            std::fs::write(&path, content).unwrap_or_default();
            again = again.file("bundle.pem", content);
        }
        let said = again.run().await;
        assert!(said.contains("certificate"), "{said}");
    }
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
