//! Region, credentials, endpoints, time-outs: everything about AWS that is known before the first
//! call, as boto3 would find it. docs/configuration.md lists all sources.
//!
//! Not read: `s3` settings of `~/.aws/config` (addressing style, accelerated endpoints). Of
//! METAFLOW_DATATOOLS_CLIENT_PARAMS the host tells endpoint and CA bundle, and hands runs with more back.

use std::{env, io, path::PathBuf, time::Duration};

use aws_config::{
    Region, SdkConfig, identity::IdentityCache, provider_config::ProviderConfig,
    retry::RetryConfig, stalled_stream_protection::StalledStreamProtectionConfig,
    timeout::TimeoutConfig,
};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_s3::config::{RequestChecksumCalculation, ResponseChecksumValidation};
use model::plan::S3Settings;

use crate::{
    credentials::{Chain, CredentialsFrom, Provider},
    http,
    profile::{Found, Shared},
};

/// The region of S3 clients where none is configured, as in boto3.
const DEFAULT_S3_REGION: &str = "us-east-1";

/// For credentials to come: a `credential_process` may wait for a person, and the flow host for its
/// hooks.
const CREDENTIALS: Duration = Duration::from_mins(2);

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
    /// Who finds the credentials.
    pub credentials: CredentialsFrom,
    /// Time-outs and tries.
    pub patience: Patience,
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
    #[error("no AWS region is configured: set AWS_DEFAULT_REGION, or `region` in the AWS profile")]
    NoRegion,
    /// A variable names a profile that is not there.
    #[error(
        "there is no AWS profile `{name}`, which {origin} names, in ~/.aws/config and \
         ~/.aws/credentials (there are: {known})"
    )]
    NoProfile {
        /// The profile.
        name: String,
        /// The variable.
        origin: String,
        /// Those that are there.
        known: String,
    },
    /// The configuration files of AWS make no sense.
    #[error("cannot read the configuration files of AWS: {0}")]
    ProfileFiles(String),
    /// A proxy's address makes no sense.
    #[error("cannot use the proxy `{url}`: {why}")]
    Proxy {
        /// Its address, without a password.
        url: String,
        /// What is wrong.
        why: String,
    },
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
    /// The file is a damaged bundle.
    #[error("`{}` has what is no certificate", path.display())]
    BadCertificate {
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
    shared: Shared,
    chain: Chain,
    providers: Providers,
}

/// Whom clients ask for credentials. The same one for all services where it may be, so that a
/// `credential_process` or a person is asked once.
#[derive(Debug, Clone)]
struct Providers {
    batch: SharedCredentialsProvider,
    others: SharedCredentialsProvider,
}

impl Providers {
    fn new(from: &CredentialsFrom, chain: &Chain) -> Self {
        let of = |service| {
            let provider = Provider::new(from.clone(), chain.clone(), service);
            SharedCredentialsProvider::new(provider)
        };
        let others = of("s3");
        let batch = match from {
            CredentialsFrom::Elsewhere(_) => of("batch"),
            _ => others.clone(),
        };
        Self { batch, others }
    }
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
        let shared = Shared::load().await?;
        let bundle = shared.ca_bundle().map(|found| PathBuf::from(found.value));
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(patience.connect)
            .read_timeout(patience.read);
        let mut loader = aws_config::from_env()
            .no_credentials()
            .http_client(http::client(bundle)?)
            .timeout_config(timeouts.build());
        if let Some(name) = shared.name() {
            loader = loader.profile_name(name);
        }
        if let Some(region) = region.or_else(|| shared.region().map(|found| found.value)) {
            loader = loader.region(Region::new(region));
        }
        if let Some(endpoint) = endpoint {
            loader = loader.endpoint_url(endpoint);
        }
        let sdk = loader.load().await;
        let cache = IdentityCache::lazy().load_timeout(CREDENTIALS).build();
        let chain = chain(&sdk);
        Ok(Self {
            providers: Providers::new(&credentials, &chain),
            chain,
            sdk: sdk.into_builder().identity_cache(cache).build(),
            s3,
            patience,
            shared,
        })
    }

    /// The same configuration and credentials, with connections of its own and other patience.
    pub fn apart(&self, patience: Patience) -> Result<Self, ConfigError> {
        let bundle = self.shared.ca_bundle();
        let bundle = bundle.map(|found| PathBuf::from(found.value));
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(patience.connect)
            .read_timeout(patience.read);
        let sdk = self
            .sdk
            .to_builder()
            .http_client(http::client(bundle)?)
            .timeout_config(timeouts.build());
        Ok(Self {
            sdk: sdk.build(),
            patience,
            ..self.clone()
        })
    }

    /// The region, if one is configured.
    pub fn region(&self) -> Option<&str> {
        self.sdk.region().map(AsRef::as_ref)
    }

    /// What says which region it is, where that is not asked of the instance.
    pub fn region_found(&self) -> Option<Found> {
        self.shared.region()
    }

    /// The profile that a variable names.
    pub fn profile(&self) -> Option<&str> {
        self.shared.name()
    }

    /// The file of certificates that are trusted, and what names it.
    pub fn ca_bundle_found(&self) -> Option<Found> {
        self.shared.ca_bundle()
    }

    pub(crate) fn chain(&self) -> &Chain {
        &self.chain
    }

    /// The configuration of clients of AWS Batch.
    fn sdk_of_batch(&self) -> SdkConfig {
        let provider = self.providers.batch.clone();
        self.sdk.to_builder().credentials_provider(provider).build()
    }

    /// The configuration of clients of other services.
    pub(crate) fn sdk(&self) -> SdkConfig {
        let provider = self.providers.others.clone();
        self.sdk.to_builder().credentials_provider(provider).build()
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
        let config = aws_sdk_batch::config::Builder::from(&self.sdk_of_batch())
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts.build());
        Ok(aws_sdk_batch::Client::from_conf(config.build()))
    }

    pub(crate) fn s3_client(&self, region: &str) -> Result<aws_sdk_s3::Client, ConfigError> {
        let retries = RetryConfig::standard()
            .with_max_attempts(self.patience.s3_attempts)
            .with_initial_backoff(self.patience.first_pause);
        let mut config = aws_sdk_s3::config::Builder::from(&self.sdk())
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

/// The sources of credentials, with the HTTP client and time-outs of `sdk`.
fn chain(sdk: &SdkConfig) -> Chain {
    let mut config = ProviderConfig::default()
        .with_use_fips(sdk.use_fips())
        .with_use_dual_stack(sdk.use_dual_stack());
    if let Some(client) = sdk.http_client() {
        config = config.with_http_client(client);
    }
    if let Some(timeouts) = sdk.timeout_config() {
        config = config.with_timeout_config(timeouts.clone());
    }
    let region = sdk.region().cloned();
    Chain::new(
        config,
        region.unwrap_or(Region::from_static(DEFAULT_S3_REGION)),
    )
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
