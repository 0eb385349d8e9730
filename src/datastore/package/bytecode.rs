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
    /// When the source was changed last, in seconds since 1970, before it was packed.
    pub modified: i64,
    /// The size of the source then, in bytes.
    pub size: u64,
}

/// What a file of bytecode must begin with.
pub(super) type Header = [u8; HEADER];

/// Which of these are the code of their sources, for interpreters with this magic number; of sources that are what they were
/// when they were packed.
pub fn members(compiled: impl Iterator<Item = Compiled>, magic: [u8; 4]) -> Vec<Member> {
    let member = |one: Compiled| {
        let header = header(&one, magic);
        let is_current = is_current(&one, &header).unwrap_or(false);
        is_current.then_some(Member {
            name: one.name,
            source: Source::Bytecode(one.path, header),
        })
    };
    compiled.filter_map(member).collect()
}

fn header(compiled: &Compiled, magic: [u8; 4]) -> Header {
    // Flags other than none mean that a digest of the source decides.
    let numbers = [0, compiled.modified as u32, compiled.size as u32];
    let mut header = [0; HEADER];
    header[..4].copy_from_slice(&magic);
    for (place, number) in header[4..].as_chunks_mut().0.iter_mut().zip(numbers) {
        *place = number.to_le_bytes();
    }
    header
}

fn is_current(compiled: &Compiled, wanted: &Header) -> io::Result<bool> {
    let source = fs::metadata(&compiled.source)?;
    let mut found = [0; HEADER];
    File::open(&compiled.path)?.read_exact(&mut found)?;
    Ok(found == *wanted && (source.mtime(), source.size()) == (compiled.modified, compiled.size))
}

/// The content of a file of bytecode, as of a source from a package.
pub(super) fn read(
    path: &Path,
    header: &Header,
    listed: &Snapshot,
) -> Result<Vec<u8>, PackageError> {
    let content = || {
        let mut file = File::open(path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok((Snapshot::of(&file.metadata()?), bytes))
    };
    let (snapshot, mut bytes) = content().map_err(|error| unreadable(path, error))?;
    if snapshot != *listed || !bytes.starts_with(header) {
        return Err(changing(path));
    }
    bytes[8..12].copy_from_slice(&(MTIME as u32).to_le_bytes());
    Ok(bytes)
}
