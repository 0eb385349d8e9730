//! The engine process: connects to its host and drives the run.

use std::{
    os::fd::{FromRawFd, OwnedFd, RawFd},
    process::ExitCode,
};

use anyhow::{Context, Result, bail};
use compute::host::Host;
use nix::{
    fcntl::{FcntlArg, FdFlag, fcntl},
    unistd::Pid,
};

use crate::{drive::Driver, store};

/// Runs the engine on the inherited socket. Exit code 0 says that the run's fate was told to
/// the host, whatever it was.
pub(crate) fn run(fd: RawFd) -> Result<ExitCode> {
    let socket = inherited(fd)?;
    // Signals of the terminal reach the host, which forwards them.
    let _ = nix::unistd::setpgid(Pid::from_raw(0), Pid::from_raw(0));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the engine's event loop")?;
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let (host, session, events) = Host::connect(socket).await?;
        tracing::info!(
            metaflow = session.hello.metaflow,
            python = session.hello.python,
            run = %session.plan.run,
            "took over the run"
        );
        let store = store::open(&session.plan.datastore)?;
        Driver::new(*session.plan, host, events, store)?
            .run()
            .await?;
        Ok(ExitCode::SUCCESS)
    })
}

#[expect(unsafe_code, reason = "an inherited descriptor is named by its number")]
fn inherited(fd: RawFd) -> Result<OwnedFd> {
    if fd <= 2 {
        bail!("--fd {fd} names a standard stream\nhint: this verb is for the flow host only");
    }
    // SAFETY: the host made this descriptor for this process alone; nothing else here uses it.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    // Tasks must not inherit it: the host would not see the engine's end.
    fcntl(&socket, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))
        .with_context(|| format!("--fd {fd} is not an open descriptor"))?;
    Ok(socket)
}
