//! Lets the engine be no child of the flow host.
//!
//! Whoever ends a flow host by force ends its children, too: Metaflow's Runner sends SIGTERM to both and two seconds later
//! SIGKILL (metaflow/runner/subprocess_manager.py). The engine has to outlive that, until the jobs of the run are
//! terminated. So the host's child is a process that only waits for the engine, and tells how it ended.

use std::process::ExitCode;

use anyhow::{Context, Result};
use nix::{
    errno::Errno,
    sys::{
        signal::{SigHandler, Signal, raise, signal},
        wait::{WaitStatus, waitpid},
    },
    unistd::{ForkResult, Pid, fork},
};

/// Who goes on after [`step_aside`].
pub(crate) enum Side {
    /// The engine.
    Engine,
    /// The host's child, which [waits](Waiter::wait) for the engine.
    Waiter(Waiter),
}

/// The process that the host has started.
pub(crate) struct Waiter {
    engine: Pid,
}

/// Forks. To be called while this process has one thread.
#[expect(unsafe_code, reason = "fork is unsafe; this process has one thread")]
pub(crate) fn step_aside() -> Result<Side> {
    // SAFETY: there is no other thread, which might hold a lock that the new process needs.
    let side = match unsafe { fork() }.context("cannot start the engine's own process")? {
        ForkResult::Child => Side::Engine,
        ForkResult::Parent { child } => Side::Waiter(Waiter { engine: child }),
    };
    Ok(side)
}

impl Waiter {
    /// Ends as the engine does. What this process is sent meanwhile is no matter of its: the host decides.
    #[expect(
        unsafe_code,
        reason = "signal dispositions are changed by an unsafe call"
    )]
    pub(crate) fn wait(self) -> Result<ExitCode> {
        for ignored in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
            // SAFETY: to ignore a signal needs no handler.
            unsafe { signal(ignored, SigHandler::SigIgn) }.context("cannot ignore signals")?;
        }
        loop {
            match waitpid(self.engine, None) {
                Ok(WaitStatus::Exited(_, code)) => {
                    return Ok(ExitCode::from(code.to_le_bytes()[0]));
                }
                Ok(WaitStatus::Signaled(_, by, _)) => {
                    // SAFETY: the default is no handler either.
                    unsafe { signal(by, SigHandler::SigDfl) }.ok();
                    raise(by).with_context(|| format!("cannot end by {by}"))?;
                }
                Ok(_) | Err(Errno::EINTR) => {}
                Err(error) => return Err(error).context("cannot wait for the engine"),
            }
        }
    }
}
