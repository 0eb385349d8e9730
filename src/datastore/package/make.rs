//! Making a package, or finding that it was made before.

use std::{
    fs::File,
    io::{self, Write},
    path::PathBuf,
    time::{Duration, SystemTime},
};

use serde::Serialize;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

use super::{
    Cache, Member, PackageError, archive, compress, fingerprint,
    member::{self, Listed, Snapshot},
    owners::Owners,
};

/// The coarsest clock of a file system that is still around (FAT: 2 s), and a little for clocks of file servers.
const CLOCK_STEP: Duration = Duration::from_secs(3);
/// A file that changes is given one more chance.
const TRIES: u32 = 2;

/// A finished package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Package {
    /// The archive. It may be removed by a later run, so whoever needs it opens it soon.
    pub path: PathBuf,
    /// Its address in the content-addressed store, in hexadecimal.
    pub sha1: String,
    /// What the container checks, in hexadecimal.
    pub sha256: String,
    /// Its size in bytes.
    pub size: u64,
}

/// Makes the package of `members`, in the first of `caches` that can be written and has space left; or takes it from one,
/// if it was made of these members and none of the files has changed since.
pub fn make(members: &[Member], caches: &[Cache]) -> Result<Package, PackageError> {
    let mut tries = 1..;
    loop {
        match make_at(SystemTime::now(), members, caches) {
            Err(PackageError::Changing { .. }) if tries.next() < Some(TRIES) => {}
            made => return made,
        }
    }
}

pub(super) fn make_at(
    now: SystemTime,
    members: &[Member],
    caches: &[Cache],
) -> Result<Package, PackageError> {
    let listed = member::look(members)?;
    let mut owners = Owners::default();
    let fingerprint = fingerprint::of(&listed, &mut owners);
    if let Some(package) = caches.iter().find_map(|cache| cache.find(&fingerprint)) {
        return Ok(package);
    }
    let mut tried = Vec::new();
    for cache in caches {
        match make_in(cache, now, &listed, &mut owners, &fingerprint) {
            Err(PackageError::Unwritable { path, source }) => {
                tried.push(format!("{}: {source}", path.display()));
            }
            made => return made,
        }
    }
    Err(PackageError::NoFolder {
        tried: tried.join("; "),
    })
}

fn make_in(
    cache: &Cache,
    now: SystemTime,
    listed: &Listed<'_>,
    owners: &mut Owners,
    fingerprint: &str,
) -> Result<Package, PackageError> {
    let draft = cache.draft().map_err(|source| PackageError::Unwritable {
        path: cache.folder().to_owned(),
        source,
    })?;
    let package = write(listed, owners, cache, &draft)?;
    let settled = |(_, snapshot): &(_, Option<Snapshot>)| {
        snapshot.is_none_or(|file| file.settled(now, CLOCK_STEP))
    };
    if listed.iter().all(settled) {
        cache.keep(draft, fingerprint, package)
    } else {
        // It is kept for this run, under a name that none looks for.
        let unsettled = format!("unsettled{}", &package.sha256);
        cache.keep(draft, &unsettled, package)
    }
}

fn write(
    listed: &Listed<'_>,
    owners: &mut Owners,
    cache: &Cache,
    draft: &NamedTempFile,
) -> Result<Package, PackageError> {
    let output = Output::new(draft.as_file());
    let written = compress::gzip(output, |chunks| archive::write(listed, owners, chunks))?;
    let output = written.map_err(|source| PackageError::Unwritable {
        path: cache.folder().to_owned(),
        source,
    })?;
    Ok(output.package(draft))
}

/// The archive on its way to the disk.
struct Output<'a> {
    file: &'a File,
    sha1: Sha1,
    sha256: Sha256,
    size: u64,
}

impl<'a> Output<'a> {
    fn new(file: &'a File) -> Self {
        Self {
            file,
            sha1: Sha1::new(),
            sha256: Sha256::new(),
            size: 0,
        }
    }

    fn package(self, draft: &NamedTempFile) -> Package {
        Package {
            path: draft.path().to_owned(),
            sha1: hex::encode(self.sha1.finalize()),
            sha256: hex::encode(self.sha256.finalize()),
            size: self.size,
        }
    }
}

impl Write for Output<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.sha1.update(&bytes[..count]);
        self.sha256.update(&bytes[..count]);
        self.size += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
