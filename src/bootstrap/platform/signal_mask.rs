//! The one unsafe call of this crate, the same on every Unix.

use std::{os::unix::process::CommandExt, process::Command};

use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};

/// Lets the child start with no signal blocked, though the bootstrap's own threads block some.
#[expect(
    unsafe_code,
    reason = "pre_exec is unsafe; sigprocmask is async-signal-safe"
)]
pub(crate) fn unblock_signals(command: &mut Command) {
    // SAFETY: between fork and exec only sigprocmask(2) is called, on a set made before.
    unsafe {
        let none = SigSet::empty();
        command.pre_exec(move || {
            sigprocmask(SigmaskHow::SIG_SETMASK, Some(&none), None).map_err(Into::into)
        });
    }
}
