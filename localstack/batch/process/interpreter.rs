//! The Python of jobs. Images have `python` and `python3` on their PATH; so do jobs here, and both are the interpreter of the
//! run, wherever that is.

use std::{
    collections::HashMap,
    env, fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use sha2::{Digest, Sha256};

const NAMES: [&str; 2] = ["python", "python3"];

/// Interpreters, each looked at once.
#[derive(Debug)]
pub(in crate::batch) struct Interpreters {
    /// Where scripts go that stand for missing names.
    folder: PathBuf,
    known: Mutex<HashMap<PathBuf, Vec<PathBuf>>>,
}

impl Interpreters {
    pub(in crate::batch) fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            known: Mutex::default(),
        }
    }

    /// What goes first on the PATH of a job, so that `python` and `python3` are this interpreter. Without one, the first on
    /// the PATH of the stack.
    pub(super) fn path_of(&self, interpreter: Option<&Path>) -> io::Result<Vec<PathBuf>> {
        let Some(interpreter) = interpreter.map(Path::to_owned).or_else(on_path) else {
            return Ok(Vec::new());
        };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(path) = known.get(&interpreter) {
            return Ok(path.clone());
        }
        let path = self.look_at(&interpreter)?;
        known.insert(interpreter, path.clone());
        Ok(path)
    }

    fn look_at(&self, interpreter: &Path) -> io::Result<Vec<PathBuf>> {
        let real = fs::canonicalize(interpreter)?;
        let folder = interpreter.parent().unwrap_or(Path::new("/")).to_owned();
        let is_there =
            |name: &&str| fs::canonicalize(folder.join(name)).is_ok_and(|found| found == real);
        let missing: Vec<&str> = NAMES.into_iter().filter(|name| !is_there(name)).collect();
        if missing.is_empty() {
            return Ok(vec![folder]);
        }
        let digest = hex::encode(&Sha256::digest(interpreter.as_os_str().as_encoded_bytes())[..8]);
        let scripts = self.folder.join(digest);
        fs::create_dir_all(&scripts)?;
        for name in missing {
            // Not a link: an interpreter of a virtual environment finds the environment by the path it is started by.
            write_script(&scripts.join(name), interpreter)?;
        }
        Ok(vec![scripts, folder])
    }
}

fn write_script(path: &Path, interpreter: &Path) -> io::Result<()> {
    let quoted = interpreter.to_string_lossy().replace('\'', r"'\''");
    let draft = path.with_extension("new");
    fs::write(&draft, format!("#!/bin/sh\nexec '{quoted}' \"$@\"\n"))?;
    fs::set_permissions(&draft, fs::Permissions::from_mode(0o755))?;
    fs::rename(&draft, path)
}

fn on_path() -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let folders: Vec<PathBuf> = env::split_paths(&path).collect();
    let mut candidates = NAMES
        .iter()
        .rev()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    candidates.find(|candidate| super::start::is_executable(candidate))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_an_interpreter_lacks_become_scripts() {
        let folder = tempfile::tempdir().unwrap();
        let bin = folder.path().join("it's/bin");
        fs::create_dir_all(&bin).unwrap();
        let real = bin.join("python3.11");
        fs::write(&real, "#!/bin/sh\necho \"$0 $1\"\n").unwrap();
        fs::set_permissions(&real, fs::Permissions::from_mode(0o755)).unwrap();
        std::os::unix::fs::symlink("python3.11", bin.join("python3")).unwrap();
        let interpreters = Interpreters::new(folder.path().join("scripts"));
        let path = interpreters.path_of(Some(&real)).unwrap();
        let [scripts, own] = path.as_slice() else {
            panic!("{path:?}")
        };
        assert_eq!(*own, bin);
        let output = std::process::Command::new(scripts.join("python"))
            .arg("x y")
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(text, format!("{} x y\n", real.display()));
        assert!(!scripts.join("python3").exists());
        std::os::unix::fs::symlink("python3.11", bin.join("python")).unwrap();
        let again = Interpreters::new(folder.path().join("other"));
        assert_eq!(again.path_of(Some(&real)).unwrap(), [bin]);
    }
}
