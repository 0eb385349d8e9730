//! Credentials for a token of Kubernetes, from STS (`AssumeRoleWithWebIdentity`, unsigned).

use std::fs;

use aws_credential_types::Credentials;
use ureq::http::Request;

use super::{CredentialsError, ask, expiry};
use crate::{
    environment::Environment,
    http::Http,
    s3_address::{dns_suffix, region},
    s3_error::element,
};

const WHAT: &str = "AWS STS";

/// What the environment names.
#[derive(Debug)]
pub(super) struct WebIdentity {
    endpoint: String,
    role: String,
    token_file: String,
    session: String,
}

impl WebIdentity {
    /// Role and token of the environment, if it names both.
    pub(super) fn new(environment: &Environment) -> Option<Self> {
        let region = region(environment);
        let regional = format!("https://sts.{region}.{}", dns_suffix(region));
        Some(Self {
            endpoint: environment
                .first(&["AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL"])
                .map_or(regional, |url| url.trim_end_matches('/').to_owned()),
            role: environment.text("AWS_ROLE_ARN")?.to_owned(),
            token_file: environment.text("AWS_WEB_IDENTITY_TOKEN_FILE")?.to_owned(),
            session: environment
                .text("AWS_ROLE_SESSION_NAME")
                .unwrap_or("ferroflow")
                .to_owned(),
        })
    }

    /// Asks STS.
    pub(super) fn credentials(&self, http: &Http) -> Result<Credentials, CredentialsError> {
        let token =
            fs::read_to_string(&self.token_file).map_err(|source| CredentialsError::TokenFile {
                path: self.token_file.clone(),
                source,
            })?;
        let form = [
            ("Action", "AssumeRoleWithWebIdentity"),
            ("Version", "2011-06-15"),
            ("RoleArn", &self.role),
            ("RoleSessionName", &self.session),
            ("WebIdentityToken", token.trim()),
        ]
        .map(|(name, value)| format!("{name}={}", encode(value)))
        .join("&");
        let url = format!("{}/", self.endpoint);
        let request = Request::post(&url)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form);
        let answer = ask(WHAT, http.agent(&url), request)?;
        parse(&answer).ok_or(CredentialsError::Nonsense { what: WHAT })
    }
}

fn parse(answer: &str) -> Option<Credentials> {
    let field = |name| element(answer, name).map(str::to_owned);
    Some(Credentials::new(
        field("AccessKeyId")?,
        field("SecretAccessKey")?,
        Some(field("SessionToken")?),
        field("Expiration").as_deref().and_then(expiry),
        WHAT,
    ))
}

fn encode(value: &str) -> String {
    value
        .bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}
