//! What goes wrong with a request to S3.

use aws_sigv4::http_request::SigningError;

use crate::credentials::CredentialsError;

/// Longest part of an error message of a server that is repeated.
const MESSAGE_LENGTH: usize = 300;

/// A request to S3 failed for good.
#[derive(Debug, thiserror::Error)]
pub(crate) enum S3Error {
    /// The store answered that it does not do it.
    #[error("{method} `{key}` was refused with status {status} {code}: {message}")]
    Refused {
        /// The request's method.
        method: &'static str,
        /// The object.
        key: String,
        /// The HTTP status.
        status: u16,
        /// S3's word for it.
        code: String,
        /// S3's sentence.
        message: String,
    },
    /// The store did not answer, or not to the end.
    #[error("{method} `{key}` got no answer")]
    NoAnswer {
        /// The request's method.
        method: &'static str,
        /// The object.
        key: String,
        /// Why.
        source: ureq::Error,
    },
    /// The request could not be written down.
    #[error("{method} `{key}` could not be signed")]
    Signing {
        /// The request's method.
        method: &'static str,
        /// The object.
        key: String,
        /// Why.
        source: SigningError,
    },
    /// There is nothing to sign with.
    #[error("no usable AWS credentials")]
    Credentials(#[from] CredentialsError),
    /// The container is being stopped.
    #[error("the container was asked to stop")]
    Interrupted,
    /// Another attempt has taken this one's place.
    #[error("a later attempt of the task was launched")]
    Superseded,
}

impl S3Error {
    /// Whether the store may answer better a little later.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Refused { status, .. } => *status == 429 || *status >= 500,
            Self::NoAnswer { .. } => true,
            Self::Credentials(error) => error.is_transient(),
            Self::Signing { .. } | Self::Interrupted | Self::Superseded => false,
        }
    }

    /// The HTTP status of a refusal.
    pub(crate) fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }
}

/// Code and message of S3's XML error document.
pub(crate) fn error_document(body: &str) -> (String, String) {
    (
        element(body, "Code").unwrap_or_default().to_owned(),
        element(body, "Message")
            .unwrap_or(body)
            .chars()
            .take(MESSAGE_LENGTH)
            .collect(),
    )
}

/// Text of the first element of that name, without a parser: AWS's answers have no attributes.
pub(crate) fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    Some(text)
}
