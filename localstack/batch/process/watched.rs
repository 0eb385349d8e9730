//! A process of a job, while it runs and when it ends.

use std::{
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    process::ExitStatus,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use nix::sys::signal::Signal;
use tokio::{net::unix::pipe, process::Child, task::JoinHandle};

use super::{
    super::event::Process,
    MemoryWatch,
    table::{kill_rest, signal},
};
use crate::logs::{StreamWriter, copy_lines};

/// How long output is waited for after all processes are dead.
const LAST_OUTPUT: Duration = Duration::from_secs(5);

/// A process that runs.
#[derive(Debug)]
pub(in crate::batch) struct Job {
    pub(in crate::batch) process: Process,
    child: Child,
    /// Id of the job.
    owner: String,
    root: PathBuf,
    status: Option<ExitStatus>,
    output: JoinHandle<()>,
    memory: Arc<MemoryWatch>,
    exceeded: Arc<AtomicBool>,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::batch) struct Ended {
    /// As Docker counts: the exit code, or 128 and the signal.
    pub(in crate::batch) code: i32,
    pub(in crate::batch) killed: Killed,
}

/// Whether the memory limit ended a process of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::batch) enum Killed {
    No,
    ForMemory,
}

impl Job {
    #[expect(clippy::too_many_arguments, reason = "all that a running process has")]
    pub(super) fn new(
        child: Child,
        process: Process,
        owner: String,
        root: PathBuf,
        output: pipe::Receiver,
        writer: StreamWriter,
        memory: &Arc<MemoryWatch>,
        limit: u64,
    ) -> Self {
        Self {
            process,
            child,
            owner,
            root,
            status: None,
            output: tokio::spawn(copy_lines(output, writer)),
            exceeded: memory.watch(process, limit),
            memory: Arc::clone(memory),
        }
    }

    /// Waits for the end of the process itself.
    pub(in crate::batch) async fn exited(&mut self) {
        if self.status.is_none() {
            self.status = self.child.wait().await.ok();
        }
    }

    /// SIGTERM to the process itself, as `docker stop` sends it.
    pub(in crate::batch) fn terminate(&self) {
        if self.status.is_none() {
            signal(self.process.pid, Signal::SIGTERM);
        }
    }

    /// Ends it, and all that it left behind, as the end of a container does.
    pub(in crate::batch) async fn end(mut self) -> Ended {
        if self.status.is_none() {
            let _ = self.child.start_kill();
            self.exited().await;
        }
        self.memory.forget(self.process);
        let (process, owner, root) = (self.process, self.owner, self.root);
        let cleaned = tokio::task::spawn_blocking(move || {
            kill_rest(process, &owner);
            if let Err(error) = std::fs::remove_dir_all(&root) {
                tracing::warn!(%error, folder = %root.display(), "the folder of a job cannot be removed");
            }
        });
        let _ = cleaned.await;
        if tokio::time::timeout(LAST_OUTPUT, &mut self.output)
            .await
            .is_err()
        {
            self.output.abort();
        }
        let status = self.status;
        let signalled = status
            .and_then(|status| status.signal())
            .map(|signal| 128 + signal);
        let killed = if self.exceeded.load(Ordering::Relaxed) {
            Killed::ForMemory
        } else {
            Killed::No
        };
        Ended {
            code: status
                .and_then(|status| status.code())
                .or(signalled)
                .unwrap_or(137),
            killed,
        }
    }
}
