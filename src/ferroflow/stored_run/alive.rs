//! Whether the launcher of a run is still there.

use std::fs;

use model::run_record::Launcher;
use nix::{sys::signal::kill, unistd::Pid};

use crate::engine::host_name;

/// What can be said of a launcher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Launched {
    /// It runs on this machine.
    Here,
    /// It ran on this machine and does not any more.
    Gone,
    /// It runs, or ran, on another machine.
    Elsewhere,
}

/// Looks for the launcher's process.
pub(crate) fn look(launcher: &Launcher) -> Launched {
    process(&launcher.host, launcher.pid)
}

/// Looks for an engine's process on a machine.
pub(crate) fn process(host: &str, pid: u32) -> Launched {
    if host != host_name() {
        return Launched::Elsewhere;
    }
    let pid = pid.cast_signed();
    // Another user's process answers EPERM.
    let is_there = pid > 0 && kill(Pid::from_raw(pid), None) != Err(nix::errno::Errno::ESRCH);
    if is_there && may_be_engine(pid) {
        Launched::Here
    } else {
        Launched::Gone
    }
}

/// Whether a process is an engine, and not another that has got its number. True where that cannot be seen.
fn may_be_engine(pid: i32) -> bool {
    fs::read(format!("/proc/{pid}/cmdline")).map_or(true, |words| {
        words.split(|&b| b == 0).nth(1) == Some(b"engine")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_another_process_has_is_no_launcher() {
        let mut launcher = Launcher {
            host: host_name(),
            pid: std::process::id(),
            ferroflow: String::new(),
            metaflow: String::new(),
            python: String::new(),
        };
        if cfg!(target_os = "linux") {
            assert_eq!(look(&launcher), Launched::Gone);
        }
        launcher.host.push_str(".elsewhere");
        assert_eq!(look(&launcher), Launched::Elsewhere);
    }
}
