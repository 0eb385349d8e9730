//! Region, credentials, endpoints, time-outs: everything about AWS that is known before the first
//! call. The environment, profiles, SSO, `credential_process`, web identity, ECS and IMDS are
//! read by aws-config, as boto3 reads them.
//!
//! Not read: `ca_bundle` and `services` sections of `~/.aws/config` for path-style addressing. Of
//! METAFLOW_DATATOOLS_CLIENT_PARAMS the host tells endpoint and CA bundle, and hands runs with more back.

use std::{env, fmt, io, path::PathBuf, time::Duration};

use aws_config::{
    Region, SdkConfig, retry::RetryConfig,
    stalled_stream_protection::StalledStreamProtectionConfig, timeout::TimeoutConfig,
};
use aws_sdk_s3::config::{RequestChecksumCalculation, ResponseChecksumValidation};
use model::plan::S3Settings;

use crate::http;

/// The region of S3 clients where none is configured, as in boto3.
const DEFAULT_S3_REGION: &str = "us-east-1";

/// What can be said beyond the environment. The default says nothing.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// How S3 is reached.
    pub s3: S3Settings,
    /// Region, before AWS_REGION and profiles.
    pub region: Option<String>,
    /// Endpoint of all services, before AWS_ENDPOINT_URL and profiles; S3's own settings come
    /// before it.
    pub endpoint: Option<String>,
    /// Credentials, before all that aws-config would find.
    pub credentials: Option<Credentials>,
    /// Time-outs and tries.
    pub patience: Patience,
}

/// Credentials that somebody else found.
#[derive(Clone)]
pub struct Credentials {
    /// Access key id.
    pub access_key_id: String,
    /// Secret access key.
    pub secret_access_key: String,
    /// Session token of temporary credentials.
    pub session_token: Option<String>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

/// How long to wait, and how often to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// For a connection.
    pub connect: Duration,
    /// For the beginning of an answer.
    pub read: Duration,
    /// For a whole Batch call.
    pub operation: Duration,
    /// Tries of a request to S3.
    pub s3_attempts: u32,
    /// Tries of a request to Batch that may be repeated.
    pub batch_attempts: u32,
    /// Pause before the second try; doubled each time, with jitter.
    pub first_pause: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_millis(3_100),
            read: Duration::from_mins(1),
            operation: Duration::from_secs(70),
            // METAFLOW_S3_CLIENT_RETRY_CONFIG (metaflow/metaflow_config.py).
            s3_attempts: 10,
            batch_attempts: 6,
            first_pause: Duration::from_millis(500),
        }
    }
}

/// Why AWS cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// No region is configured.
    #[error(
        "no AWS region is configured: set AWS_REGION or AWS_DEFAULT_REGION, or `region` in the \
         AWS profile"
    )]
    NoRegion,
    /// The datastore's root is not on S3.
    #[error("`{0}` is not of the form s3://bucket/prefix")]
    NotS3(String),
    /// The certificates cannot be read.
    #[error("cannot read the certificates `{}`", path.display())]
    CaBundle {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file is not a bundle.
    #[error("there are no certificates in `{}`", path.display())]
    NoCertificates {
        /// The file.
        path: PathBuf,
    },
    /// The TLS library refuses.
    #[error("cannot set TLS up: {0}")]
    Tls(String),
}

/// The configuration that all clients share. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Aws {
    sdk: SdkConfig,
    s3: S3Settings,
    patience: Patience,
}

impl Aws {
    /// Reads the configuration. Credentials are fetched by the first request.
    pub async fn load(settings: Settings) -> Result<Self, ConfigError> {
        let Settings {
            s3,
            region,
            endpoint,
            credentials,
            patience,
        } = settings;
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(patience.connect)
            .read_timeout(patience.read);
        let mut loader = aws_config::from_env()
            .http_client(http::client(http::ca_bundle_of_environment())?)
            .timeout_config(timeouts.build());
        if let Some(region) = region {
            loader = loader.region(Region::new(region));
        }
        if let Some(endpoint) = endpoint {
            loader = loader.endpoint_url(endpoint);
        }
        if let Some(credentials) = credentials {
            loader = loader.credentials_provider(aws_credential_types::Credentials::new(
                credentials.access_key_id,
                credentials.secret_access_key,
                credentials.session_token,
                None,
                "ferroflow",
            ));
        }
        let sdk = loader.load().await;
        Ok(Self { sdk, s3, patience })
    }

    /// The region, if one is configured.
    pub fn region(&self) -> Option<&str> {
        self.sdk.region().map(AsRef::as_ref)
    }

    pub(crate) fn patience(&self) -> Patience {
        self.patience
    }

    pub(crate) fn s3_settings(&self) -> &S3Settings {
        &self.s3
    }

    /// The region of S3 clients until the bucket's is known.
    pub(crate) fn s3_region(&self) -> &str {
        self.region().unwrap_or(DEFAULT_S3_REGION)
    }

    /// Whether S3 is another server than Amazon's.
    pub(crate) fn has_s3_endpoint(&self) -> bool {
        let of_environment =
            || env::var_os("AWS_ENDPOINT_URL_S3").is_some_and(|url| !url.is_empty());
        self.s3.endpoint.is_some() || self.sdk.endpoint_url().is_some() || of_environment()
    }

    pub(crate) fn batch_client(&self) -> Result<aws_sdk_batch::Client, ConfigError> {
        if self.region().is_none() {
            return Err(ConfigError::NoRegion);
        }
        let timeouts = self.timeouts().operation_timeout(self.patience.operation);
        let config = aws_sdk_batch::config::Builder::from(&self.sdk)
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts.build());
        Ok(aws_sdk_batch::Client::from_conf(config.build()))
    }

    pub(crate) fn s3_client(&self, region: &str) -> Result<aws_sdk_s3::Client, ConfigError> {
        let retries = RetryConfig::standard()
            .with_max_attempts(self.patience.s3_attempts)
            .with_initial_backoff(self.patience.first_pause);
        let mut config = aws_sdk_s3::config::Builder::from(&self.sdk)
            .region(aws_sdk_s3::config::Region::new(region.to_owned()))
            .retry_config(retries)
            .stalled_stream_protection(StalledStreamProtectionConfig::enabled().build());
        if let Some(endpoint) = &self.s3.endpoint {
            config = config.endpoint_url(endpoint);
        }
        if self.has_s3_endpoint() {
            // Other servers seldom know bucket names in host names, nor Amazon's checksums.
            config = config
                .force_path_style(true)
                .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
                .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
        }
        if let Some(bundle) = &self.s3.ca_bundle {
            config = config.http_client(http::client(Some(PathBuf::from(bundle)))?);
        }
        Ok(aws_sdk_s3::Client::from_conf(config.build()))
    }

    fn timeouts(&self) -> aws_config::timeout::TimeoutConfigBuilder {
        TimeoutConfig::builder()
            .connect_timeout(self.patience.connect)
            .read_timeout(self.patience.read)
    }
}

impl Settings {
    /// What a plan says, and the environment for the rest.
    pub fn of(s3: S3Settings) -> Self {
        Self {
            s3,
            ..Self::default()
        }
    }
}
