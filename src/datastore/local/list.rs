//! Listing files as objects.

use std::{fs, path::Path};

use super::{META, TEMPORARY, read::present};
use crate::{Cause, Entry, object_store::MAX_LISTED_KEYS};

/// All objects whose keys begin with `prefix`, by the byte order of their keys.
pub(super) fn entries(root: &Path, prefix: &str) -> Result<Vec<Entry>, Cause> {
    let folder = prefix.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        read_folder(root, &folder, prefix, &mut found, &mut folders)?;
    }
    found.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    Ok(found)
}

/// Names of the folders in a folder. One without objects is no folder on S3, and may be one here.
pub(super) fn folders(path: &Path) -> Result<Vec<String>, Cause> {
    let Some(children) = present(fs::read_dir(path))? else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    for child in children {
        let child = child?;
        if !child.file_type()?.is_dir() || child.file_name() == META {
            continue;
        }
        // What is not UTF-8 is nobody's key.
        found.extend(child.file_name().into_string().ok());
    }
    found.sort_unstable();
    Ok(found)
}

/// Adds the objects of one folder to `found`, and the folders in it to `folders`. What goes away
/// meanwhile is left out.
fn read_folder(
    root: &Path,
    folder: &str,
    prefix: &str,
    found: &mut Vec<Entry>,
    folders: &mut Vec<String>,
) -> Result<(), Cause> {
    let Some(children) = present(fs::read_dir(root.join(folder)))? else {
        return Ok(());
    };
    for child in children {
        let child = child?;
        let name = child.file_name();
        let Some(name) = name.to_str() else { continue };
        let key = if folder.is_empty() {
            name.to_owned()
        } else {
            format!("{folder}/{name}")
        };
        if name == META || !(key.starts_with(prefix) || prefix.starts_with(&key)) {
            continue;
        }
        let Some(metadata) = present(fs::metadata(child.path()))? else {
            continue;
        };
        if metadata.is_dir() {
            folders.push(key);
        } else if is_object(name) && key.starts_with(prefix) {
            if found.len() == MAX_LISTED_KEYS {
                return Err(Cause::TooManyKeys {
                    limit: MAX_LISTED_KEYS,
                });
            }
            found.push(Entry {
                key,
                size: metadata.len(),
            });
        }
    }
    Ok(())
}

fn is_object(name: &str) -> bool {
    !name.ends_with(META) && !name.starts_with(TEMPORARY)
}
