//! What the task used of the machine.

use std::time::Duration;

use nix::sys::{
    resource::{Usage as Resources, UsageWho, getrusage},
    time::TimeValLike,
};

use crate::platform::{self, Memory};

/// The state of the counters at some moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Meter {
    memory: Memory,
    cpu: Duration,
}

/// What was used since a [`Meter`] was read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Used {
    /// Processes killed for want of memory.
    pub(crate) oom_kills: u64,
    /// Highest memory use in bytes, since the container began; 0 if not known.
    pub(crate) peak_memory: u64,
    /// CPU seconds of children that have ended.
    pub(crate) cpu_seconds: f64,
}

impl Meter {
    /// Reads the counters.
    pub(crate) fn read() -> Self {
        Self {
            memory: platform::memory(),
            cpu: children().map_or(Duration::ZERO, |usage| cpu(&usage)),
        }
    }

    /// What was used since.
    pub(crate) fn used(&self) -> Used {
        let now = Self::read();
        let largest_child = children().map_or(0, |usage| resident(usage.max_rss()));
        Used {
            oom_kills: now.memory.oom_kills.saturating_sub(self.memory.oom_kills),
            peak_memory: now.memory.peak.unwrap_or(largest_child),
            cpu_seconds: now.cpu.saturating_sub(self.cpu).as_secs_f64(),
        }
    }
}

fn children() -> Option<Resources> {
    getrusage(UsageWho::RUSAGE_CHILDREN).ok()
}

fn cpu(usage: &Resources) -> Duration {
    let microseconds =
        usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Duration::from_micros(microseconds.unsigned_abs())
}

/// Bytes of a `ru_maxrss`: macOS counts bytes, the others kilobytes.
fn resident(max_rss: i64) -> u64 {
    let unit = if cfg!(target_os = "macos") { 1 } else { 1024 };
    max_rss.unsigned_abs() * unit
}
