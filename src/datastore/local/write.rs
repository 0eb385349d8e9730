//! Writing objects to files.

use std::{
    fs,
    io::{self, Write},
    path::Path,
};

use tempfile::NamedTempFile;

use super::{TEMPORARY, metadata_path, read::present};
use crate::{Cause, PutMode, PutOptions, PutOutcome, json};

/// Writes an object. The user metadata comes first, so that whoever sees a new object sees its
/// metadata, and an end in between leaves nothing that a second try would not repair.
pub(super) fn object(path: &Path, body: &[u8], options: &PutOptions) -> Result<PutOutcome, Cause> {
    if options.mode == PutMode::CreateOnly && present(fs::symlink_metadata(path))?.is_some() {
        return Ok(PutOutcome::AlreadyExists);
    }
    let metadata_path = metadata_path(path);
    match &options.user_metadata {
        None => drop(present(fs::remove_file(&metadata_path))?),
        Some(metadata) => replace(&metadata_path, &json::dumps(metadata))?,
    }
    let outcome = match options.mode {
        PutMode::Overwrite => replace(path, body).map(|()| PutOutcome::Written),
        PutMode::CreateOnly => create(path, body),
    };
    Ok(outcome?)
}

fn replace(path: &Path, body: &[u8]) -> io::Result<()> {
    temporary(path, body)?.persist(path)?;
    Ok(())
}

fn create(path: &Path, body: &[u8]) -> io::Result<PutOutcome> {
    match temporary(path, body)?.persist_noclobber(path) {
        Ok(_) => Ok(PutOutcome::Written),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {
            Ok(PutOutcome::AlreadyExists)
        }
        Err(error) => Err(error.into()),
    }
}

/// A complete file beside `path`, which goes away unless it is persisted.
fn temporary(path: &Path, body: &[u8]) -> io::Result<NamedTempFile> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let make = || {
        tempfile::Builder::new()
            .prefix(TEMPORARY)
            .tempfile_in(folder)
    };
    let mut file = match make() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(folder)?;
            make()?
        }
        made => made?,
    };
    file.write_all(body)?;
    Ok(file)
}
