//! Reading files as objects.

use std::{
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom},
    path::Path,
};

use bytes::Bytes;

use super::metadata_path;
use crate::{Cause, Info, Object, UserMetadata};

/// The object in a file; `None` if there is no file, or a folder in its place.
pub(super) fn object(path: &Path) -> Result<Option<Object>, Cause> {
    let Some((mut file, size)) = open(path)? else {
        return Ok(None);
    };
    let mut body = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
    file.read_to_end(&mut body)?;
    Ok(Some(Object {
        body: body.into(),
        user_metadata: user_metadata(path)?,
    }))
}

/// At most `limit` bytes of a file from the byte `from` on.
pub(super) fn range(path: &Path, from: u64, limit: u64) -> Result<Option<Bytes>, Cause> {
    let Some((mut file, _)) = open(path)? else {
        return Ok(None);
    };
    let mut body = Vec::new();
    file.seek(SeekFrom::Start(from))?;
    file.take(limit).read_to_end(&mut body)?;
    Ok(Some(body.into()))
}

/// Size and user metadata of the object in a file.
pub(super) fn info(path: &Path) -> Result<Option<Info>, Cause> {
    match present(fs::metadata(path))? {
        Some(metadata) if metadata.is_file() => Ok(Some(Info {
            size: metadata.len(),
            user_metadata: user_metadata(path)?,
        })),
        _ => Ok(None),
    }
}

/// The value, or `None` where the error says that the file does not exist.
pub(super) fn present<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Ok(None),
            _ => Err(error),
        },
    }
}

/// The open file and its size in bytes.
fn open(path: &Path) -> io::Result<Option<(File, u64)>> {
    let Some(file) = present(File::open(path))? else {
        return Ok(None);
    };
    let metadata = file.metadata()?;
    Ok(metadata.is_file().then_some((file, metadata.len())))
}

fn user_metadata(path: &Path) -> Result<Option<UserMetadata>, Cause> {
    match present(fs::read(metadata_path(path)))? {
        None => Ok(None),
        Some(text) => serde_json::from_slice(&text)
            .map(Some)
            .map_err(Cause::BadMetadata),
    }
}
