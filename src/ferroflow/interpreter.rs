//! Which Python runs the flow: the first that can import metaflow of FERROFLOW_PYTHON, the active
//! virtual environment, the active conda environment, a python beside this program, the python on
//! PATH.

use std::{
    env, fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Result, bail};

/// An interpreter, and how it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Interpreter {
    pub(crate) path: PathBuf,
    /// In words, after "found as".
    pub(crate) how: &'static str,
}

/// Finds the interpreter. One named by FERROFLOW_PYTHON is taken as it is.
pub(crate) fn find() -> Result<Interpreter> {
    if let Some(named) = env::var_os("FERROFLOW_PYTHON") {
        let named = PathBuf::from(named);
        let Some(found) = on_path(&named) else {
            bail!(
                "FERROFLOW_PYTHON names `{}`, which does not exist\nhint: set it to the path of a Python interpreter",
                named.display()
            );
        };
        if !is_executable(&found) {
            bail!(
                "FERROFLOW_PYTHON names `{}`, which is not a program that you may start\nhint: set it to the path of a Python interpreter",
                named.display()
            );
        }
        return Ok(Interpreter {
            path: found,
            how: "FERROFLOW_PYTHON",
        });
    }
    let candidates = candidates();
    if let Some(found) = candidates.iter().find(|python| has_metaflow(&python.path)) {
        tracing::info!(python = %found.path.display(), "found the interpreter");
        return Ok(found.clone());
    }
    let tried: Vec<_> = candidates
        .iter()
        .map(|p| p.path.display().to_string())
        .collect();
    bail!(
        "no Python interpreter that can import metaflow (tried: {})\nhint: pip install metaflow, activate its virtual environment, or set FERROFLOW_PYTHON",
        if tried.is_empty() {
            "none found".to_owned()
        } else {
            tried.join(", ")
        }
    )
}

fn candidates() -> Vec<Interpreter> {
    let in_prefix = |name| env::var_os(name).map(|prefix| PathBuf::from(prefix).join("bin/python"));
    // Of the installed program, where a link to it has been started (pipx, `uv tool`).
    let beside = env::current_exe()
        .and_then(fs::canonicalize)
        .ok()
        .and_then(|exe| exe.parent().map(|folder| folder.join("python")));
    let of_environment = [
        (in_prefix("VIRTUAL_ENV"), "that of VIRTUAL_ENV"),
        (in_prefix("CONDA_PREFIX"), "that of CONDA_PREFIX"),
        (beside, "the one beside ferroflow"),
    ];
    let on_path = ["python", "python3"].map(|name| (on_path(Path::new(name)), "the first on PATH"));
    let mut found: Vec<Interpreter> = Vec::new();
    for (path, how) in of_environment.into_iter().chain(on_path) {
        if let Some(path) = path.filter(|path| path.exists())
            && !found.iter().any(|known| known.path == path)
        {
            found.push(Interpreter { path, how });
        }
    }
    found
}

fn on_path(program: &Path) -> Option<PathBuf> {
    if program.components().count() > 1 {
        return program.exists().then(|| program.to_path_buf());
    }
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|candidate| candidate.is_file())
}

/// Whether it is a file that may be started, as far as its mode tells.
fn is_executable(program: &Path) -> bool {
    fs::metadata(program).is_ok_and(|found| found.is_file() && found.mode() & 0o111 != 0)
}

fn has_metaflow(python: &Path) -> bool {
    has_module(
        python,
        "metaflow/__init__.py",
        "import importlib.util as u, sys; sys.exit(u.find_spec('metaflow') is None)",
    )
}

/// Whether our extension is installed where `python` finds it. Asked each time, because Metaflow
/// ends with an error when it finds an extension at two places.
pub(crate) fn has_extension(python: &Path) -> bool {
    has_module(
        python,
        "metaflow_extensions/ferroflow/toplevel/hook.py",
        "import importlib.util as u, os, sys\n\
         spec = u.find_spec('metaflow_extensions')\n\
         folders = spec and spec.submodule_search_locations or ()\n\
         hook = os.path.join('ferroflow', 'toplevel', 'hook.py')\n\
         sys.exit(not any(os.path.isfile(os.path.join(f, hook)) for f in folders))",
    )
}

/// Looks for the module on disk first, because asking the interpreter costs its start.
fn has_module(python: &Path, path: &str, question: &str) -> bool {
    let on_disk = packages_of(python).is_some_and(|packages| packages.join(path).exists());
    on_disk || says_yes(python, question)
}

/// The interpreter's folder of packages, where its prefix is one Python's alone, as in an
/// environment: `/usr/local` may have packages of several.
fn packages_of(python: &Path) -> Option<PathBuf> {
    let library = python.parent()?.parent()?.join("lib");
    let entries = fs::read_dir(library).ok()?.flatten();
    let mut versions = entries
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("python"))
        .map(|entry| entry.path().join("site-packages"));
    let only = versions.next()?;
    versions.next().is_none().then_some(only)
}

fn says_yes(python: &Path, question: &str) -> bool {
    Command::new(python)
        .args(["-c", question])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_on_disk_count_only_where_the_prefix_is_one_pythons() {
        let prefix = tempfile::tempdir().unwrap();
        let python = prefix.path().join("bin/python");
        let library = prefix.path().join("lib");
        assert_eq!(packages_of(&python), None);
        fs::create_dir_all(library.join("python3.11")).unwrap();
        fs::create_dir_all(library.join("tcl8.6")).unwrap();
        let packages = library.join("python3.11/site-packages");
        assert_eq!(packages_of(&python), Some(packages));
        fs::create_dir_all(library.join("python3.12")).unwrap();
        assert_eq!(packages_of(&python), None);
    }
}
