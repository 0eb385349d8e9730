//! What differs between operating systems: one file for each, with the same functions.

use std::time::Duration;

#[cfg(target_os = "linux")]
mod cgroup;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(target_os = "linux"))]
mod macos;
mod signal_mask;

#[cfg(target_os = "linux")]
pub(crate) use cgroup::Cgroup;
#[cfg(target_os = "linux")]
pub(crate) use linux::{adopt_orphans, reap_orphans, wait};
#[cfg(not(target_os = "linux"))]
pub(crate) use macos::{Cgroup, adopt_orphans, reap_orphans, wait};
pub(crate) use signal_mask::unblock_signals;

/// What the kernel has counted for the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Counters {
    /// Processes killed for want of memory.
    pub(crate) oom_kills: u64,
    /// Highest memory use in bytes, where it is known.
    pub(crate) peak_memory: Option<u64>,
    /// Its memory limit in bytes, where it is known.
    pub(crate) memory_limit: Option<u64>,
    /// CPU time, user and system, where it is known.
    pub(crate) cpu: Option<Duration>,
}
