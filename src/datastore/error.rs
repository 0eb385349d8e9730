//! Errors of object stores.

use std::{fmt, io};

/// An operation of [`ObjectStore`](crate::ObjectStore).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Op {
    /// `get`
    Get,
    /// `get_range`
    GetRange,
    /// `put`
    Put,
    /// `head`
    Head,
    /// `list`
    List,
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Get => "get",
            Self::GetRange => "get a range of",
            Self::Put => "put",
            Self::Head => "look up",
            Self::List => "list",
        })
    }
}

/// What sort of failure it was, as far as callers decide by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The credentials or file permissions do not allow it.
    PermissionDenied,
    /// There is no such bucket or root.
    NoStore,
    /// The store asks for fewer requests.
    Throttled,
    /// The store or the way to it does not work at the moment.
    Unavailable,
    /// The key is not valid.
    InvalidKey,
    /// The user metadata cannot be read.
    BadMetadata,
    /// More than the store's limits allow.
    TooLarge,
    /// There is no space left.
    StorageFull,
    /// Anything else.
    Other,
}

impl From<&io::Error> for ErrorKind {
    fn from(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Self::PermissionDenied
            }
            io::ErrorKind::Interrupted
            | io::ErrorKind::TimedOut
            | io::ErrorKind::StaleNetworkFileHandle => Self::Unavailable,
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::StorageFull,
            io::ErrorKind::InvalidFilename => Self::InvalidKey,
            io::ErrorKind::FileTooLarge => Self::TooLarge,
            _ => Self::Other,
        }
    }
}

/// Why an operation failed.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// The file system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The service refused, or could not be reached.
    #[error("{code}: {message}")]
    Service {
        /// What the caller may decide by.
        kind: ErrorKind,
        /// The service's own name of the error.
        code: String,
        /// The service's explanation.
        message: String,
    },
    /// The key is not valid.
    #[error("{0}")]
    InvalidKey(&'static str),
    /// The user metadata is not a JSON object.
    #[error("the user metadata is not a JSON object")]
    BadMetadata(#[source] serde_json::Error),
    /// There are more keys than one listing returns.
    #[error("there are more than {limit} keys")]
    TooManyKeys {
        /// The limit.
        limit: usize,
    },
}

/// A failed operation of an object store.
#[derive(Debug, thiserror::Error)]
#[error("failed to {op} `{key}` in the datastore")]
pub struct StoreError {
    /// The operation.
    pub op: Op,
    /// The key, or the prefix of a listing.
    pub key: String,
    /// Why it failed.
    #[source]
    pub cause: Cause,
}

impl StoreError {
    /// Says that `op` on `key` failed.
    pub fn new(op: Op, key: impl Into<String>, cause: impl Into<Cause>) -> Self {
        Self {
            op,
            key: key.into(),
            cause: cause.into(),
        }
    }

    /// What sort of failure it was.
    pub fn kind(&self) -> ErrorKind {
        match &self.cause {
            Cause::Io(error) => error.into(),
            Cause::Service { kind, .. } => *kind,
            Cause::InvalidKey(_) => ErrorKind::InvalidKey,
            Cause::BadMetadata(_) => ErrorKind::BadMetadata,
            Cause::TooManyKeys { .. } => ErrorKind::TooLarge,
        }
    }

    /// Whether the same operation may well succeed a little later.
    pub fn is_transient(&self) -> bool {
        matches!(self.kind(), ErrorKind::Throttled | ErrorKind::Unavailable)
    }
}
