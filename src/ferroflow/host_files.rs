//! The Python side (flow host and extension), carried inside this program and unpacked into
//! folders that go onto PYTHONPATH, so that nothing need be installed where the flow runs.

use std::{
    env,
    ffi::OsString,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use datastore::own_folder;
use sha2::{Digest, Sha256};

use crate::interpreter;

macro_rules! files {
    ($($path:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!("../../python/", $path)))),*]
    };
}

/// Path below the folder, and text.
const FILES: &[(&str, &str)] = files![
    "ferroflow/__init__.py",
    "ferroflow/__main__.py",
    "ferroflow/at_import.py",
    "ferroflow/attach.py",
    "ferroflow/batch.py",
    "ferroflow/binary.py",
    "ferroflow/bytecode.py",
    "ferroflow/credentials.py",
    "ferroflow/disk.py",
    "ferroflow/early_exit.py",
    "ferroflow/errors.py",
    "ferroflow/events.py",
    "ferroflow/fork_server.py",
    "ferroflow/forkable.py",
    "ferroflow/host.py",
    "ferroflow/launch.py",
    "ferroflow/loading.py",
    "ferroflow/no_aws.py",
    "ferroflow/no_color.py",
    "ferroflow/package.py",
    "ferroflow/plan.py",
    "ferroflow/prepare.py",
    "ferroflow/probe.py",
    "ferroflow/protocol.py",
    "ferroflow/runner.py",
    "ferroflow/siblings.py",
    "ferroflow/signals.py",
    "ferroflow/step_options.py",
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

/// PYTHONPATH for a flow: our folders first, then what the user has.
pub(crate) fn python_path(python: &Path) -> Result<OsString> {
    let files = unpacked()?;
    let mut ours = vec![files.host];
    if !interpreter::has_extension(python) {
        ours.push(files.extension);
    }
    // To Python an empty variable is none; an empty entry would be the current folder.
    let theirs = env::var_os("PYTHONPATH").filter(|paths| !paths.is_empty());
    let theirs: Vec<_> = theirs
        .iter()
        .flat_map(env::split_paths)
        .filter(|path| !ours.contains(path))
        .collect();
    env::join_paths(ours.iter().chain(&theirs)).context("cannot extend PYTHONPATH")
}

/// The files on disk; what is not there yet is written. The folder's name tells its content, so
/// that programs of different versions do not disturb each other.
pub(crate) fn unpacked() -> Result<HostFiles> {
    unpacked_below(&cache_folders())
}

fn unpacked_below(bases: &[PathBuf]) -> Result<HostFiles> {
    let name = format!("host-{}", digest());
    let mut tried = Vec::new();
    for base in bases {
        let folder = base.join(&name);
        if env::join_paths([&folder]).is_err() {
            tried.push(format!("{}: PYTHONPATH cannot name it", folder.display()));
            continue;
        }
        match unpack(&folder) {
            Ok(files) => return Ok(files),
            Err(error) => tried.push(format!("{}: {error}", folder.display())),
        }
    }
    bail!(
        "cannot write the files of the flow host anywhere ({})\nhint: set XDG_CACHE_HOME or TMPDIR to a folder that can be written and has space left",
        tried.join("; ")
    )
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
/// Neither need be the user's alone: [`own_folder`] tells.
pub(crate) fn cache_folders() -> Vec<PathBuf> {
    // What is relative means nothing (XDG Base Directory Specification), and would be the flow's folder.
    let named = |name| {
        env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let cache = named("XDG_CACHE_HOME").or_else(|| named("HOME").map(|home| home.join(".cache")));
    let user = nix::unistd::getuid();
    cache
        .map(|base| base.join("ferroflow"))
        .into_iter()
        .chain([env::temp_dir().join(format!("ferroflow-{user}"))])
        .collect()
}

/// Python will run what is there, so nobody else may have put it there. A file that is missing or
/// has another size (a disk was full, somebody tidied up) is written again; each appears whole.
fn unpack(folder: &Path) -> io::Result<HostFiles> {
    own_folder::create(folder)?;
    let files = HostFiles::below(folder);
    for (path, text) in FILES {
        let file = files.place(path);
        let there = fs::symlink_metadata(&file)
            .is_ok_and(|found| found.is_file() && found.len() == text.len() as u64);
        if !there {
            write_whole(&file, text)?;
        }
    }
    Ok(files)
}

/// Writes into a neighbour, which goes away on an error, and renames it.
fn write_whole(file: &Path, text: &str) -> io::Result<()> {
    let parent = file
        .parent()
        .ok_or_else(|| io::Error::other("no parent folder"))?;
    own_folder::create(parent)?;
    let mut draft = tempfile::NamedTempFile::new_in(parent)?;
    draft.write_all(text.as_bytes())?;
    draft.persist(file)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs::Permissions, os::unix::fs::PermissionsExt};

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

    fn content(files: &HostFiles) -> Vec<Option<String>> {
        let read = |(path, _): &(&str, &str)| fs::read_to_string(files.place(path)).ok();
        FILES.iter().map(read).collect()
    }

    #[test]
    fn what_is_missing_or_cut_off_is_written_again() {
        let place = tempfile::tempdir().unwrap();
        let bases = [place.path().join("ferroflow")];
        let files = unpacked_below(&bases).unwrap();
        let whole = content(&files);
        assert!(whole.iter().all(Option::is_some));
        fs::remove_file(files.place("ferroflow/host.py")).unwrap();
        fs::write(files.place("ferroflow/launch.py"), "").unwrap();
        fs::remove_dir_all(&files.extension).unwrap();
        assert_eq!(content(&unpacked_below(&bases).unwrap()), whole);
    }

    #[test]
    fn a_folder_that_pythonpath_cannot_name_is_passed_over() {
        let place = tempfile::tempdir().unwrap();
        let bases = ["with:colon", "without"].map(|name| place.path().join(name));
        let files = unpacked_below(&bases).unwrap();
        assert!(files.host.starts_with(&bases[1]));
        let error = unpacked_below(&bases[..1]).unwrap_err();
        assert!(format!("{error:#}").contains("PYTHONPATH"), "{error:#}");
    }

    #[test]
    fn a_folder_that_others_may_write_to_is_passed_over() {
        let place = tempfile::tempdir().unwrap();
        let bases = ["first", "second"].map(|name| place.path().join(name));
        let first = unpacked_below(&bases).unwrap();
        assert!(first.host.starts_with(&bases[0]));
        fs::set_permissions(&bases[0], Permissions::from_mode(0o777)).unwrap();
        let second = unpacked_below(&bases).unwrap();
        assert!(second.host.starts_with(&bases[1]));
        let error = unpacked_below(&bases[..1]).unwrap_err();
        assert!(
            format!("{error:#}").contains("this user alone"),
            "{error:#}"
        );
    }
}
