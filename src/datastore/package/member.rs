//! What goes into a package, and how each file looked when it was listed.

use std::{
    fs::{self, Metadata},
    io,
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use super::PackageError;

/// Content of all members together: what the bootstrap, too, is willing to unpack.
pub(super) const MAX_CONTENT: u64 = 64 << 30;
/// Members of a package, for the same reason.
pub(super) const MAX_MEMBERS: usize = 2_000_000;

/// One member of the archive. Members stand in it in the order of their list; of two with the same name both do, as
/// in upstream's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its name in the archive.
    pub name: String,
    /// Its content.
    pub source: Source,
}

/// Where the content of a member is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// In a file; symbolic links are followed.
    File(PathBuf),
    /// In a file of Python's bytecode with this header, whose source is in a package ([`super::bytecode`]).
    Bytecode(PathBuf, [u8; 16]),
    /// Here: content that Metaflow generates, such as `INFO`.
    Data(Vec<u8>),
}

/// What tells one version of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Snapshot {
    pub(super) size: u64,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) device: u64,
    pub(super) inode: u64,
    /// Seconds and nanoseconds.
    pub(super) modified: (i64, i64),
    pub(super) changed: (i64, i64),
}

impl Snapshot {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self {
            size: metadata.size(),
            mode: metadata.mode(),
            uid: metadata.uid(),
            gid: metadata.gid(),
            device: metadata.dev(),
            inode: metadata.ino(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Whether the file was left alone since `margin` before `now`. If not, it may be written once more without a
    /// change of its times, which clocks of file systems count in steps (git calls such files racy).
    pub(super) fn settled(&self, now: SystemTime, margin: Duration) -> bool {
        let Ok(since) = now.duration_since(SystemTime::UNIX_EPOCH) else {
            return false;
        };
        let Some(limit) = since.checked_sub(margin) else {
            return false;
        };
        let limit = (limit.as_secs() as i64, i64::from(limit.subsec_nanos()));
        self.modified < limit && self.changed < limit
    }
}

/// The members with the state of their files; `None` for those that are data.
pub(super) type Listed<'a> = Vec<(&'a Member, Option<Snapshot>)>;

/// Looks at all files, and refuses what cannot be packed.
pub(super) fn look(members: &[Member]) -> Result<Listed<'_>, PackageError> {
    if let Some(beyond) = members.get(MAX_MEMBERS) {
        return Err(PackageError::TooMany {
            count: members.len(),
            limit: MAX_MEMBERS,
            example: beyond.name.clone(),
        });
    }
    let listed: Listed<'_> = members
        .iter()
        .map(|member| match &member.source {
            Source::Data(_) => Ok((member, None)),
            Source::File(path) | Source::Bytecode(path, _) => Ok((member, Some(look_at(path)?))),
        })
        .collect::<Result<_, PackageError>>()?;
    within_limit(&listed, MAX_CONTENT)?;
    Ok(listed)
}

fn look_at(path: &Path) -> Result<Snapshot, PackageError> {
    let metadata = fs::metadata(path).map_err(|source| unreadable(path, source))?;
    match kind(&metadata) {
        None => Ok(Snapshot::of(&metadata)),
        Some(kind) => Err(PackageError::NotAFile {
            path: path.to_owned(),
            kind,
        }),
    }
}

pub(super) fn unreadable(path: &Path, source: io::Error) -> PackageError {
    PackageError::Unreadable {
        path: path.to_owned(),
        source,
    }
}

pub(super) fn changing(path: &Path) -> PackageError {
    PackageError::Changing {
        path: path.to_owned(),
    }
}

/// What something is that is not a file.
fn kind(metadata: &Metadata) -> Option<&'static str> {
    let kind = metadata.file_type();
    if kind.is_file() {
        None
    } else if kind.is_dir() {
        Some("a folder")
    } else if kind.is_fifo() {
        Some("a pipe")
    } else if kind.is_socket() {
        Some("a socket")
    } else {
        Some("a device")
    }
}

pub(super) fn within_limit(listed: &Listed<'_>, limit: u64) -> Result<(), PackageError> {
    let sizes = listed
        .iter()
        .map(|(member, snapshot)| match (&member.source, snapshot) {
            (Source::File(path) | Source::Bytecode(path, _), snapshot) => {
                (snapshot.map_or(0, |file| file.size), path.clone())
            }
            (Source::Data(data), _) => (data.len() as u64, PathBuf::from(&member.name)),
        });
    let total = sizes
        .clone()
        .fold(0_u64, |sum, (size, _)| sum.saturating_add(size));
    match sizes.max() {
        Some((size, largest)) if total > limit => Err(PackageError::TooLarge {
            total,
            limit,
            largest,
            size,
        }),
        _ => Ok(()),
    }
}
