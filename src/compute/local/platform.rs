//! What differs between operating systems when a process is started or signalled.

use tokio::process::Command;

use super::open_files::OpenFiles;

/// Makes the child the leader of its own process group, with the limits that the engine was started with, and on Linux
/// lets the kernel kill it when the engine dies. Elsewhere the child outlives a killed engine until it next writes to its
/// pipe.
#[expect(
    unsafe_code,
    reason = "pre_exec is unsafe; what is called there is async-signal-safe"
)]
pub(super) fn prepare(command: &mut Command, open_files: Option<OpenFiles>) {
    command.process_group(0);
    #[cfg(target_os = "linux")]
    let engine = std::process::id();
    // SAFETY: between fork and exec only setrlimit(2), prctl(2) and getppid(2) are called; none allocates.
    unsafe {
        command.pre_exec(move || {
            if let Some(at_start) = open_files {
                at_start.restore()?;
            }
            #[cfg(target_os = "linux")]
            {
                nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)?;
                if nix::unistd::getppid().as_raw().cast_unsigned() != engine {
                    return Err(std::io::Error::from_raw_os_error(nix::libc::ESRCH));
                }
            }
            Ok(())
        });
    }
}
