//! The Python side (flow host and extension), carried inside this program and unpacked into
//! folders that go onto PYTHONPATH, so that nothing need be installed where the flow runs.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

macro_rules! files {
    ($($path:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!("../../python/", $path)))),*]
    };
}

/// Path below the folder, and text.
const FILES: &[(&str, &str)] = files![
    "ferroflow/__init__.py",
    "ferroflow/__main__.py",
    "ferroflow/batch.py",
    "ferroflow/binary.py",
    "ferroflow/errors.py",
    "ferroflow/host.py",
    "ferroflow/launch.py",
    "ferroflow/no_aws.py",
    "ferroflow/package.py",
    "ferroflow/plan.py",
    "ferroflow/prepare.py",
    "ferroflow/probe.py",
    "ferroflow/protocol.py",
    "ferroflow/signals.py",
    "ferroflow/trampoline.py",
    "metaflow_extensions/ferroflow/toplevel/hook.py",
    "metaflow_extensions/ferroflow/toplevel/mfextinit_ferroflow.py",
    "metaflow_extensions/mfextmeta_ferroflow.py",
];

/// Name of the namespace package in which Metaflow looks for extensions.
const EXTENSIONS: &str = "metaflow_extensions";

/// The two entries of PYTHONPATH.
#[derive(Debug)]
pub(crate) struct HostFiles {
    /// Has the package `ferroflow`: of the version of this program, whatever is installed.
    pub host: PathBuf,
    /// Has the extension, which Metaflow refuses to find twice.
    pub extension: PathBuf,
}

impl HostFiles {
    fn below(folder: &Path) -> Self {
        Self {
            host: folder.join("host"),
            extension: folder.join("extension"),
        }
    }

    fn place(&self, path: &str) -> PathBuf {
        let is_extension = path.starts_with(EXTENSIONS);
        let base = if is_extension {
            &self.extension
        } else {
            &self.host
        };
        base.join(path)
    }
}

/// The files on disk; written when they are not there yet. The folder's name tells its content, so
/// that programs of different versions do not disturb each other.
pub(crate) fn unpacked() -> Result<HostFiles> {
    let name = format!("host-{}", digest());
    let mut tried = Vec::new();
    for base in cache_folders() {
        let folder = base.join(&name);
        if folder.is_dir() {
            return Ok(HostFiles::below(&folder));
        }
        match unpack(&folder) {
            Ok(()) => return Ok(HostFiles::below(&folder)),
            Err(error) => tried.push(format!("{}: {error}", folder.display())),
        }
    }
    Err(anyhow::anyhow!(tried.join("; ")))
        .context("cannot write the files of the flow host anywhere\nhint: set XDG_CACHE_HOME or TMPDIR to a folder that can be written")
}

fn digest() -> String {
    let mut hash = Sha256::new();
    for (path, text) in FILES {
        hash.update(path);
        hash.update([0]);
        hash.update(text);
        hash.update([0]);
    }
    hex::encode(&hash.finalize()[..8])
}

/// The user's cache; where home is read-only, a folder of the user's own below the temporary one.
pub(crate) fn cache_folders() -> Vec<PathBuf> {
    let cache = env::var_os("XDG_CACHE_HOME")
        .filter(|v| !v.is_empty())
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")))
        .map(|base| base.join("ferroflow"));
    let user = nix::unistd::getuid();
    cache
        .into_iter()
        .chain([env::temp_dir().join(format!("ferroflow-{user}"))])
        .collect()
}

/// Writes into a neighbour and renames it, so that nobody sees half of it.
fn unpack(folder: &Path) -> io::Result<()> {
    let base = folder
        .parent()
        .ok_or_else(|| io::Error::other("no parent folder"))?;
    fs::create_dir_all(base)?;
    let draft = folder.with_extension(format!("{}.new", std::process::id()));
    let files = HostFiles::below(&draft);
    for (path, text) in FILES {
        let file = files.place(path);
        if let Some(parent) = file.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(file, text)?;
    }
    match fs::rename(&draft, folder) {
        Err(_) if folder.is_dir() => fs::remove_dir_all(&draft),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn python_files(folder: &Path, root: &Path, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                python_files(&path, root, found);
            } else if path.extension().is_some_and(|e| e == "py") {
                found.insert(
                    path.strip_prefix(root)
                        .unwrap()
                        .to_string_lossy()
                        .into_owned(),
                );
            }
        }
    }

    #[test]
    fn every_file_of_the_python_side_is_carried() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("python");
        let mut found = BTreeSet::new();
        for package in ["ferroflow", EXTENSIONS] {
            python_files(&root.join(package), &root, &mut found);
        }
        let carried: BTreeSet<_> = FILES.iter().map(|(path, _)| (*path).to_owned()).collect();
        assert_eq!(carried, found);
    }
}
