//! What `ferroflow doctor` asks of AWS: calls that change nothing, each made once, and answers that
//! say what is wrong.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use aws_smithy_runtime_api::{
    box_error::BoxError,
    client::{
        interceptors::{Intercept, context::BeforeDeserializationInterceptorContextRef},
        runtime_components::RuntimeComponents,
    },
};
use aws_smithy_types::{DateTime, config_bag::ConfigBag, date_time::Format, retry::RetryConfig};

use crate::{
    Aws, ConfigError,
    credentials::ChainError,
    failure::{Failure, FailureKind},
    s3::address,
};

/// Who signs, by AWS STS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Twelve digits.
    pub account: String,
    /// Of the user or the assumed role.
    pub arn: String,
}

/// Why a question was not answered as hoped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What to decide by.
    pub kind: RefusalKind,
    /// The service's name of the error, or ours.
    pub code: String,
    /// The explanation.
    pub message: String,
    /// The bucket's region, where S3 says that it is another.
    pub bucket_region: Option<String>,
}

/// What to decide by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalKind {
    /// The credentials are good, and do not allow this.
    AccessDenied,
    /// The credentials are no good: unknown, expired, with another secret.
    BadCredentials,
    /// Nobody answers.
    NoAnswer,
    /// Something else.
    Other,
}

/// Codes by which services refuse keys, whatever is asked ("Common errors" of STS and S3's
/// "Error responses").
const BAD_KEYS: [&str; 10] = [
    "InvalidClientTokenId",
    "UnrecognizedClientException",
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "InvalidSignatureException",
    "InvalidToken",
    "ExpiredToken",
    "ExpiredTokenException",
    "NotSignedUp",
    "MissingAuthenticationToken",
];

/// Whether a service says by this code that the credentials are no good.
pub fn is_bad_key(code: &str) -> bool {
    BAD_KEYS.contains(&code)
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        let kind = match failure.kind {
            _ if is_bad_key(&failure.code) => RefusalKind::BadCredentials,
            FailureKind::NoCredentials | FailureKind::CredentialsUnavailable => {
                RefusalKind::BadCredentials
            }
            FailureKind::AccessDenied => RefusalKind::AccessDenied,
            FailureKind::Unreachable | FailureKind::Unknown if failure.status.is_none() => {
                RefusalKind::NoAnswer
            }
            _ => RefusalKind::Other,
        };
        Self {
            kind,
            code: failure.code,
            message: failure.message,
            bucket_region: failure.bucket_region,
        }
    }
}

/// Where credentials come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialsFound {
    /// In words: "profile `x` (SSO)".
    pub source: String,
    /// The access key id, which is no secret.
    pub access_key_id: String,
    /// When they cease to be valid, where that is known.
    pub expiry: Option<SystemTime>,
}

/// Why there are no credentials here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoCredentials {
    /// The flow's Python finds them (a code of an MFA device, `aws login`).
    OfTheHost(String),
    /// Something is wrong.
    Wrong(String),
}

/// How far this machine's clock is ahead of AWS's, in seconds, by the last answer that told.
#[derive(Debug, Clone, Default)]
pub struct ClockSkew(Arc<Mutex<Option<i64>>>);

impl ClockSkew {
    /// Negative where this machine's clock is behind; `None` before an answer.
    pub fn seconds(&self) -> Option<i64> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, date: &str) {
        let server = DateTime::from_str(date, Format::HttpDate);
        let own = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        if let (Ok(server), Ok(own)) = (server, own) {
            let skew = own.as_secs().cast_signed() - server.secs();
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(skew);
        }
    }
}

/// Looks at the header `Date` of every answer.
#[derive(Debug)]
struct ReadsDate(ClockSkew);

impl Intercept for ReadsDate {
    fn name(&self) -> &'static str {
        "ReadsDate"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(date) = context.response().headers().get("date") {
            self.0.note(date);
        }
        Ok(())
    }
}

impl Aws {
    /// Looks for credentials as a run would, without the flow host.
    pub async fn credentials(&self) -> Result<CredentialsFound, NoCredentials> {
        match self.chain().load().await {
            Ok(loaded) => Ok(CredentialsFound {
                source: loaded.source,
                access_key_id: loaded.credentials.access_key_id().to_owned(),
                expiry: loaded.credentials.expiry(),
            }),
            Err(error @ ChainError::NeedsHost { .. }) => {
                Err(NoCredentials::OfTheHost(error.to_string()))
            }
            Err(error) => Err(NoCredentials::Wrong(error.to_string())),
        }
    }

    /// Asks AWS STS who signs. Needs no permission.
    pub async fn identity(&self, clock: &ClockSkew) -> Result<Identity, Refusal> {
        let config = aws_sdk_sts::config::Builder::from(&self.sdk())
            .region(aws_sdk_sts::config::Region::new(
                self.s3_region().to_owned(),
            ))
            .retry_config(RetryConfig::disabled())
            .interceptor(ReadsDate(clock.clone()));
        let client = aws_sdk_sts::Client::from_conf(config.build());
        let answer = client.get_caller_identity().send().await;
        let answer = answer.map_err(|error| Refusal::from(Failure::from(error)))?;
        Ok(Identity {
            account: answer.account.unwrap_or_default(),
            arn: answer.arn.unwrap_or_default(),
        })
    }

    /// Lists one object below the datastore's root.
    pub async fn bucket(
        &self,
        root: &str,
        clock: &ClockSkew,
    ) -> Result<Result<(), Refusal>, ConfigError> {
        let place = address::parse(root)?;
        let call = self
            .s3_client(self.s3_region())?
            .list_objects_v2()
            .bucket(place.bucket)
            .prefix(format!("{}/", place.prefix))
            .max_keys(1)
            .customize()
            .config_override(
                aws_sdk_s3::config::Builder::new().retry_config(RetryConfig::disabled()),
            )
            .interceptor(ReadsDate(clock.clone()));
        let answer = call.send().await;
        Ok(answer
            .map(drop)
            .map_err(|error| Refusal::from(Failure::from(error))))
    }
}
