//! The two packages that upstream's code needs in the container, when the image lacks them.

use std::{
    path::Path,
    process::{Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use model::layout::Stream;

use crate::{
    capture::Capture,
    console::Console,
    environment::Environment,
    process::{Ending, Supervisor},
};

/// Exits with 0 when nothing need be installed. Looks for the packages without importing them:
/// that would cost seconds.
const PROBE: &str = "import importlib.util as u,sys;\
     sys.exit(any(u.find_spec(m) is None for m in ('boto3','requests')))";

/// Upstream's own command (`_get_install_dependencies_cmd`, metaflow/metaflow_environment.py).
const PIP: [&str; 8] = [
    "-m",
    "pip",
    "install",
    "-qqq",
    "--no-compile",
    "--no-cache-dir",
    "--disable-pip-version-check",
    "boto3",
];
/// Upstream's switch.
const SKIP: &str = "METAFLOW_SKIP_INSTALL_DEPENDENCIES";
/// Longest part of pip's complaint that is repeated, in bytes.
const COMPLAINT: usize = 2000;

/// The packages are not there.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InstallError {
    /// pip cannot be started.
    #[error("failed to start pip")]
    Start(#[from] std::io::Error),
    /// pip failed.
    #[error(
        "`python -m pip install boto3 requests` failed ({ending}): use an image that has them, \
         or let the container reach a package index. pip says: {complaint}"
    )]
    Failed {
        /// How it ended.
        ending: String,
        /// The end of what it wrote.
        complaint: String,
    },
}

/// Installs what is missing.
pub(crate) fn install(
    python: &Path,
    environment: &Environment,
    console: &Arc<Console>,
    supervisor: &Supervisor<'_>,
    limit: Option<Instant>,
) -> Result<(), InstallError> {
    if environment.text(SKIP).is_some() {
        return Ok(());
    }
    let command = |arguments: &[&str]| {
        let mut command = Command::new(python);
        command
            .args(arguments)
            .env_clear()
            .envs(&environment.variables)
            .current_dir(&environment.working_directory)
            .stdin(Stdio::null());
        command
    };
    let mut probe = command(&["-c", PROBE]);
    probe.stdout(Stdio::null()).stderr(Stdio::null());
    let probed = supervisor.run(&mut probe, limit, |_| Ok(Vec::new()), || ())?;
    if probed.is_success() {
        return Ok(());
    }
    let complaint = Arc::new(Mutex::new(Vec::new()));
    let mut pip = command(&PIP);
    pip.arg("requests")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let ending = supervisor.run(
        &mut pip,
        limit,
        |child| {
            let capture = |stream| {
                let (console, complaint) = (Arc::clone(console), Arc::clone(&complaint));
                move |bytes: &[u8]| {
                    console.write(stream, bytes);
                    keep_end(
                        &mut complaint.lock().unwrap_or_else(PoisonError::into_inner),
                        bytes,
                    );
                }
            };
            let mut captures = Vec::new();
            if let Some(pipe) = child.stdout.take() {
                captures.push(Capture::start(pipe, capture(Stream::Stdout))?);
            }
            if let Some(pipe) = child.stderr.take() {
                captures.push(Capture::start(pipe, capture(Stream::Stderr))?);
            }
            Ok(captures)
        },
        || (),
    )?;
    if ending.is_success() {
        return Ok(());
    }
    let complaint = complaint.lock().unwrap_or_else(PoisonError::into_inner);
    Err(InstallError::Failed {
        ending: Ending::to_string(&ending),
        complaint: String::from_utf8_lossy(&complaint).trim().to_owned(),
    })
}

fn keep_end(kept: &mut Vec<u8>, bytes: &[u8]) {
    kept.extend_from_slice(bytes);
    let surplus = kept.len().saturating_sub(COMPLAINT);
    kept.drain(..surplus);
}
