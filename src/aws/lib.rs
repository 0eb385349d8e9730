//! AWS Batch and S3 behind the ports of Ferroflow: the only crate that names the AWS SDK.
//!
//! [`Aws`] finds region and credentials once; [`batch::Client`] and [`s3::S3Store`] are made from
//! it. What callers see are this project's own types; nothing here decides what runs.

pub mod batch;
pub mod config;
pub mod credentials;
mod failure;
mod http;
pub mod inspect;
mod profile;
pub mod s3;

pub use config::{Aws, ConfigError, Patience, Settings};
pub use credentials::{Credentials, CredentialsFrom};
pub use profile::Found;
