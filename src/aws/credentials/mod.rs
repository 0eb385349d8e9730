//! Where credentials come from, and when they are fetched again.

mod chain;
mod provider;

use std::{fmt, pin::Pin, sync::Arc, time::SystemTime};

pub(crate) use self::{
    chain::{Chain, ChainError},
    provider::Provider,
};

/// Credentials, whoever found them.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Access key id.
    pub access_key_id: String,
    /// Secret access key.
    pub secret_access_key: String,
    /// Session token of temporary credentials.
    pub session_token: Option<String>,
    /// When they cease to be valid, where that is known.
    pub expiry: Option<SystemTime>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

impl From<Credentials> for aws_credential_types::Credentials {
    fn from(found: Credentials) -> Self {
        Self::new(
            found.access_key_id,
            found.secret_access_key,
            found.session_token,
            found.expiry,
            "ferroflow",
        )
    }
}

/// Credentials on their way, or one line that says why there are none.
pub type Asked = Pin<Box<dyn Future<Output = Result<Credentials, String>> + Send>>;

/// Asks somebody else for credentials, by the name of the service that they are for (`s3`,
/// `batch`).
#[derive(Clone)]
pub struct Ask(Arc<dyn Fn(&'static str) -> Asked + Send + Sync>);

impl Ask {
    /// A way to ask.
    pub fn new(ask: impl Fn(&'static str) -> Asked + Send + Sync + 'static) -> Self {
        Self(Arc::new(ask))
    }

    pub(crate) fn ask(&self, service: &'static str) -> Asked {
        (self.0)(service)
    }
}

impl fmt::Debug for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Ask").finish_non_exhaustive()
    }
}

/// Who finds the credentials.
#[derive(Debug, Clone, Default)]
pub enum CredentialsFrom {
    /// Environment, profiles, container and instance, in botocore's order.
    #[default]
    Configuration,
    /// The same; and somebody else where that has none, or needs what is not had here (a code of
    /// an MFA device).
    ConfigurationOr(Ask),
    /// Somebody else, always.
    Elsewhere(Ask),
    /// They are given, and last as long as they last.
    Given(Credentials),
}
