//! Where credentials come from.

use model::exit_code::container as exit_code;

use crate::{fixture::Fixture, server::SECRET};

fn without_keys() -> Fixture {
    let mut fixture = Fixture::new("echo one");
    fixture.unset("AWS_ACCESS_KEY_ID");
    fixture.unset("AWS_SECRET_ACCESS_KEY");
    fixture
}

fn document(key: &str, expiration: &str) -> String {
    format!(
        r#"{{"AccessKeyId":"{key}","SecretAccessKey":"{SECRET}","Token":"tok en/+=",
        "Expiration":"{expiration}"}}"#
    )
}

/// Checks that the task ran and that all its requests had the token.
fn assert_used(fixture: &mut Fixture, key: &str) {
    let ended = fixture.run();
    assert_eq!(ended.code, 0, "{}", String::from_utf8_lossy(&ended.stderr));
    let seen = fixture.server.seen();
    let signed: Vec<_> = seen
        .iter()
        .filter(|seen| seen.path.starts_with("/bucket/"))
        .collect();
    assert!(!signed.is_empty());
    for request in signed {
        assert_eq!(request.headers["x-amz-security-token"], "tok en/+=");
        let credential = format!("Credential={key}/");
        assert!(request.headers["authorization"].contains(&credential));
    }
}

#[test]
fn a_tasks_role_by_relative_uri() {
    let mut fixture = without_keys();
    fixture.settings.container_credentials = fixture.server.url();
    fixture.set(
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "/v2/credentials/x",
    );
    let body = document("AKROLE", "2999-01-01T00:00:00Z");
    fixture
        .server
        .answer("GET", "/v2/credentials/x", &[], &body);
    // A proxy that does not exist must not be asked: what NO_PROXY names is the end of a host's name.
    fixture.set("http_proxy", "http://127.0.0.1:9");
    fixture.set("NO_PROXY", "example.com, 0.0.1");
    assert_used(&mut fixture, "AKROLE");
    let seen = fixture.server.seen();
    let asked = seen.iter().filter(|seen| seen.path == "/v2/credentials/x");
    assert_eq!(asked.count(), 1);
}

#[test]
fn a_tasks_role_by_full_uri_and_token_file() {
    let mut fixture = without_keys();
    let url = format!("{}/full", fixture.server.url());
    let file = fixture.path("token");
    std::fs::write(&file, "secret token\n").unwrap();
    fixture.set("AWS_CONTAINER_CREDENTIALS_FULL_URI", &url);
    fixture.set(
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
        file.to_str().unwrap(),
    );
    let needs = [("authorization", "secret token")];
    let body = document("AKFULL", "2999-01-01T00:00:00Z");
    fixture.server.answer("GET", "/full", &needs, &body);
    assert_used(&mut fixture, "AKFULL");
}

#[test]
fn an_instances_role() {
    let mut fixture = without_keys();
    fixture.settings.instance_metadata = fixture.server.url();
    let needs = [("x-aws-ec2-metadata-token-ttl-seconds", "21600")];
    fixture
        .server
        .answer("PUT", "/latest/api/token", &needs, "tok");
    let folder = "/latest/meta-data/iam/security-credentials/";
    let needs = [("x-aws-ec2-metadata-token", "tok")];
    fixture.server.answer("GET", folder, &needs, "the-role\n");
    let body = document("AKHOST", "2999-01-01T00:00:00Z");
    fixture
        .server
        .answer("GET", &format!("{folder}the-role"), &needs, &body);
    assert_used(&mut fixture, "AKHOST");
}

#[test]
fn a_web_identity() {
    let mut fixture = without_keys();
    let file = fixture.path("jwt");
    std::fs::write(&file, "ey.J.x").unwrap();
    let endpoint = fixture.server.url();
    fixture.set("AWS_WEB_IDENTITY_TOKEN_FILE", file.to_str().unwrap());
    fixture.set("AWS_ROLE_ARN", "arn:aws:iam::1:role/r");
    fixture.set("AWS_ENDPOINT_URL_STS", &endpoint);
    let body = format!(
        "<R><Credentials><AccessKeyId>AKWEB</AccessKeyId><SecretAccessKey>{SECRET}\
         </SecretAccessKey><SessionToken>tok en/+=</SessionToken>\
         <Expiration>2999-01-01T00:00:00Z</Expiration></Credentials></R>"
    );
    fixture.server.answer("POST", "/", &[], &body);
    assert_used(&mut fixture, "AKWEB");
    let seen = fixture.server.seen();
    let form = String::from_utf8(seen[0].body.clone()).unwrap();
    assert!(
        form.contains("RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fr"),
        "{form}"
    );
    assert!(form.contains("WebIdentityToken=ey.J.x"), "{form}");
}

#[test]
fn credentials_are_renewed_before_they_expire() {
    let mut fixture = without_keys();
    fixture.settings.container_credentials = fixture.server.url();
    fixture.set("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/c");
    // Expired already: each request asks again.
    let body = document("AKOLD", "2001-01-01T00:00:00Z");
    fixture.server.answer("GET", "/c", &[], &body);
    assert_used(&mut fixture, "AKOLD");
    let seen = fixture.server.seen();
    assert!(seen.iter().filter(|seen| seen.path == "/c").count() > 3);
}

#[test]
fn a_stranger_is_not_asked_for_credentials() {
    let mut fixture = without_keys();
    fixture.set("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://example.com/c");
    let ended = fixture.run();
    assert_eq!(ended.code, exit_code::BOOTSTRAP_FAILED);
    let text = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(text.contains("may not hand out credentials"), "{text}");
}

#[test]
fn no_credentials_are_named() {
    let mut fixture = without_keys();
    fixture.set("AWS_EC2_METADATA_DISABLED", "true");
    let ended = fixture.run();
    assert_eq!(ended.code, exit_code::BOOTSTRAP_FAILED);
    let text = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(
        text.contains("the container has no AWS credentials"),
        "{text}"
    );
}
