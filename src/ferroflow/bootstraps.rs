//! The bootstrap binaries that go into containers: where they lie on this machine, and their way
//! into the datastore.

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use aws::s3::S3Store;
use datastore::ObjectStore;
use model::{batch::Entry, layout};
use sha2::{Digest, Sha256};

/// Name of the binary in its folder.
const BINARY: &str = "ferroflow-bootstrap";

/// Architectures as `uname -m` spells them, and the folders of their binaries.
const ARCHITECTURES: [(&str, &str); 2] = [("x86_64", "linux-x86_64"), ("aarch64", "linux-aarch64")];

/// Uploads what the datastore does not have yet and says how a container starts it.
pub(crate) async fn provide(store: &S3Store) -> Result<Entry> {
    let mut hashes = BTreeMap::new();
    for (machine, binary) in found()? {
        let content = fs::read(&binary)
            .with_context(|| format!("cannot read the bootstrap `{}`", binary.display()))?;
        let sha256 = hex::encode(Sha256::digest(&content));
        let key = layout::bootstrap(&sha256);
        let there = store.head(&key).await?;
        if there.is_none_or(|info| info.size != content.len() as u64) {
            store
                .put(&key, content.into(), datastore::PutOptions::default())
                .await?;
        }
        hashes.insert(machine, sha256);
    }
    for (machine, _) in ARCHITECTURES {
        if !hashes.contains_key(machine) {
            tracing::info!(
                machine,
                "this installation has no bootstrap for such machines"
            );
        }
    }
    let address = store.address();
    let slash = if address.prefix.is_empty() { "" } else { "/" };
    let folder = layout::BOOTSTRAP_FOLDER;
    let url = format!("s3://{}/{}{slash}{folder}", address.bucket, address.prefix);
    Ok(Entry {
        command: bootstrap::ENTRY_COMMAND.map(str::to_owned).to_vec(),
        environment: vec![
            (
                bootstrap::variable::STUB.to_owned(),
                bootstrap::STUB.to_owned(),
            ),
            (bootstrap::variable::URL.to_owned(), url),
            (
                bootstrap::variable::REGION.to_owned(),
                address.region.clone(),
            ),
            (
                bootstrap::variable::SHA256.to_owned(),
                serde_json::to_string(&hashes)?,
            ),
        ],
    })
}

/// Architectures that this installation has a bootstrap for, and those that it has none for.
pub(crate) fn machines() -> Result<(Vec<&'static str>, Vec<&'static str>)> {
    let found: Vec<_> = found()?.into_iter().map(|(machine, _)| machine).collect();
    let all = ARCHITECTURES.iter().map(|(machine, _)| *machine);
    let missing = all.filter(|machine| !found.contains(machine)).collect();
    Ok((found, missing))
}

/// The binaries of this installation, each with the architecture of its machines.
pub(crate) fn found() -> Result<Vec<(&'static str, PathBuf)>> {
    let folders = folders();
    let mut found = Vec::new();
    for (machine, folder) in ARCHITECTURES {
        let here = folders.iter().map(|base| base.join(folder).join(BINARY));
        if let Some(binary) = here.into_iter().find(|path| path.is_file()) {
            found.push((machine, binary));
        }
    }
    if found.is_empty() {
        let tried: Vec<_> = folders.iter().map(|f| f.display().to_string()).collect();
        bail!(
            "the bootstrap for containers is not installed (looked in: {})\nhint: install ferroflow by `pip install`, or set FERROFLOW_BOOTSTRAP_DIR",
            tried.join(", ")
        );
    }
    Ok(found)
}

/// FERROFLOW_BOOTSTRAP_DIR; else the package data of the wheel that this program belongs to.
fn folders() -> Vec<PathBuf> {
    if let Some(named) = env::var_os("FERROFLOW_BOOTSTRAP_DIR") {
        return vec![PathBuf::from(named)];
    }
    let exe = env::current_exe()
        .and_then(fs::canonicalize)
        .unwrap_or_default();
    let Some(prefix) = exe.parent().and_then(Path::parent) else {
        return Vec::new();
    };
    packages(prefix)
        .map(|folder| folder.join("ferroflow/_bootstrap"))
        .filter(|folder| folder.is_dir())
        .collect()
}

/// Where packages of a Python may be whose scripts are in `prefix/bin`: Debian has its own name,
/// Fedora its own library folder, and `pip install --target` none. uv's `--link-mode symlink` leaves
/// the program in the unpacked wheel, below `ferroflow-….data`.
fn packages(prefix: &Path) -> impl Iterator<Item = PathBuf> {
    let libraries = ["lib", "lib64"].map(|name| fs::read_dir(prefix.join(name)));
    let versions = libraries.into_iter().flatten().flatten().flatten();
    versions
        .flat_map(|version| {
            ["site-packages", "dist-packages"].map(|name| version.path().join(name))
        })
        .chain([prefix.to_path_buf()])
        .chain(unpacked_wheel(prefix))
}

fn unpacked_wheel(prefix: &Path) -> Option<PathBuf> {
    let is_data = prefix.extension().is_some_and(|e| e == "data");
    is_data.then(|| prefix.parent().map(Path::to_path_buf))?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(prefix: &str, made: &str) -> bool {
        let place = tempfile::tempdir().unwrap();
        let packages_made = place.path().join(made);
        fs::create_dir_all(&packages_made).unwrap();
        packages(&place.path().join(prefix)).any(|folder| folder == packages_made)
    }

    #[test]
    fn packages_are_found_where_installers_put_them() {
        for (prefix, made) in [
            ("env", "env/lib/python3.11/site-packages"),
            ("env", "env/lib64/python3.11/site-packages"),
            ("local", "local/lib/python3.11/dist-packages"),
            (
                "Library/Python/3.11",
                "Library/Python/3.11/lib/python/site-packages",
            ),
            ("target", "target"),
            ("wheel/ferroflow-1.0.data", "wheel"),
        ] {
            assert!(found(prefix, made), "{made}");
        }
        assert!(!found("env", "other/lib/python3.11/site-packages"));
        assert!(!found("wheel/env", "wheel"));
    }
}
