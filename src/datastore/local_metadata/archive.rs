//! Reading the archive with a container's `.metaflow`. Whoever can write to the bucket can put anything there.

use std::{
    io::{self, Read},
    path::{Component, Path, PathBuf},
    time::{Duration, SystemTime},
};

use flate2::read::MultiGzDecoder;
use model::{FlowName, TaskPath};
use tar::{Archive, Entry};

use super::LocalMetadataError;
use crate::cas::BlobKey;

/// The folder that is packed (metaflow_config.py, `DATASTORE_LOCAL_DIR`).
const PACKED: &str = ".metaflow";
/// Folders of the metadata provider (local_storage.py, `METADATA_DIR`).
const META: &str = "_meta";
const MAX_MEMBERS: usize = 1_000_000;
/// All files of a task's metadata together.
const MAX_CONTENT: u64 = 256 << 20;

/// A file to be merged.
#[derive(Debug)]
pub(super) struct MetaFile {
    /// Below the local root; has no component but plain names.
    pub(super) path: PathBuf,
    pub(super) mode: u32,
    pub(super) modified: SystemTime,
    pub(super) content: Vec<u8>,
}

/// The metadata files of a task and of what it belongs to. All members are looked at before the first is written.
pub(super) fn files(
    blob: BlobKey,
    tarball: &[u8],
    flow: &FlowName,
    task: &TaskPath,
) -> Result<Vec<MetaFile>, LocalMetadataError> {
    let bad = |source| LocalMetadataError::BadArchive { blob, source };
    let levels = [
        flow.to_string(),
        task.run.to_string(),
        task.step.to_string(),
        task.task.to_string(),
    ];
    let mut files = Vec::new();
    let mut left = MAX_CONTENT;
    let mut archive = Archive::new(MultiGzDecoder::new(tarball));
    for (count, entry) in archive.entries().map_err(bad)?.enumerate() {
        let mut entry = entry.map_err(bad)?;
        let name = entry.path().map_err(bad)?.into_owned();
        let refused = |why| {
            let member = name.display().to_string();
            LocalMetadataError::Refused { blob, member, why }
        };
        if count >= MAX_MEMBERS {
            return Err(refused("is one too many"));
        }
        let components = plain(&name).ok_or_else(|| refused("leads out of its folder"))?;
        let kind = entry.header().entry_type();
        if kind.is_dir() || !is_meta(&components, &levels) {
            continue;
        }
        if !kind.is_file() {
            return Err(refused("is not a file"));
        }
        left = left
            .checked_sub(entry.size())
            .ok_or_else(|| refused("is too large"))?;
        let path = components[1..].iter().collect();
        files.push(meta_file(&mut entry, path).map_err(bad)?);
    }
    Ok(files)
}

/// The components of a path that stays where it is put.
fn plain(path: &Path) -> Option<Vec<&str>> {
    let components = path
        .components()
        .filter(|component| *component != Component::CurDir);
    components
        .map(|component| match component {
            Component::Normal(name) => name.to_str(),
            _ => None,
        })
        .collect()
}

/// Whether it is `.metaflow/<flow>[/<run>[/<step>[/<task>]]]/_meta/<file>`.
fn is_meta(components: &[&str], levels: &[String]) -> bool {
    match components {
        [PACKED, owner @ .., META, _] => {
            !owner.is_empty()
                && owner.len() <= levels.len()
                && owner.iter().zip(levels).all(|(a, b)| a == b)
        }
        _ => false,
    }
}

fn meta_file<R: Read>(entry: &mut Entry<'_, R>, path: PathBuf) -> io::Result<MetaFile> {
    let (mode, modified) = (entry.header().mode()? & 0o777, modified(entry)?);
    let mut content = Vec::new();
    entry.read_to_end(&mut content)?;
    Ok(MetaFile {
        path,
        mode,
        modified,
        content,
    })
}

/// Python's tarfile keeps fractions of seconds in a record of the PAX header.
fn modified<R: Read>(entry: &mut Entry<'_, R>) -> io::Result<SystemTime> {
    let whole = Duration::from_secs(entry.header().mtime()?);
    let mut precise = None;
    for record in entry.pax_extensions()?.into_iter().flatten() {
        let record = record?;
        if record.key() == Ok("mtime") {
            let seconds = record.value().ok().and_then(|text| text.parse().ok());
            precise = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        }
    }
    SystemTime::UNIX_EPOCH
        .checked_add(precise.unwrap_or(whole))
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a time beyond all times"))
}
