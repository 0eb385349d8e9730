//! Python's bytecode of what is in the code package: fetched, checked, and put beside the sources.
//!
//! The interpreter could do without: it compiles what it does not find. So nothing that is wrong here ends a task, and no
//! file is seen before all of it is there: half a file of bytecode would end the task's imports.

use std::{
    error::Error,
    ffi::OsStr,
    fs, io,
    path::Path,
    time::{Duration, Instant},
};

use model::spec::PackageRef;

use crate::{
    package::{Package, PackageError},
    s3::{Patience, S3},
    work_dir::WorkDir,
};

/// It is not worth more: to compile takes a third of a second.
const PATIENCE: Duration = Duration::from_secs(1);

/// Where Python looks for the bytecode of the modules beside it.
const CACHE: &str = "__pycache__";

/// Puts the bytecode into the task's folder. Else tells why the task starts without.
pub(crate) fn add(s3: &S3, bytecode: &PackageRef, folders: &WorkDir) -> Result<(), String> {
    unpack(s3, bytecode, folders).map_err(|error| {
        let why = match &error {
            PackageError::Digest { .. } => "it was changed".to_owned(),
            other => innermost(other).to_string(),
        };
        let url = &bytecode.url;
        format!("The task starts without bytecode ({url}): {why}")
    })
}

fn innermost(error: &dyn Error) -> &dyn Error {
    error.source().map_or(error, innermost)
}

fn unpack(s3: &S3, bytecode: &PackageRef, folders: &WorkDir) -> Result<(), PackageError> {
    let patience = Patience::Until(Instant::now() + PATIENCE);
    let aside = folders.private("bytecode");
    let added = Package::download(s3, bytecode, folders, patience)
        .and_then(|package| package.extract(&aside))
        .and_then(|()| move_into(&aside, folders.root()).map_err(PackageError::Disk));
    let _ = fs::remove_dir_all(&aside);
    added
}

/// Moves what is in folders for bytecode to the same places below `root`, and nothing else.
fn move_into(from: &Path, root: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (path, target) = (entry.path(), root.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            if entry.file_name() == CACHE && root.is_dir() {
                fs::create_dir_all(&target)?;
            }
            move_into(&path, &target)?;
        } else if root.file_name() == Some(OsStr::new(CACHE)) && root.is_dir() {
            fs::rename(path, target)?;
        }
    }
    Ok(())
}
