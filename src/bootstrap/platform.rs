//! What differs between operating systems: one file for each, with the same functions.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(target_os = "linux"))]
mod macos;
mod signal_mask;

#[cfg(target_os = "linux")]
pub(crate) use linux::{adopt_orphans, memory, reap_orphans, wait};
#[cfg(not(target_os = "linux"))]
pub(crate) use macos::{adopt_orphans, memory, reap_orphans, wait};
pub(crate) use signal_mask::unblock_signals;

/// What the kernel knows about the container's memory.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Memory {
    /// Processes killed for want of memory.
    pub(crate) oom_kills: u64,
    /// Highest use in bytes, where it is known.
    pub(crate) peak: Option<u64>,
}
