//! The folder of a stack: who holds it, where its server listens, the keys it made.
//!
//! `stack.json` is for everyone who may read the folder; `keys.json` has the secrets. What services keep is below `.state`:
//! Metaflow packs no folder whose name begins with a dot, so jobs' files never get into a code package, wherever the
//! stack's folder is.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use nix::fcntl::OFlag;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::credentials::{KeyPair, secret};

/// Of the files in the folder. Another one is an error that names both.
const FORMAT: u32 = 1;
/// How long to wait for the lock: who only looks whether it is free holds it for a moment.
const PATIENCE: Duration = Duration::from_secs(1);

/// Why a stack cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum StackError {
    /// Another process serves the folder.
    #[error(
        "process {pid} serves the stack in `{}` already\nhint: `ferroflow dev down` stops it; --dir names another folder",
        folder.display()
    )]
    Held {
        /// The stack's folder.
        folder: PathBuf,
        /// Its server.
        pid: i32,
    },
    /// Somebody else listens there.
    #[error(
        "port {port} is taken by another program\nhint: choose another by --port, or let the system choose by --port 0"
    )]
    PortTaken {
        /// The port.
        port: u16,
    },
    /// Made by another version of this program.
    #[error(
        "`{}` has format {found}, and this program reads format {FORMAT}\nhint: use another folder by --dir, or remove this one (its jobs and objects are lost then)",
        file.display()
    )]
    Format {
        /// `stack.json`.
        file: PathBuf,
        /// What it says.
        found: u64,
    },
    /// A file is not what this program wrote.
    #[error("`{}` cannot be read: {error}\nhint: use another folder by --dir, or remove this one (its jobs and objects are lost then)", file.display())]
    Broken {
        /// The file.
        file: PathBuf,
        /// Why not.
        error: serde_json::Error,
    },
    /// The system refuses.
    #[error(
        "cannot {what} `{}`: {error}\nhint: the stack needs a folder that you may write to; --dir names another",
        path.display()
    )]
    Io {
        /// What was tried.
        what: &'static str,
        /// With what.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
}

impl StackError {
    pub(crate) fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::Io {
            what,
            path: path.to_owned(),
            error,
        }
    }
}

/// `stack.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Description {
    /// Of the folder.
    pub format: u32,
    /// Of the program that served it last.
    pub version: String,
    /// Where it listens, or did.
    pub port: u16,
    /// Of the server while there is one.
    pub pid: Option<u32>,
    /// URL of all services.
    pub endpoint: String,
    /// Region in ARNs.
    pub region: String,
    /// Account in ARNs.
    pub account: String,
    /// When the folder was made.
    pub created: jiff::Timestamp,
    /// The interpreter of jobs that name none.
    pub python: Option<PathBuf>,
}

impl Description {
    /// Of a server of this program in this process.
    pub(crate) fn new(port: u16, created: Option<jiff::Timestamp>) -> Self {
        Self {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            port,
            pid: Some(std::process::id()),
            endpoint: format!("http://127.0.0.1:{port}"),
            region: "us-east-1".to_owned(),
            account: "000000000000".to_owned(),
            created: created.unwrap_or_else(jiff::Timestamp::now),
            python: None,
        }
    }
}

/// `keys.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Secrets {
    /// What clients sign with.
    #[serde(flatten)]
    pub pair: KeyPair,
    /// Opens the status page.
    pub token: Token,
}

/// A secret that does not show itself.
#[derive(Clone, Serialize, Deserialize)]
pub struct Token(pub String);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token")
    }
}

/// A folder that is or may become a stack's.
#[derive(Debug, Clone)]
pub struct Folder(PathBuf);

/// Held by the server as long as it lives.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Folder {
    /// An absolute path; nothing need be there.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// What services keep.
    pub(crate) fn state(&self) -> PathBuf {
        self.0.join(".state")
    }

    /// What happened, one JSON line for each thing.
    pub fn history(&self) -> PathBuf {
        self.0.join("history.jsonl")
    }

    /// What the server has to say.
    pub fn log(&self) -> PathBuf {
        self.0.join("log")
    }

    fn stack_json(&self) -> PathBuf {
        self.0.join("stack.json")
    }

    /// Makes the folder, for its owner alone, unless it is there.
    pub fn create(&self) -> Result<(), StackError> {
        let made = DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.0);
        made.map_err(StackError::io("make the folder", &self.0))
    }

    /// What the last server left, if there ever was one.
    pub fn description(&self) -> Result<Option<Description>, StackError> {
        #[derive(Deserialize)]
        struct OfAnyFormat {
            format: u64,
        }
        let file = self.stack_json();
        let Some(OfAnyFormat { format }) = parsed(&file)? else {
            return Ok(None);
        };
        if format != u64::from(FORMAT) {
            return Err(StackError::Format {
                file,
                found: format,
            });
        }
        parsed(&file)
    }

    pub(crate) fn describe(&self, description: &Description) -> Result<(), StackError> {
        let file = self.stack_json();
        Self::replace(&file, description, 0o644)
    }

    /// The keys, if there are any.
    pub fn secrets(&self) -> Result<Option<Secrets>, StackError> {
        parsed(&self.0.join("keys.json"))
    }

    /// The keys; made when the folder has none.
    pub(crate) fn secrets_or_new(&self) -> Result<Secrets, StackError> {
        if let Some(secrets) = self.secrets()? {
            return Ok(secrets);
        }
        let secrets = Secrets {
            pair: KeyPair::random("AKIA"),
            token: Token(secret()),
        };
        Self::replace(&self.0.join("keys.json"), &secrets, 0o600)?;
        Ok(secrets)
    }

    /// Takes the folder for this process.
    pub(crate) fn lock(&self) -> Result<Lock, StackError> {
        self.create()?;
        let path = self.0.join("lock");
        let io = |error| StackError::io("lock", &path)(error);
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .custom_flags(OFlag::O_NOFOLLOW.bits())
            .open(&path)
            .map_err(io)?;
        let limit = Instant::now() + PATIENCE;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::Error(error)) => return Err(io(error)),
                Err(TryLockError::WouldBlock) if Instant::now() < limit => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(StackError::Held {
                        folder: self.0.clone(),
                        pid: pid_in(&path).unwrap_or_default(),
                    });
                }
            }
        }
        file.set_len(0)
            .and_then(|()| file.write_all(std::process::id().to_string().as_bytes()))
            .map_err(io)?;
        Ok(Lock { _file: file })
    }

    /// The process that serves this folder now.
    pub fn server(&self) -> Result<Option<i32>, StackError> {
        let path = self.0.join("lock");
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StackError::io("read", &path)(error)),
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(None),
            Err(TryLockError::WouldBlock) => Ok(pid_in(&path)),
            Err(TryLockError::Error(error)) => Err(StackError::io("lock", &path)(error)),
        }
    }

    /// Writes a neighbour and renames it, so that nobody reads half of it.
    fn replace(file: &Path, value: &impl Serialize, mode: u32) -> Result<(), StackError> {
        let draft = file.with_extension("new");
        let written = || {
            let mut text = serde_json::to_vec_pretty(value)?;
            text.push(b'\n');
            let _ = fs::remove_file(&draft);
            let mut output = OpenOptions::new()
                .create_new(true)
                .write(true)
                .mode(mode)
                .open(&draft)?;
            output.write_all(&text)?;
            fs::rename(&draft, file)
        };
        written().map_err(StackError::io("write", file))
    }
}

fn pid_in(path: &Path) -> Option<i32> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn parsed<T: DeserializeOwned>(file: &Path) -> Result<Option<T>, StackError> {
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(OFlag::O_NOFOLLOW.bits())
        .open(file);
    let mut opened = match opened {
        Ok(opened) => opened,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StackError::io("read", file)(error)),
    };
    let mut text = Vec::new();
    opened
        .read_to_end(&mut text)
        .map_err(StackError::io("read", file))?;
    serde_json::from_slice(&text)
        .map(Some)
        .map_err(|error| StackError::Broken {
            file: file.to_owned(),
            error,
        })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn folder() -> (tempfile::TempDir, Folder) {
        let base = tempfile::tempdir().unwrap();
        let folder = Folder::new(base.path().join("deep/stack"));
        (base, folder)
    }

    #[test]
    fn one_server_at_a_time() {
        let (_base, folder) = folder();
        assert_eq!(folder.server().unwrap(), None);
        let lock = folder.lock().unwrap();
        let own = i32::try_from(std::process::id()).unwrap();
        assert_eq!(folder.server().unwrap(), Some(own));
        let error = folder.lock().unwrap_err();
        assert!(matches!(error, StackError::Held { pid, .. } if pid == own));
        drop(lock);
        assert_eq!(folder.server().unwrap(), None);
        folder.lock().unwrap();
    }

    #[test]
    fn keys_are_made_once_and_are_the_owners_alone() {
        let (_base, folder) = folder();
        folder.create().unwrap();
        let made = folder.secrets_or_new().unwrap();
        let found = folder.secrets_or_new().unwrap();
        assert_eq!(made.pair.secret_access_key, found.pair.secret_access_key);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&folder.path().join("keys.json")), 0o600);
        assert_eq!(mode(folder.path()), 0o700);
    }

    #[test]
    fn another_format_is_refused() {
        let (_base, folder) = folder();
        folder.create().unwrap();
        assert!(folder.description().unwrap().is_none());
        folder.describe(&Description::new(4, None)).unwrap();
        assert_eq!(folder.description().unwrap().unwrap().port, 4);
        fs::write(folder.stack_json(), r#"{"format": 7}"#).unwrap();
        let error = folder.description().unwrap_err().to_string();
        assert!(error.contains("has format 7"), "{error}");
        fs::write(folder.stack_json(), "{").unwrap();
        assert!(matches!(
            folder.description().unwrap_err(),
            StackError::Broken { .. }
        ));
    }
}
