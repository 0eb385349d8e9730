//! AWS credentials of the container, in the order in which botocore looks for them: variables,
//! web identity, the container's endpoint, the instance's. Files in `~/.aws` are not read.

mod container;
mod instance;
mod web_identity;

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_credential_types::Credentials;
use serde::Deserialize;
use ureq::{Agent, AsSendBody, http::Request};

use crate::{clock, environment::Environment, http::Http, settings::Settings};

/// Credentials are renewed when they have less than this left.
const RENEWAL: Duration = Duration::from_mins(5);
/// Longest answer of an endpoint.
const ANSWER_LENGTH: u64 = 64 << 10;
/// For every request to an endpoint on this host or next to it.
const ENDPOINT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest part of a refusal that is repeated, in characters.
const ERROR_LENGTH: usize = 300;

/// No credentials could be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CredentialsError {
    /// No source is there.
    #[error(
        "the container has no AWS credentials: give the job a role (`METAFLOW_ECS_S3_ACCESS_IAM_ROLE`, \
         or @batch(iam_role=…))"
    )]
    None {
        /// What the last source said.
        source: Option<Box<CredentialsError>>,
    },
    /// An endpoint could not be reached.
    #[error("no answer from {what}")]
    NoAnswer {
        /// The endpoint.
        what: &'static str,
        /// Why.
        source: ureq::Error,
    },
    /// An endpoint refused.
    #[error("{what} answered with status {status}: {body}")]
    Refused {
        /// The endpoint.
        what: &'static str,
        /// The HTTP status.
        status: u16,
        /// The beginning of its answer.
        body: String,
    },
    /// An answer makes no sense.
    #[error("{what} gave an answer that holds no credentials")]
    Nonsense {
        /// The endpoint.
        what: &'static str,
    },
    /// `AWS_CONTAINER_CREDENTIALS_FULL_URI` names a stranger.
    #[error("`{url}` may not hand out credentials: it is neither https nor a known local address")]
    ForeignHost {
        /// The URL.
        url: String,
    },
    /// A token file is not readable.
    #[error("failed to read the token file `{path}`")]
    TokenFile {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
}

impl CredentialsError {
    /// Whether another try may succeed.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::NoAnswer { .. } => true,
            Self::Refused { status, .. } => *status >= 500 || *status == 429,
            _ => false,
        }
    }
}

/// Hands out credentials and renews them.
pub(crate) struct CredentialsProvider {
    http: Arc<Http>,
    environment: Environment,
    settings: Settings,
    cached: Mutex<Option<Credentials>>,
}

impl fmt::Debug for CredentialsProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CredentialsProvider")
            .finish_non_exhaustive()
    }
}

impl CredentialsProvider {
    /// A provider; nothing is asked yet.
    pub(crate) fn new(http: &Arc<Http>, environment: &Environment, settings: &Settings) -> Self {
        Self {
            http: Arc::clone(http),
            environment: environment.clone(),
            settings: settings.clone(),
            cached: Mutex::new(None),
        }
    }

    /// Credentials that are valid for a while. Old ones that still hold are given out when they
    /// cannot be renewed.
    pub(crate) fn credentials(&self) -> Result<Credentials, CredentialsError> {
        let mut cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        let left = |credentials: &Credentials| {
            credentials.expiry().map_or(Duration::MAX, |at| {
                at.duration_since(SystemTime::now()).unwrap_or_default()
            })
        };
        if let Some(known) = cached.as_ref()
            && left(known) > RENEWAL
        {
            return Ok(known.clone());
        }
        match self.fetch() {
            Ok(fresh) => Ok(cached.insert(fresh).clone()),
            Err(error) => match cached.as_ref() {
                Some(known) if !left(known).is_zero() => Ok(known.clone()),
                _ => Err(error),
            },
        }
    }

    /// Lets the next call fetch new credentials.
    pub(crate) fn forget(&self) {
        *self.cached.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn fetch(&self) -> Result<Credentials, CredentialsError> {
        if let Some(credentials) = from_variables(&self.environment) {
            return Ok(credentials);
        }
        if let Some(web_identity) = web_identity::WebIdentity::new(&self.environment) {
            return web_identity.credentials(&self.http);
        }
        if let Some(endpoint) = container::Endpoint::new(&self.environment, &self.settings)? {
            return endpoint.credentials(&self.http);
        }
        instance::credentials(&self.http, &self.environment, &self.settings)
    }
}

fn from_variables(environment: &Environment) -> Option<Credentials> {
    Some(Credentials::new(
        environment.text("AWS_ACCESS_KEY_ID")?,
        environment.text("AWS_SECRET_ACCESS_KEY")?,
        environment.text("AWS_SESSION_TOKEN").map(str::to_owned),
        None,
        "environment",
    ))
}

/// What the endpoints of containers and instances answer.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Document {
    access_key_id: String,
    secret_access_key: String,
    token: Option<String>,
    expiration: Option<String>,
}

impl Document {
    fn parse(what: &'static str, body: &str) -> Result<Credentials, CredentialsError> {
        serde_json::from_str::<Self>(body)
            .map(|document| {
                let expiry = document.expiration.as_deref().and_then(expiry);
                Credentials::new(
                    document.access_key_id,
                    document.secret_access_key,
                    document.token,
                    expiry,
                    what,
                )
            })
            .map_err(|_| CredentialsError::Nonsense { what })
    }
}

fn expiry(text: &str) -> Option<SystemTime> {
    clock::parse_utc(text).map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds))
}

/// Asks an endpoint, and gives its answer if that is a success.
fn ask<B: AsSendBody>(
    what: &'static str,
    agent: &Agent,
    request: Result<Request<B>, ureq::http::Error>,
) -> Result<String, CredentialsError> {
    let no_answer = |source| CredentialsError::NoAnswer { what, source };
    let request = request.map_err(|source| no_answer(source.into()))?;
    let request = agent
        .configure_request(request)
        .timeout_global(Some(ENDPOINT_TIMEOUT))
        .build();
    let mut response = agent.run(request).map_err(no_answer)?;
    let body = response
        .body_mut()
        .with_config()
        .limit(ANSWER_LENGTH)
        .read_to_string()
        .map_err(no_answer)?;
    if response.status().is_success() {
        return Ok(body);
    }
    Err(CredentialsError::Refused {
        what,
        status: response.status().as_u16(),
        body: body.chars().take(ERROR_LENGTH).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_read() {
        let body = r#"{"AccessKeyId":"A","SecretAccessKey":"S","Token":"T",
            "Expiration":"2024-02-29T12:34:56Z","RoleArn":"r","Code":"Success"}"#;
        let credentials = Document::parse("x", body).unwrap();
        assert_eq!(credentials.access_key_id(), "A");
        assert_eq!(credentials.session_token(), Some("T"));
        let expected = UNIX_EPOCH + Duration::from_secs(1_709_210_096);
        assert_eq!(credentials.expiry(), Some(expected));
        assert!(Document::parse("x", r#"{"Code":"Failed"}"#).is_err());
    }
}
