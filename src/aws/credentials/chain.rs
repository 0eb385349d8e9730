//! The sources of credentials in botocore's order (botocore/credentials.py,
//! `create_credential_resolver`): the environment, a profile that is a role, a web identity, other
//! profiles, the container's endpoint, the instance's. The SDK's own chain has web identities after
//! profiles.

use std::env;

use aws_config::{
    Region, ecs::EcsCredentialsProvider, environment::EnvironmentVariableCredentialsProvider,
    imds::credentials::ImdsCredentialsProvider, profile::ProfileFileCredentialsProvider,
    provider_config::ProviderConfig, web_identity_token::WebIdentityTokenCredentialsProvider,
};
use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials, error::CredentialsError},
};

use crate::{failure::sentence, profile::Shared};

/// Reads files and environment anew each time, so that `aws sso login` or new keys in a file reach
/// a run that is under way.
#[derive(Debug, Clone)]
pub(crate) struct Chain {
    /// HTTP client, region, time-outs.
    config: ProviderConfig,
}

/// What a source gave.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) credentials: Credentials,
    /// For people: "profile `x` (SSO)".
    pub(crate) source: String,
}

/// Why no source gave any.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChainError {
    /// The files make no sense, or there is no such profile.
    #[error(transparent)]
    Files(#[from] crate::ConfigError),
    /// The source that is configured does not work now.
    #[error("{source_name}: {why}{hint}")]
    Failed {
        source_name: String,
        why: String,
        hint: String,
        /// Whether that may pass.
        lasting: bool,
    },
    /// The flow host has to find them.
    #[error("{source_name} has `{key}`, which only the flow's Python can follow")]
    NeedsHost {
        source_name: String,
        key: &'static str,
    },
    /// Nothing is configured.
    #[error(
        "no AWS credentials: none in the environment, in profile `{0}`, of a container or of an \
         instance"
    )]
    None(String),
}

impl Chain {
    /// `region` is that of AWS STS.
    pub(crate) fn new(config: ProviderConfig, region: Region) -> Self {
        Self {
            config: config.with_region(Some(region)),
        }
    }

    /// The credentials of the first source that has any.
    pub(crate) async fn load(&self) -> Result<Loaded, ChainError> {
        let of_environment = EnvironmentVariableCredentialsProvider::new();
        if let Some(loaded) = tried(&of_environment, "the environment", "").await? {
            return Ok(loaded);
        }
        let shared = Shared::load().await?;
        let name = format!("profile `{}` ({})", shared.title(), shared.kind());
        if let Some(key) = shared.needs_host() {
            return Err(ChainError::NeedsHost {
                source_name: name,
                key,
            });
        }
        let has_identity = env::var_os("AWS_WEB_IDENTITY_TOKEN_FILE").is_some();
        if has_identity && !shared.is_role() {
            let identity = WebIdentityTokenCredentialsProvider::builder();
            let identity = identity.configure(&self.config).build();
            let what = "the web identity of AWS_WEB_IDENTITY_TOKEN_FILE";
            if let Some(loaded) = tried(&identity, what, "").await? {
                return Ok(loaded);
            }
        }
        let mut profile = ProfileFileCredentialsProvider::builder().configure(&self.config);
        if let Some(name) = shared.name() {
            profile = profile.profile_name(name);
        }
        if let Some(loaded) = tried(&profile.build(), &name, &hint(&shared)).await? {
            return Ok(loaded);
        }
        let container = EcsCredentialsProvider::builder().configure(&self.config);
        let what = "the container's credential endpoint";
        if let Some(loaded) = tried(&container.build(), what, "").await? {
            return Ok(loaded);
        }
        let instance = ImdsCredentialsProvider::builder().configure(&self.config);
        let what = "the instance's metadata service";
        let loaded = tried(&instance.build(), what, "").await?;
        loaded.ok_or_else(|| ChainError::None(shared.title().to_owned()))
    }
}

/// What may help when the profile's source refuses.
fn hint(shared: &Shared) -> String {
    if shared.kind() != "SSO" {
        return String::new();
    }
    let profile = shared.name().map(|name| format!(" --profile {name}"));
    format!(" (hint: aws sso login{})", profile.unwrap_or_default())
}

/// `None` where the source is not configured.
async fn tried(
    provider: &dyn ProvideCredentials,
    source: &str,
    hint: &str,
) -> Result<Option<Loaded>, ChainError> {
    match provider.provide_credentials().await {
        Ok(credentials) => Ok(Some(Loaded {
            credentials,
            source: source.to_owned(),
        })),
        Err(CredentialsError::CredentialsNotLoaded(_)) => Ok(None),
        Err(error) => Err(ChainError::Failed {
            source_name: source.to_owned(),
            why: sentence(&error),
            hint: hint.to_owned(),
            lasting: matches!(error, CredentialsError::InvalidConfiguration(_)),
        }),
    }
}
