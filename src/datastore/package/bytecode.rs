//! Python's bytecode of what is in a package, for an archive of its own.
//!
//! An interpreter that finds no bytecode beside a module compiles it, in each task anew: a third of a second for Metaflow. The
//! launcher's interpreter has the bytecode already, in files that say which source they are of: by the source's time and size
//! (Lib/importlib/_bootstrap_external.py, `_validate_timestamp_pyc`). In a package all sources have one time, so that time is
//! written into the bytecode, too. An interpreter of another version looks for other names, and compiles as before.

use std::{
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use super::{
    Member, PackageError, Source,
    header::MTIME,
    member::{Snapshot, changing, unreadable},
};

/// Bytes before the code: magic number, flags, time and size of the source, each four, little-endian.
const HEADER: usize = 16;

/// The bytecode of a module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compiled {
    /// Name of its member in the archive.
    pub name: String,
    /// The file that has it.
    pub path: PathBuf,
    /// What it was compiled from.
    pub source: PathBuf,
}

/// Which of these are the code of their sources as they are now, for interpreters with this magic number.
pub fn members(compiled: impl Iterator<Item = Compiled>, magic: [u8; 4]) -> Vec<Member> {
    let is_current = |one: &Compiled| is_current(one, magic).unwrap_or(false);
    let current = compiled.filter(is_current);
    current
        .map(|Compiled { name, path, .. }| Member {
            name,
            source: Source::Bytecode(path),
        })
        .collect()
}

fn is_current(compiled: &Compiled, magic: [u8; 4]) -> io::Result<bool> {
    let mut header = [0; HEADER];
    File::open(&compiled.path)?.read_exact(&mut header)?;
    let source = fs::metadata(&compiled.source)?;
    // Flags other than none mean that a digest of the source decides.
    let wanted = [
        u32::from_le_bytes(magic),
        0,
        source.mtime() as u32,
        source.size() as u32,
    ];
    let found = header.as_chunks().0.iter().map(|c| u32::from_le_bytes(*c));
    Ok(found.eq(wanted))
}

/// The content of a file of bytecode, as of a source from a package.
pub(super) fn read(path: &Path, listed: &Snapshot) -> Result<Vec<u8>, PackageError> {
    let content = || {
        let mut file = File::open(path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok((Snapshot::of(&file.metadata()?), bytes))
    };
    let (snapshot, mut bytes) = content().map_err(|error| unreadable(path, error))?;
    match bytes.get_mut(8..12) {
        Some(time) if snapshot == *listed => time.copy_from_slice(&(MTIME as u32).to_le_bytes()),
        _ => return Err(changing(path)),
    }
    Ok(bytes)
}
