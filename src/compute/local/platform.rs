//! What differs between operating systems when a process is started or signalled.

use tokio::process::Command;

/// Makes the child the leader of its own process group, and on Linux lets the kernel kill it when
/// the engine dies. Elsewhere the child outlives a killed engine until it next writes to its pipe.
#[cfg_attr(
    target_os = "linux",
    expect(unsafe_code, reason = "pre_exec is unsafe; prctl is async-signal-safe")
)]
pub(super) fn own_group_and_parent_death(command: &mut Command) {
    command.process_group(0);
    #[cfg(target_os = "linux")]
    // SAFETY: between fork and exec only prctl(2) and getppid(2) are called; neither allocates.
    unsafe {
        let engine = std::process::id();
        command.pre_exec(move || {
            nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)?;
            if nix::unistd::getppid().as_raw().cast_unsigned() != engine {
                return Err(std::io::Error::from_raw_os_error(nix::libc::ESRCH));
            }
            Ok(())
        });
    }
}
