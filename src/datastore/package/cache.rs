//! Packages of earlier runs, in a folder of the user's own.
//!
//! An entry is one file whose name says all there is to know of it: `<fingerprint>-<sha1>-<sha256>-<size>.tgz`. It
//! appears by a rename, is never written again, and whoever has it open keeps it when another run removes it. A size that
//! is not that of its name means that a disk was full or a machine went down: such a file is no entry.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use tempfile::NamedTempFile;

use super::{Package, PackageError};
use crate::own_folder;

/// What all entries together may take; the newest stays even if it alone is larger.
const MAX_SIZE: u64 = 1 << 30;
/// Entries used within this time stay: their run may be about to open them.
const GRACE: Duration = Duration::from_mins(10);
/// Unfinished files older than this have no writer any more.
const ABANDONED: Duration = Duration::from_hours(24);
const UNFINISHED: &str = ".new-";
const SUFFIX: &str = ".tgz";

/// A folder with packages.
#[derive(Debug, Clone)]
pub struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// The packages in this folder, which is made when there is one to keep.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
        }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The package with this fingerprint, marked as used just now. A folder of somebody else's has none.
    pub(super) fn find(&self, fingerprint: &str) -> Option<Package> {
        own_folder::check(&self.folder).ok()?;
        let entries = fs::read_dir(&self.folder).ok()?.flatten();
        let packages = entries.filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let rest = name.strip_prefix(fingerprint)?.strip_prefix('-')?;
            let package = parse(rest, entry.path())?;
            let metadata = fs::symlink_metadata(&package.path).ok()?;
            (metadata.is_file() && metadata.len() == package.size).then_some(package)
        });
        let package = packages.min_by(|a, b| a.path.cmp(&b.path))?;
        // On a read-only disk it ages, and is not removed either.
        let _ = File::open(&package.path).and_then(|file| file.set_modified(SystemTime::now()));
        Some(package)
    }

    /// A file to write a package into. Also tells whether the folder can be used at all.
    pub(super) fn draft(&self) -> io::Result<NamedTempFile> {
        own_folder::create(&self.folder)?;
        tempfile::Builder::new()
            .prefix(UNFINISHED)
            .tempfile_in(&self.folder)
    }

    /// Makes a finished draft an entry, in the place of older ones.
    pub(super) fn keep(
        &self,
        draft: NamedTempFile,
        fingerprint: &str,
        mut package: Package,
    ) -> Result<Package, PackageError> {
        let Package {
            sha1, sha256, size, ..
        } = &package;
        let path = self
            .folder
            .join(format!("{fingerprint}-{sha1}-{sha256}-{size}{SUFFIX}"));
        draft
            .persist(&path)
            .map_err(|error| PackageError::Unwritable {
                path: self.folder.clone(),
                source: error.error,
            })?;
        self.shrink(&path, MAX_SIZE, SystemTime::now());
        package.path = path;
        Ok(package)
    }

    /// Removes the entries that were not used for longest, and what nobody will finish. What cannot be removed stays.
    pub(super) fn shrink(&self, newest: &Path, max_size: u64, now: SystemTime) {
        let Ok(entries) = fs::read_dir(&self.folder) else {
            return;
        };
        let mut kept = Vec::new();
        for entry in entries.flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            let Some((metadata, name)) = entry.metadata().ok().zip(name.to_str()) else {
                continue;
            };
            let age = metadata
                .modified()
                .ok()
                .and_then(|used| now.duration_since(used).ok())
                .unwrap_or_default();
            if name.starts_with(UNFINISHED) && age > ABANDONED {
                let _ = fs::remove_file(path);
            } else if name
                .split_once('-')
                .and_then(|(_, rest)| parse(rest, path.clone()))
                .is_some()
            {
                kept.push((age, path, metadata.len()));
            }
        }
        kept.sort();
        let mut total = 0;
        for (age, path, size) in kept {
            total += size;
            if total > max_size && age > GRACE && path != newest {
                let _ = fs::remove_file(path);
            }
        }
    }
}

/// The rest of an entry's name after its fingerprint.
fn parse(rest: &str, path: PathBuf) -> Option<Package> {
    let mut parts = rest.strip_suffix(SUFFIX)?.split('-');
    let package = Package {
        path,
        sha1: parts.next()?.to_owned(),
        sha256: parts.next()?.to_owned(),
        size: parts.next()?.parse().ok()?,
    };
    let whole = parts.next().is_none() && package.sha1.len() == 40 && package.sha256.len() == 64;
    whole.then_some(package)
}
