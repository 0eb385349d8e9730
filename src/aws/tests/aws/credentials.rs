//! Each source of credentials, with a fake of whom it asks. The same server plays AWS Batch, which
//! sees by whose keys a request is signed.

use std::time::{Duration, SystemTime};

use serde_json::json;

use crate::{
    again::{Again, text},
    environment::no_jobs,
    server::{Answer, Request, Server},
};

/// The key by which a request is signed, and its session token.
fn signer(request: &Request) -> (String, Option<String>) {
    let authorization = &request.headers["authorization"];
    let credential = authorization.split("Credential=").nth(1).unwrap();
    let token = request.headers.get("x-amz-security-token");
    (
        credential.split('/').next().unwrap().to_owned(),
        token.cloned(),
    )
}

/// Who signed the requests to AWS Batch.
fn signers(server: &Server) -> Vec<String> {
    let requests = server.requests();
    let of_batch = requests.iter().filter(|r| r.line.contains("describejobs"));
    of_batch.map(|request| signer(request).0).collect()
}

fn found(key: &str, token: &str) -> (String, Option<String>) {
    (key.to_owned(), Some(token.to_owned()))
}

fn at(from_now: Duration) -> String {
    let time = SystemTime::now() + from_now;
    let seconds = time.duration_since(SystemTime::UNIX_EPOCH).unwrap();
    jiff::Timestamp::from_second(seconds.as_secs() as i64)
        .unwrap()
        .to_string()
}

const HOUR: Duration = Duration::from_hours(1);

/// What STS answers to AssumeRole and AssumeRoleWithWebIdentity.
fn assumed(action: &str, key: &str) -> Answer {
    let expiry = at(HOUR);
    let body = format!(
        "<{action}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><{action}Result>\
         <Credentials><AccessKeyId>{key}</AccessKeyId><SecretAccessKey>secret</SecretAccessKey>\
         <SessionToken>token of {key}</SessionToken><Expiration>{expiry}</Expiration></Credentials>\
         </{action}Result></{action}Response>"
    );
    Answer::text(200, body).header("content-type", "text/xml")
}

/// What ECS and IMDS answer.
fn document(key: &str, expiry: Duration) -> Answer {
    Answer::json(
        200,
        &json!({"Code": "Success", "Type": "AWS-HMAC", "AccessKeyId": key,
            "SecretAccessKey": "secret", "Token": format!("token of {key}"),
            "Expiration": at(expiry)}),
    )
}

#[tokio::test]
async fn keys_of_the_environment_come_first() {
    let server = Server::start([no_jobs()]).await;
    let credentials = "[default]\naws_access_key_id = AKFILE\naws_secret_access_key = s\n";
    Again::with_keys("describe")
        .set("AWS_SESSION_TOKEN", "tok/en+=")
        .file(".aws/credentials", credentials)
        .set("AWS_ENDPOINT_URL", &server.url)
        .run()
        .await;
    assert_eq!(
        signer(&server.requests()[0]),
        found("AKIDEXAMPLE", "tok/en+=")
    );
}

#[tokio::test]
async fn keys_of_a_profile() {
    let credentials = "[default]\naws_access_key_id = AKDEFAULT\naws_secret_access_key = s\n\
                       [a]\naws_access_key_id = AKA\naws_secret_access_key = s\n\
                       [b]\naws_access_key_id = AKB\naws_secret_access_key = s\n";
    for (variables, key) in [
        (&[][..], "AKDEFAULT"),
        (&[("AWS_PROFILE", "a")], "AKA"),
        // botocore's order.
        (&[("AWS_PROFILE", "a"), ("AWS_DEFAULT_PROFILE", "b")], "AKB"),
    ] {
        let server = Server::start([no_jobs()]).await;
        let mut again = Again::new("describe")
            .file(".aws/credentials", credentials)
            .set("AWS_ENDPOINT_URL", &server.url);
        for (name, value) in variables {
            again = again.set(name, *value);
        }
        again.run().await;
        assert_eq!(signers(&server), [key]);
    }
}

#[tokio::test]
async fn files_may_be_elsewhere() {
    let server = Server::start([no_jobs()]).await;
    let keys = "[x]\naws_access_key_id = AKX\naws_secret_access_key = s\n";
    let again = Again::new("describe").file("keys", keys);
    let path = text(again.home().join("keys"));
    again
        .set("AWS_SHARED_CREDENTIALS_FILE", path)
        .set("AWS_PROFILE", "x")
        .set("AWS_ENDPOINT_URL", &server.url)
        .run()
        .await;
    assert_eq!(signers(&server), ["AKX"]);
}

const SSO_SESSION: &str = "[profile dev]\nsso_session = company\nsso_account_id = 123456789012\n\
    sso_role_name = Developer\n[sso-session company]\nsso_region = eu-west-1\n\
    sso_start_url = https://company.awsapps.com/start\n";
const SSO_OF_OLD: &str = "[profile dev]\nsso_account_id = 123456789012\nsso_role_name = Developer\n\
    sso_region = eu-west-1\nsso_start_url = https://company.awsapps.com/start\n";

/// Where `aws sso login` leaves its token: SHA-1 of the session's name, or of the start URL.
const TOKEN_OF_SESSION: &str = "71b21161ffa1e6516bcc072aaf5ef38cbe85b511";
const TOKEN_OF_URL: &str = "b7037568a7e4f6fba9450af24427009b78703b33";

fn sso(config: &str, token_file: &str, expiry: &str, server: &Server) -> Again {
    let token = json!({"accessToken": "sso-token", "expiresAt": expiry, "region": "eu-west-1",
        "startUrl": "https://company.awsapps.com/start"});
    Again::new("describe")
        .file(".aws/config", config)
        .file(
            &format!(".aws/sso/cache/{token_file}.json"),
            token.to_string(),
        )
        .set("AWS_PROFILE", "dev")
        .set("AWS_ENDPOINT_URL", &server.url)
}

#[tokio::test]
async fn single_sign_on() {
    for (config, token_file) in [(SSO_SESSION, TOKEN_OF_SESSION), (SSO_OF_OLD, TOKEN_OF_URL)] {
        let expiry = SystemTime::now() + HOUR;
        let expiry = expiry.duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let role = json!({"roleCredentials": {"accessKeyId": "AKSSO", "secretAccessKey": "s",
            "sessionToken": "t", "expiration": expiry.as_millis() as u64}});
        let server = Server::start([Answer::json(200, &role), no_jobs()]).await;
        sso(config, token_file, &at(HOUR), &server).run().await;
        let requests = server.requests();
        assert_eq!(
            requests[0].line,
            "GET /federation/credentials?role_name=Developer&account_id=123456789012"
        );
        assert_eq!(requests[0].headers["x-amz-sso_bearer_token"], "sso-token");
        assert_eq!(signer(&requests[1]), found("AKSSO", "t"));
    }
}

#[tokio::test]
async fn an_old_login_is_named_with_the_way_to_a_new_one() {
    let server = Server::start([]).await;
    let again = sso(
        SSO_SESSION,
        TOKEN_OF_SESSION,
        "2020-01-01T00:00:00Z",
        &server,
    );
    let said = again.run().await;
    for part in [
        "profile `dev` (SSO): ",
        "expired",
        "hint: aws sso login --profile dev",
    ] {
        assert!(said.contains(part), "{part} is not in {said}");
    }
}

#[tokio::test]
async fn a_credential_process() {
    let server = Server::start([no_jobs(), no_jobs()]).await;
    let answer = json!({"Version": 1, "AccessKeyId": "AKPROC", "SecretAccessKey": "s",
        "SessionToken": "t", "Expiration": at(HOUR)});
    let script = format!("echo called >> \"$HOME/calls\"\necho '{answer}'\n");
    let again = Again::new("describe").file("get keys.sh", script);
    let command = format!("sh \"{}\" --x", again.home().join("get keys.sh").display());
    let again = again
        .file(
            ".aws/config",
            format!("[default]\ncredential_process = {command}\n"),
        )
        .set("AWS_ENDPOINT_URL", &server.url)
        .times(2);
    again.run().await;
    assert_eq!(signer(&server.requests()[0]), found("AKPROC", "t"));
    let calls = std::fs::read_to_string(again.home().join("calls")).unwrap();
    assert_eq!(calls, "called\n", "they are kept");
}

#[tokio::test]
async fn a_credential_process_that_fails() {
    let server = Server::start([]).await;
    let config = "[default]\ncredential_process = echo the vault is closed >&2; exit 7\n";
    let again = Again::new("describe").file(".aws/config", config);
    let said = again.set("AWS_ENDPOINT_URL", &server.url).run().await;
    for part in [
        "profile `default` (credential_process): ",
        "the vault is closed",
    ] {
        assert!(said.contains(part), "{part} is not in {said}");
    }
}

#[tokio::test]
async fn a_chain_of_roles() {
    let server = Server::start([
        assumed("AssumeRole", "AKFIRST"),
        assumed("AssumeRole", "AKSECOND"),
        no_jobs(),
    ])
    .await;
    let config = "[profile second]\nrole_arn = arn:aws:iam::1:role/second\nsource_profile = first\n\
                  role_session_name = me\nexternal_id = 42\n\
                  [profile first]\nrole_arn = arn:aws:iam::1:role/first\nsource_profile = keys\n";
    let keys = "[keys]\naws_access_key_id = AKKEYS\naws_secret_access_key = s\n";
    Again::new("describe")
        .file(".aws/config", config)
        .file(".aws/credentials", keys)
        .set("AWS_PROFILE", "second")
        .set("AWS_ENDPOINT_URL", &server.url)
        .run()
        .await;
    let requests = server.requests();
    let signers: Vec<_> = requests.iter().map(|request| signer(request).0).collect();
    assert_eq!(signers, ["AKKEYS", "AKFIRST", "AKSECOND"]);
    let second = String::from_utf8(requests[1].body.clone()).unwrap();
    for part in ["role%2Fsecond", "RoleSessionName=me", "ExternalId=42"] {
        assert!(second.contains(part), "{part} is not in {second}");
    }
}

#[tokio::test]
async fn a_role_by_the_keys_of_another_source() {
    let server = Server::start([
        document("AKHOST", HOUR),
        assumed("AssumeRole", "AKROLE"),
        no_jobs(),
    ])
    .await;
    let config = "[default]\nrole_arn = arn:aws:iam::1:role/r\ncredential_source = EcsContainer\n";
    Again::new("describe")
        .file(".aws/config", config)
        .set(
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            format!("{}/creds", server.url),
        )
        .set("AWS_ENDPOINT_URL", &server.url)
        .run()
        .await;
    assert_eq!(signer(&server.requests()[1]).0, "AKHOST");
    assert_eq!(signers(&server), ["AKROLE"]);
}

/// As on EKS. Keys of a file do not come before it, as with botocore and other than with the SDK.
#[tokio::test]
async fn a_web_identity() {
    let server = Server::start([assumed("AssumeRoleWithWebIdentity", "AKWEB"), no_jobs()]).await;
    let keys = "[default]\naws_access_key_id = AKFILE\naws_secret_access_key = s\n";
    let again = Again::new("describe")
        .file("token", "ey.J.x")
        .file(".aws/credentials", keys);
    let token = text(again.home().join("token"));
    again
        .set("AWS_WEB_IDENTITY_TOKEN_FILE", token)
        .set("AWS_ROLE_ARN", "arn:aws:iam::1:role/r")
        .set("AWS_ENDPOINT_URL", &server.url)
        .run()
        .await;
    let requests = server.requests();
    let form = String::from_utf8(requests[0].body.clone()).unwrap();
    assert!(form.contains("WebIdentityToken=ey.J.x"), "{form}");
    assert_eq!(signer(&requests[1]), found("AKWEB", "token of AKWEB"));
}

#[tokio::test]
async fn a_containers_endpoint() {
    let server = Server::start([document("AKECS", HOUR), no_jobs(), no_jobs()]).await;
    Again::new("describe")
        .set(
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            format!("{}/creds", server.url),
        )
        .set("AWS_CONTAINER_AUTHORIZATION_TOKEN", "let me in")
        .set("AWS_ENDPOINT_URL", &server.url)
        .times(2)
        .run()
        .await;
    let requests = server.requests();
    assert_eq!(requests[0].line, "GET /creds");
    assert_eq!(requests[0].headers["authorization"], "let me in");
    assert_eq!(signers(&server), ["AKECS", "AKECS"]);
}

#[tokio::test]
async fn an_instances_metadata() {
    let server = Server::start([
        Answer::text(200, "session").header("x-aws-ec2-metadata-token-ttl-seconds", "21600"),
        Answer::text(200, "the-role"),
        document("AKEC2", HOUR),
        no_jobs(),
    ])
    .await;
    Again::new("describe")
        .unset("AWS_EC2_METADATA_DISABLED")
        .set("AWS_EC2_METADATA_SERVICE_ENDPOINT", &server.url)
        .set("AWS_ENDPOINT_URL", &server.url)
        .run()
        .await;
    let requests = server.requests();
    assert_eq!(requests[0].line, "PUT /latest/api/token");
    let path = "/latest/meta-data/iam/security-credentials/";
    assert_eq!(requests[2].line, format!("GET {path}the-role"));
    for request in &requests[1..3] {
        assert_eq!(request.headers["x-aws-ec2-metadata-token"], "session");
    }
    assert_eq!(signers(&server), ["AKEC2"]);
}

/// Credentials that end soon are fetched again before the next request.
#[tokio::test]
async fn expired_credentials_are_replaced() {
    let soon = Duration::from_secs(3);
    let server = Server::start([
        document("AKOLD", soon),
        no_jobs(),
        document("AKNEW", HOUR),
        no_jobs(),
        no_jobs(),
    ])
    .await;
    Again::new("describe")
        .set(
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            format!("{}/creds", server.url),
        )
        .set("AWS_ENDPOINT_URL", &server.url)
        .times(3)
        .run()
        .await;
    assert_eq!(signers(&server), ["AKOLD", "AKNEW", "AKNEW"]);
}

/// While they hold, credentials are used although their source does not answer.
#[tokio::test]
async fn a_source_may_be_away_for_a_while() {
    let answers = [
        document("AKOLD", Duration::from_secs(4)),
        no_jobs(),
        Answer::text(404, "not now"),
        no_jobs(),
    ];
    let server = Server::start(answers).await;
    Again::new("describe")
        .set(
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            format!("{}/creds", server.url),
        )
        .set("AWS_ENDPOINT_URL", &server.url)
        .times(2)
        .run()
        .await;
    assert_eq!(signers(&server), ["AKOLD", "AKOLD"], "{:?}", server.lines());
}

#[tokio::test]
async fn what_nobody_here_can_follow_is_named() {
    let keys = "[keys]\naws_access_key_id = AKKEYS\naws_secret_access_key = s\n";
    for line in [
        "mfa_serial = arn:aws:iam::1:mfa/me",
        "duration_seconds = 900",
    ] {
        let config =
            format!("[default]\nrole_arn = arn:aws:iam::1:role/r\nsource_profile = keys\n{line}\n");
        let server = Server::start([]).await;
        let said = Again::new("describe")
            .file(".aws/config", config)
            .file(".aws/credentials", keys)
            .set("AWS_ENDPOINT_URL", &server.url)
            .run()
            .await;
        let key = line.split(' ').next().unwrap();
        let want = format!("profile `default` (a role) has `{key}`");
        assert!(said.contains(&want), "{said}");
    }
}

#[tokio::test]
async fn no_credentials_at_all() {
    let server = Server::start([]).await;
    let again = Again::new("describe").set("AWS_ENDPOINT_URL", &server.url);
    let said = again.run().await;
    assert!(said.contains("NoCredentials: "), "{said}");
    assert!(
        said.contains("none in the environment, in profile `default`, of a container"),
        "{said}"
    );
}
