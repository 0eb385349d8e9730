//! The code of a run, as its package has it, in a folder of this machine.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use aws::s3::S3Store;
use datastore::{ObjectStore, own_folder};
use model::spec::PackageRef;
use sha2::{Digest, Sha256};

use crate::host_files::cache_folders;

/// What a package has beside the user's code: here Metaflow is the interpreter's own. Packages from before Metaflow 2.16
/// have it at the top.
const NOT_THE_USERS: [&str; 2] = [".mf_code", ".mf_meta"];
const NOT_THE_USERS_BEFORE: [&str; 3] = ["metaflow", "metaflow_extensions", "INFO"];

/// A folder with the user's code. It stays: a second attach finds it.
pub(super) async fn unpacked(store: &S3Store, root: &str, package: &PackageRef) -> Result<PathBuf> {
    let mut why = None;
    for base in cache_folders() {
        let folder = base.join("attached").join(&package.sha256);
        if folder.is_dir() {
            return Ok(folder);
        }
        match make(&base.join("attached")) {
            Ok(()) => {
                let bytes = download(store, root, package).await?;
                return unpack(&bytes, &folder);
            }
            Err(error) => why = Some((base, error)),
        }
    }
    let Some((base, error)) = why else {
        bail!("there is no folder for the code of the run\nhint: set HOME or XDG_CACHE_HOME");
    };
    Err(error).with_context(|| format!("cannot make a folder below `{}`", base.display()))
}

/// Python runs what is there, so it must be the user's alone.
fn make(folder: &Path) -> io::Result<()> {
    own_folder::create(folder)
}

async fn download(store: &S3Store, root: &str, package: &PackageRef) -> Result<Vec<u8>> {
    let below = format!("{}/", root.trim_end_matches('/'));
    let Some(key) = package.url.strip_prefix(&below) else {
        bail!(
            "the run's code package `{}` is not in the datastore `{root}`\nhint: use the datastore settings with which the run was started",
            package.url
        );
    };
    let Some(object) = store.get(key).await? else {
        bail!(
            "the run's code package `{}` is gone\nhint: resume the run",
            package.url
        );
    };
    ensure!(
        hex::encode(Sha256::digest(&object.body)) == package.sha256,
        "the run's code package `{}` is not what was uploaded",
        package.url
    );
    Ok(object.body.to_vec())
}

/// Appears whole, or not at all.
fn unpack(package: &[u8], folder: &Path) -> Result<PathBuf> {
    let parent = folder.parent().context("a folder has a parent")?;
    let temporary = tempfile::tempdir_in(parent)
        .with_context(|| format!("cannot write to `{}`", parent.display()))?;
    bootstrap::extract(package, temporary.path()).context("the run's code package is damaged")?;
    remove_what_is_not_the_users(temporary.path())?;
    match fs::rename(temporary.path(), folder) {
        // Somebody else has been as fast.
        Err(_) if folder.is_dir() => {}
        renamed => {
            renamed.with_context(|| format!("cannot write `{}`", folder.display()))?;
            let _ = temporary.keep();
        }
    }
    Ok(folder.to_owned())
}

fn remove_what_is_not_the_users(folder: &Path) -> Result<()> {
    let is_new = folder.join(NOT_THE_USERS[0]).is_dir();
    let names: &[&str] = if is_new {
        &NOT_THE_USERS
    } else {
        &NOT_THE_USERS_BEFORE
    };
    for name in names {
        let path = folder.join(name);
        let removed = if path.is_dir() {
            fs::remove_dir_all(&path)
        } else if path.exists() {
            fs::remove_file(&path)
        } else {
            Ok(())
        };
        removed.with_context(|| format!("cannot remove `{}`", path.display()))?;
    }
    Ok(())
}
