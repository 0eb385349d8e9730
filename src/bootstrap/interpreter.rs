//! The image's Python: `python`, as upstream calls it, or else `python3`.

use std::{
    ffi::OsString,
    fs::{self, DirBuilder, Permissions},
    io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::PathBuf,
};

use crate::{environment::Environment, work_dir::WorkDir};

/// Finds the interpreter. An image that has `python3` only gets a `python` that starts it, last
/// on `PATH`: upstream's commands, and those of its sidecars, all say `python`.
pub(crate) fn python(
    environment: &mut Environment,
    folders: &WorkDir,
) -> io::Result<Option<PathBuf>> {
    if let Some(python) = environment.find_program("python") {
        return Ok(Some(python));
    }
    let Some(python3) = environment.find_program("python3") else {
        return Ok(None);
    };
    let folder = folders.private("bin");
    DirBuilder::new().mode(0o700).create(&folder)?;
    let path = folder.join("python");
    let target = python3.to_string_lossy().replace('\'', r"'\''");
    fs::write(&path, format!("#!/bin/sh\nexec '{target}' \"$@\"\n"))?;
    fs::set_permissions(&path, Permissions::from_mode(0o700))?;
    let name = OsString::from("PATH");
    let mut value = environment
        .variables
        .get(&name)
        .cloned()
        .unwrap_or_default();
    value.push(":");
    value.push(&folder);
    environment.variables.insert(name, value);
    Ok(Some(path))
}
