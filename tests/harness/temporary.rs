//! Where the folders of tests lie: in memory if there is enough of it. A job unpacks hundreds of files and takes them away
//! at its end, and ext4 does not give inodes out again for minutes: it looks at each of them for each new file, which is a
//! tenth of the processors' time when job follows on job.

use std::{
    path::{Path, PathBuf},
    sync::OnceLock,
};

#[cfg(target_os = "linux")]
use nix::sys::statvfs::{FsFlags, statvfs};
use tempfile::TempDir;

/// A file system in memory, on Linux.
const IN_MEMORY: &str = "/dev/shm";

/// What has to be free there, in bytes: in a container it is often 64 MiB.
const ENOUGH: u64 = 4 << 30;

/// The folder to make temporary ones in: `TMPDIR`, if the caller has one.
pub(crate) fn base() -> &'static Path {
    static BASE: OnceLock<PathBuf> = OnceLock::new();
    BASE.get_or_init(|| {
        let chosen = std::env::var_os("TMPDIR").is_some();
        if !chosen && can_be_used(Path::new(IN_MEMORY)) {
            return PathBuf::from(IN_MEMORY);
        }
        std::env::temp_dir()
    })
}

/// A new folder, which is removed when it is dropped.
pub(crate) fn folder() -> TempDir {
    tempfile::tempdir_in(base()).expect("a temporary folder")
}

/// Whether there is room, and the programs that tests write into their folders may start.
#[cfg(target_os = "linux")]
fn can_be_used(folder: &Path) -> bool {
    statvfs(folder).is_ok_and(|system| {
        let free = system.blocks_available() * system.fragment_size();
        let refuses = FsFlags::ST_RDONLY | FsFlags::ST_NOEXEC;
        free >= ENOUGH && !system.flags().intersects(refuses)
    })
}

#[cfg(not(target_os = "linux"))]
fn can_be_used(_: &Path) -> bool {
    false
}
