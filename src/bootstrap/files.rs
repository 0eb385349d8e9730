//! Files that a task gets besides its code: what is too long for a command line.

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io::{self, Write},
    path::{Component, Path},
};

/// A file cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("failed to write the file `{name}` of the task's spec")]
pub(crate) struct FileError {
    name: String,
    source: io::Error,
}

/// Writes files below `root`, where none of their names may be taken.
pub(crate) fn write(files: &BTreeMap<String, String>, root: &Path) -> Result<(), FileError> {
    for (name, content) in files {
        write_one(name, content, root).map_err(|source| FileError {
            name: name.clone(),
            source,
        })?;
    }
    Ok(())
}

fn write_one(name: &str, content: &str, root: &Path) -> io::Result<()> {
    let inside = |part| matches!(part, Component::Normal(_));
    if name.is_empty() || !Path::new(name).components().all(inside) {
        return Err(io::Error::other("it is not below the task's folder"));
    }
    let path = root.join(name);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    // Follows no link that the code package may have brought.
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(content.as_bytes())
}
