//! The folders of a task: `metaflow`, where the code goes and the step runs, and a private one.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use uuid::Uuid;

use crate::environment::Environment;

/// `metaflow`, then `metaflow.1` and so on up to this.
const MAX_NUMBER: u32 = 999;

/// No folder can be made.
#[derive(Debug, thiserror::Error)]
#[error(
    "no folder for the task can be made in {tried}: mount a writable volume, or set TMPDIR to one"
)]
pub(crate) struct WorkDirError {
    tried: String,
    source: io::Error,
}

/// The folders of a task.
#[derive(Debug)]
pub(crate) struct WorkDir {
    root: PathBuf,
    private: PathBuf,
}

impl WorkDir {
    /// Makes them: where upstream does, below the working directory, or else where temporary
    /// files go. Never in `/dev/shm`, which is 64 MB in a container.
    pub(crate) fn create(
        environment: &Environment,
        last_resort: &Path,
    ) -> Result<Self, WorkDirError> {
        let temporary = environment.text("TMPDIR").map(PathBuf::from);
        let bases = [Some(environment.working_directory.clone()), temporary]
            .into_iter()
            .flatten()
            .chain([last_resort.to_owned()]);
        let (mut tried, mut last) = (Vec::new(), io::Error::other("nothing was tried"));
        for base in bases {
            match Self::below(&base) {
                Ok(folders) => return Ok(folders),
                Err(error) => last = error,
            }
            tried.push(base.display().to_string());
        }
        Err(WorkDirError {
            tried: tried.join(", "),
            source: last,
        })
    }

    fn below(base: &Path) -> io::Result<Self> {
        let private = base.join(format!(".ferroflow-{}", Uuid::new_v4().simple()));
        DirBuilder::new().mode(0o700).create(&private)?;
        let folders = |root| Self {
            root,
            private: private.clone(),
        };
        match numbered(base) {
            Ok(root) => Ok(folders(root)),
            Err(error) => {
                let _ = fs::remove_dir(&private);
                Err(error)
            }
        }
    }

    /// The folder of the code, which is the step's working directory.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// A path in the private folder.
    pub(crate) fn private(&self, name: &str) -> PathBuf {
        self.private.join(name)
    }

    /// A new private file without a name.
    pub(crate) fn spool(&self) -> io::Result<File> {
        let path = self.private(&Uuid::new_v4().to_string());
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)?;
        fs::remove_file(&path)?;
        Ok(file)
    }
}

impl Drop for WorkDir {
    fn drop(&mut self) {
        // The container and its files end anyway.
        let _ = fs::remove_dir_all(&self.private);
    }
}

/// Makes `metaflow`, and in it the `.metaflow` that mutes upstream's message about a new local
/// datastore (metaflow/metaflow_environment.py, `get_package_commands`).
fn numbered(base: &Path) -> io::Result<PathBuf> {
    for number in 0..=MAX_NUMBER {
        let name = match number {
            0 => "metaflow".to_owned(),
            _ => format!("metaflow.{number}"),
        };
        let root = base.join(name);
        match fs::create_dir(&root) {
            Ok(()) => return fs::create_dir(root.join(".metaflow")).map(|()| root),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}
