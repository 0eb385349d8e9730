//! Why a code package could not be made.

use std::{io, path::PathBuf};

/// Why a code package could not be made. [`hint`](Self::hint) says what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// A member cannot be read.
    #[error("cannot read `{path}` for the code package")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A member is a folder, a pipe, a socket or a device.
    #[error("`{path}` cannot go into the code package: it is {kind}, not a file")]
    NotAFile {
        /// What was listed.
        path: PathBuf,
        /// What it is.
        kind: &'static str,
    },
    /// A file changed while it was read, and again at the second try.
    #[error("`{path}` changes while the code package is made")]
    Changing {
        /// The file.
        path: PathBuf,
    },
    /// More content than a package may have.
    #[error(
        "the code package would have {total} bytes before compression, more than {limit}; \
         the largest file is `{largest}` with {size}"
    )]
    TooLarge {
        /// The content of all members.
        total: u64,
        /// The limit.
        limit: u64,
        /// The largest file.
        largest: PathBuf,
        /// Its size.
        size: u64,
    },
    /// More members than a package may have.
    #[error(
        "the code package would have {count} files, more than {limit}; one of them is `{example}`"
    )]
    TooMany {
        /// How many there are.
        count: usize,
        /// The limit.
        limit: usize,
        /// The first beyond the limit, by its name in the package.
        example: String,
    },
    /// The archive cannot be written.
    #[error("cannot write the code package below `{path}`")]
    Unwritable {
        /// The folder, or the file that was asked for.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// There is no folder to write to.
    #[error("there is no folder to keep code packages in: {tried}")]
    NoFolder {
        /// Each folder and what was wrong with it.
        tried: String,
    },
}

impl PackageError {
    /// What the user can do about it.
    pub fn hint(&self) -> &'static str {
        const OUT: &str = "Metaflow packs what lies in the flow's folder and has one of the suffixes of --package-suffixes, \
             except in folders whose names begin with a dot; move it out, or into such a folder";
        match self {
            Self::Unreadable { path, source } => match source.kind() {
                io::ErrorKind::NotFound if path.is_symlink() => {
                    "it is a symbolic link to nothing: remove the link, or repair what it points to"
                }
                io::ErrorKind::NotFound => {
                    "it was there when the flow's folder was listed; start the run again"
                }
                io::ErrorKind::PermissionDenied => {
                    "make it readable for you (chmod u+r), or move it out of the flow's folder"
                }
                _ => OUT,
            },
            Self::NotAFile { .. } | Self::TooLarge { .. } | Self::TooMany { .. } => OUT,
            Self::Changing { .. } => {
                "wait until whatever writes it is done, or move it out of the flow's folder"
            }
            Self::Unwritable { .. } | Self::NoFolder { .. } => {
                "set XDG_CACHE_HOME or TMPDIR to a folder that can be written and has space left"
            }
        }
    }
}
