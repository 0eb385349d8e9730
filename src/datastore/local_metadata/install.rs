//! Putting metadata files in their place.

use std::{
    fs::{self, Permissions},
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::Path,
};

use super::{LocalMetadataError, archive::MetaFile};

/// Writes a file with its time and mode, unless there is one that is as new (util.py, `copy_tree` with `update`). A
/// reader sees the old one or the new one, and never a part.
pub(super) fn file(root: &Path, file: &MetaFile) -> Result<(), LocalMetadataError> {
    let path = root.join(&file.path);
    write(&path, file).map_err(|source| LocalMetadataError::Write { path, source })
}

fn write(path: &Path, file: &MetaFile) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(present) if file.modified <= present.modified()? => return Ok(()),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut draft = tempfile::Builder::new()
        .prefix(".ferroflow-")
        .tempfile_in(folder)?;
    draft.write_all(&file.content)?;
    draft
        .as_file()
        .set_permissions(Permissions::from_mode(file.mode))?;
    draft.as_file().set_modified(file.modified)?;
    draft.persist(path)?;
    Ok(())
}
