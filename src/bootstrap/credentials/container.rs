//! Credentials of the task's role, from the endpoint that ECS or EKS names in the environment.

use std::fs;

use aws_credential_types::Credentials;
use ureq::http::Request;

use super::{CredentialsError, Document, ask};
use crate::{environment::Environment, http::Http, settings::Settings};

const WHAT: &str = "the container's credential endpoint";

/// Hosts that may hand out credentials over plain HTTP: ECS, EKS and this machine, as in the
/// AWS SDKs ("Container credential provider").
const LOCAL_HOSTS: [&str; 6] = [
    "localhost",
    "[::1]",
    "169.254.170.2",
    "169.254.170.23",
    "[fd00:ec2::23]",
    "[fd00:ec2::2]",
];

/// The endpoint and what to show it.
#[derive(Debug)]
pub(super) struct Endpoint {
    url: String,
    authorization: Option<String>,
}

impl Endpoint {
    /// The endpoint that the environment names.
    pub(super) fn new(
        environment: &Environment,
        settings: &Settings,
    ) -> Result<Option<Self>, CredentialsError> {
        let url = if let Some(path) = environment.text("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") {
            format!("{}{path}", settings.container_credentials)
        } else if let Some(url) = environment.text("AWS_CONTAINER_CREDENTIALS_FULL_URI") {
            if !may_hand_out(url) {
                return Err(CredentialsError::ForeignHost {
                    url: url.to_owned(),
                });
            }
            url.to_owned()
        } else {
            return Ok(None);
        };
        // EKS rotates the file, so it is read each time.
        let authorization =
            match environment.text("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE") {
                Some(path) => Some(fs::read_to_string(path).map_err(|source| {
                    CredentialsError::TokenFile {
                        path: path.to_owned(),
                        source,
                    }
                })?),
                None => environment
                    .text("AWS_CONTAINER_AUTHORIZATION_TOKEN")
                    .map(str::to_owned),
            };
        Ok(Some(Self { url, authorization }))
    }

    /// Asks it.
    pub(super) fn credentials(&self, http: &Http) -> Result<Credentials, CredentialsError> {
        let mut request = Request::get(&self.url);
        if let Some(token) = &self.authorization {
            request = request.header("authorization", token.trim());
        }
        Document::parse(WHAT, &ask(WHAT, http.direct(), request.body(()))?)
    }
}

fn may_hand_out(url: &str) -> bool {
    if url.starts_with("https://") {
        return true;
    }
    let Some(rest) = url.strip_prefix("http://") else {
        return false;
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => authority,
    };
    let is_loopback = host
        .parse::<std::net::Ipv4Addr>()
        .is_ok_and(|address| address.is_loopback());
    is_loopback || LOCAL_HOSTS.contains(&host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_local_hosts_are_asked_in_plain() {
        for good in [
            "https://x.example/c",
            "http://127.0.0.1:80/c",
            "http://localhost/c",
            "http://169.254.170.23/v1/credentials",
            "http://[fd00:ec2::23]/v1",
            "http://[::1]:8080/x",
        ] {
            assert!(may_hand_out(good), "{good}");
        }
        for bad in [
            "http://x.example/c",
            "http://127.0.0.1.example/c",
            "http://127.0.0.1@x.example/c",
            "http://169.254.169.254/c",
            "file:///c",
        ] {
            assert!(!may_hand_out(bad), "{bad}");
        }
    }
}
