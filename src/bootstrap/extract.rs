//! Unpacking a code package: a tar of files and folders, in gzip of one or several members.
//!
//! The digest has been checked before, so whoever made the package is the launcher; still
//! nothing in it may leave its folder. Upstream's packager follows links and stores none
//! (metaflow/packaging_sys/tar_backend.py), so what is refused here is never in its packages.

use std::{
    ffi::OsStr,
    fs::{self, File, OpenOptions, Permissions},
    io::{self, Read},
    os::unix::{
        ffi::OsStrExt,
        fs::{OpenOptionsExt, PermissionsExt, symlink},
    },
    path::{Component, Path, PathBuf},
    time::{Duration, UNIX_EPOCH},
};

use flate2::read::MultiGzDecoder;
use tar::{Archive, Entry, EntryType};

/// Most members of a package.
const MAX_MEMBERS: u64 = 2_000_000;
/// Most bytes of a package, unpacked.
const MAX_BYTES: u64 = 64 << 30;
/// Longest name of a member.
const MAX_NAME: usize = 4096;
/// The bits of a mode that are kept: no setuid, setgid or sticky bit.
const MODE: u32 = 0o777;

/// A package was not unpacked.
#[derive(Debug, thiserror::Error)]
pub enum ExtractError {
    /// It cannot be read, or the disk is full.
    #[error("failed to unpack the code package")]
    Io(#[from] io::Error),
    /// A member would be written elsewhere.
    #[error("the code package has a member `{name}`, which is refused: {why}")]
    Refused {
        /// The member.
        name: String,
        /// Why.
        why: &'static str,
    },
    /// It is too large.
    #[error("the code package has more than {MAX_MEMBERS} members or {MAX_BYTES} bytes")]
    TooLarge,
}

/// A link, made after all files so that no file is written through it.
struct Link {
    name: String,
    path: PathBuf,
    target: PathBuf,
    is_hard: bool,
}

/// Unpacks a package into a folder that holds nothing of others.
pub fn extract(package: impl Read, root: &Path) -> Result<(), ExtractError> {
    let mut archive = Archive::new(MultiGzDecoder::new(package));
    let (mut members, mut bytes) = (0, 0_u64);
    let (mut links, mut folders) = (Vec::new(), Vec::new());
    for entry in archive.entries()? {
        let mut entry = entry?;
        members += 1;
        bytes = bytes.saturating_add(entry.size());
        if members > MAX_MEMBERS || bytes > MAX_BYTES {
            return Err(ExtractError::TooLarge);
        }
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let refused = |why| ExtractError::Refused {
            name: name.clone(),
            why,
        };
        let relative = inside(&entry.path_bytes()).map_err(refused)?;
        let path = root.join(&relative);
        match entry.header().entry_type() {
            EntryType::XGlobalHeader => {}
            EntryType::Directory => {
                fs::create_dir_all(&path)?;
                folders.push((path, entry.header().mode()? & MODE));
            }
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                if relative.as_os_str().is_empty() {
                    return Err(refused("a file needs a name"));
                }
                write_file(&mut entry, &path)?;
            }
            kind @ (EntryType::Symlink | EntryType::Link) => {
                let target = entry
                    .link_name_bytes()
                    .ok_or_else(|| refused("a link needs a target"))?;
                let is_hard = kind == EntryType::Link;
                let target = if is_hard {
                    inside(&target).map_err(refused)?
                } else {
                    inside_from(&relative, &target).map_err(refused)?
                };
                links.push(Link {
                    name: name.clone(),
                    path: relative,
                    target,
                    is_hard,
                });
            }
            _ => return Err(refused("it is neither file, folder nor link")),
        }
    }
    // Hard links first: they are to files, which no symbolic link leads to yet.
    links.sort_by_key(|link| !link.is_hard);
    for link in links {
        make_link(root, &link)?;
    }
    for (path, mode) in folders.into_iter().rev() {
        fs::set_permissions(path, Permissions::from_mode(mode | 0o700))?;
    }
    Ok(())
}

fn write_file(entry: &mut Entry<'_, impl Read>, path: &Path) -> Result<(), ExtractError> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let mode = entry.header().mode()? & MODE;
    let mtime = entry.header().mtime()?;
    let create = || {
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
    };
    let mut file: File = match create() {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            // As in every tar program, the last of several members of a name stays.
            fs::remove_file(path)?;
            create()?
        }
        other => other?,
    };
    io::copy(entry, &mut file)?;
    // A time that no clock can show is no reason to lose the file.
    if let Some(modified) = UNIX_EPOCH.checked_add(Duration::from_secs(mtime)) {
        file.set_modified(modified)?;
    }
    // Not through the umask, which is the image's and not the package's.
    file.set_permissions(Permissions::from_mode(mode))?;
    Ok(())
}

fn make_link(root: &Path, link: &Link) -> Result<(), ExtractError> {
    let refused = |why| ExtractError::Refused {
        name: link.name.clone(),
        why,
    };
    let parent = link.path.parent().unwrap_or(Path::new(""));
    if passes_link(root, parent) {
        return Err(refused("its folder is a link"));
    }
    fs::create_dir_all(root.join(parent))?;
    let path = root.join(&link.path);
    if fs::symlink_metadata(&path).is_ok() {
        return Err(refused("there is a member of that name already"));
    }
    if link.is_hard {
        let target = root.join(&link.target);
        if !fs::symlink_metadata(&target).is_ok_and(|target| target.is_file()) {
            return Err(refused("it links to what is not a file of the package"));
        }
        fs::hard_link(target, path)?;
    } else {
        symlink(&link.target, path)?;
    }
    Ok(())
}

/// Whether a folder, or one that it is in, is a link.
fn passes_link(root: &Path, folder: &Path) -> bool {
    folder
        .ancestors()
        .take_while(|ancestor| !ancestor.as_os_str().is_empty())
        .any(|ancestor| {
            fs::symlink_metadata(root.join(ancestor)).is_ok_and(|found| found.is_symlink())
        })
}

/// A member's name as a path below the root.
fn inside(name: &[u8]) -> Result<PathBuf, &'static str> {
    if name.len() > MAX_NAME {
        return Err("its name is too long");
    }
    if name.contains(&0) {
        return Err("its name has a zero byte");
    }
    let mut path = PathBuf::new();
    for component in Path::new(OsStr::from_bytes(name)).components() {
        match component {
            Component::Normal(part) => path.push(part),
            Component::CurDir => {}
            _ => return Err("it would be outside the task's folder"),
        }
    }
    Ok(path)
}

/// The target of a symbolic link, if it stays below the root: `..` only in front, and not more
/// often than the link is deep. In the middle it could follow another link upwards.
fn inside_from(link: &Path, target: &[u8]) -> Result<PathBuf, &'static str> {
    const OUTSIDE: &str = "it links to what is outside the task's folder";
    let path = Path::new(OsStr::from_bytes(target));
    let up = path
        .components()
        .take_while(|component| *component == Component::ParentDir)
        .count();
    let rest: PathBuf = path.components().skip(up).collect();
    let depth = link.components().count().saturating_sub(1);
    if target.is_empty() || up > depth || inside(rest.as_os_str().as_bytes()).is_err() {
        return Err(OUTSIDE);
    }
    Ok(path.to_owned())
}

#[cfg(test)]
mod tests;
