//! Starting the process of a job.

use std::{
    collections::BTreeMap,
    fs, io,
    os::{fd::OwnedFd, unix::fs::PermissionsExt},
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
};

use tokio::{net::unix::pipe, process::Command};

use super::{
    super::{
        event::Process,
        run::{Order, Start},
        service::Shared,
    },
    environment::{Folders, environment},
    platform,
    watched::Job,
};
use crate::logs::StreamWriter;

/// A process did not come to be.
#[derive(Debug, thiserror::Error)]
pub(in crate::batch) enum StartError {
    /// The command cannot be started, in Docker's words.
    #[error("{0}")]
    Command(String),
    /// The machine does not do its part.
    #[error(transparent)]
    Machine(#[from] io::Error),
}

/// Starts a process of the job.
pub(in crate::batch) async fn start(
    shared: &Arc<Shared>,
    order: &Order,
    credentials: &[(String, String)],
    start: Start,
    writer: StreamWriter,
) -> Result<Job, StartError> {
    let name = format!(
        "{}-{}{}",
        order.job_id.replace(':', "-"),
        order.attempt,
        start.suffix()
    );
    let root = shared.context.folder.join("batch/jobs").join(name);
    let folders = make_folders(&root)?;
    let started = start_in(shared, order, credentials, &folders).await;
    let (child, output) = match started {
        Ok(started) => started,
        Err(error) => {
            let _ = fs::remove_dir_all(&root);
            return Err(error);
        }
    };
    let pid = child.id().unwrap_or_default().cast_signed();
    let started = platform::process(pid).map_or(0, |row| row.started);
    let process = Process { pid, started };
    let limit = order.needs.memory_mib << 20;
    Ok(Job::new(
        child,
        process,
        order.job_id.clone(),
        root,
        output,
        writer,
        &shared.memory,
        limit,
    ))
}

async fn start_in(
    shared: &Arc<Shared>,
    order: &Order,
    credentials: &[(String, String)],
    folders: &Folders,
) -> Result<(tokio::process::Child, pipe::Receiver), StartError> {
    let variables = environment(
        &shared.context,
        &shared.interpreters,
        order,
        credentials,
        folders,
    )?;
    let Some((program, arguments)) = order.command.split_first() else {
        let text = "CannotCreateContainerError: Error response from daemon: No command specified \
                    (jobs of the embedded stack have no image, which might bring one)";
        return Err(StartError::Command(text.to_owned()));
    };
    let found = find_program(program, &variables, &folders.work)?;
    let (output, input) = io::pipe()?;
    let mut command = Command::new(found);
    command
        .args(arguments)
        .env_clear()
        .envs(&variables)
        .current_dir(&folders.work)
        .stdin(Stdio::null())
        .stdout(input.try_clone()?)
        .stderr(input)
        .kill_on_drop(true);
    platform::own_session_and_parent_death(&mut command);
    let child = shared
        .starter
        .start(command)
        .await
        .map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::OutOfMemory => StartError::Machine(error),
            _ => cannot_start(program, &error.to_string()),
        })?;
    let output = pipe::Receiver::from_owned_fd(OwnedFd::from(output))?;
    Ok((child, output))
}

fn make_folders(root: &Path) -> io::Result<Folders> {
    let folders = Folders {
        work: root.join("work"),
        home: root.join("home"),
        temporary: root.join("tmp"),
    };
    for folder in [&folders.work, &folders.home, &folders.temporary] {
        fs::create_dir_all(folder)?;
    }
    fs::set_permissions(root, fs::Permissions::from_mode(0o700))?;
    Ok(folders)
}

fn find_program(
    program: &str,
    variables: &BTreeMap<String, String>,
    work: &Path,
) -> Result<PathBuf, StartError> {
    if program.contains('/') {
        let path = work.join(program);
        return match fs::metadata(&path) {
            Err(_) => Err(cannot_start(program, "no such file or directory")),
            Ok(_) if !is_executable(&path) => Err(cannot_start(program, "permission denied")),
            Ok(_) => Ok(path),
        };
    }
    let path = variables
        .get("PATH")
        .map(String::as_str)
        .unwrap_or_default();
    let mut candidates = std::env::split_paths(path).map(|folder| work.join(folder).join(program));
    let found = candidates.find(|candidate| is_executable(candidate));
    found.ok_or_else(|| cannot_start(program, "executable file not found in $PATH"))
}

/// Docker's words, shortened at their start so that the cause is within the 255 characters of a reason.
fn cannot_start(program: &str, cause: &str) -> StartError {
    StartError::Command(format!(
        "CannotStartContainerError: Error response from daemon: failed to create task for container: \
         unable to start container process: exec: \"{program}\": {cause}: unknown"
    ))
}

pub(super) fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}
