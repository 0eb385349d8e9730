//! The code package: fetched, checked, unpacked.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    path::Path,
};

use model::spec::PackageRef;
use sha2::{Digest, Sha256};

use crate::{
    extract::{ExtractError, extract},
    s3::{Call, Patience, S3},
    s3_address::S3Url,
    s3_error::S3Error,
    work_dir::WorkDir,
};

const CHUNK: usize = 128 << 10;

/// The task has no code.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PackageError {
    /// Its address makes no sense.
    #[error("the code package's address `{url}` is not of the form s3://bucket/key")]
    Address {
        /// The address.
        url: String,
    },
    /// The store did not give it.
    #[error("failed to download the code package from {url}")]
    Download {
        /// The address.
        url: String,
        /// Why.
        source: Box<S3Error>,
    },
    /// It could not be kept.
    #[error("failed to keep the code package on disk")]
    Disk(#[source] io::Error),
    /// It was changed.
    #[error(
        "the code package {url} has {found_size} bytes and SHA-256 {found} where the launcher \
         packed {size} bytes with {wanted}: it was changed"
    )]
    Digest {
        /// The address.
        url: String,
        /// Of the launcher.
        wanted: String,
        /// Of the launcher.
        size: u64,
        /// Of the bytes read.
        found: String,
        /// Of the bytes read.
        found_size: u64,
    },
    /// It could not be unpacked.
    #[error(transparent)]
    Extract(#[from] ExtractError),
}

/// A package on disk that is what the launcher packed.
#[derive(Debug)]
pub(crate) struct Package(File);

impl Package {
    /// Fetches a package.
    pub(crate) fn download(
        s3: &S3,
        package: &PackageRef,
        folders: &WorkDir,
        patience: Patience,
    ) -> Result<Self, PackageError> {
        let url = S3Url::parse(&package.url).ok_or_else(|| PackageError::Address {
            url: package.url.clone(),
        })?;
        let call = Call {
            method: "GET",
            bucket: &url.bucket,
            key: &url.key,
            headers: Vec::new(),
            body: None,
            patience,
        };
        let mut file = folders.spool().map_err(PackageError::Disk)?;
        let (found, found_size) = s3
            .call(&call, |body| keep(body, &mut file, package.size))
            .map_err(|source| PackageError::Download {
                url: package.url.clone(),
                source: Box::new(source),
            })?
            .map_err(PackageError::Disk)?;
        if found_size != package.size || !found.eq_ignore_ascii_case(&package.sha256) {
            return Err(PackageError::Digest {
                url: package.url.clone(),
                wanted: package.sha256.clone(),
                size: package.size,
                found,
                found_size,
            });
        }
        file.seek(SeekFrom::Start(0)).map_err(PackageError::Disk)?;
        Ok(Self(file))
    }

    /// Unpacks it into a folder that holds nothing of others.
    pub(crate) fn extract(self, folder: &Path) -> Result<(), PackageError> {
        Ok(extract(
            io::BufReader::with_capacity(CHUNK, self.0),
            folder,
        )?)
    }
}

/// Copies a body into a file from its start. The outer error is the network's, and may pass; the
/// inner one is the disk's. Reads no more than shows that the size is wrong.
fn keep(body: &mut dyn Read, file: &mut File, size: u64) -> io::Result<io::Result<(String, u64)>> {
    if let Err(error) = file.set_len(0).and_then(|()| file.rewind()) {
        return Ok(Err(error));
    }
    let (mut digest, mut total) = (Sha256::new(), 0);
    let mut chunk = vec![0; CHUNK];
    while total <= size {
        let length = match body.read(&mut chunk) {
            Ok(0) => break,
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        total += length as u64;
        digest.update(&chunk[..length]);
        if let Err(error) = file.write_all(&chunk[..length]) {
            return Ok(Err(error));
        }
    }
    Ok(Ok((hex::encode(digest.finalize()), total)))
}
