//! What the task used of the machine.

use std::time::Duration;

use model::spec::GpuUsage;
use nix::sys::{
    resource::{Usage as Resources, UsageWho, getrusage},
    time::TimeValLike,
};

use crate::{
    environment::Environment,
    gpu::GpuWatch,
    platform::{Cgroup, Counters},
    settings::Settings,
};

/// Counts from the moment when it was made.
#[derive(Debug)]
pub(crate) struct Meter {
    cgroup: Cgroup,
    /// The counters at the beginning.
    before: Counters,
    /// The children's CPU time then.
    children: Duration,
    gpu: Option<GpuWatch>,
}

/// What was used since a [`Meter`] was made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Used {
    /// Processes killed for want of memory.
    pub(crate) oom_kills: u64,
    /// Highest memory use in bytes since the container began; 0 if not known.
    pub(crate) peak_memory: u64,
    /// The container's memory limit in bytes; 0 if not known.
    pub(crate) memory_limit: u64,
    /// CPU seconds of the container, or of children that have ended.
    pub(crate) cpu_seconds: f64,
    /// What was seen of GPUs.
    pub(crate) gpu: Option<GpuUsage>,
}

impl Meter {
    /// Begins to count. Must be made before the step has started anything.
    pub(crate) fn start(environment: &Environment, settings: &Settings) -> Self {
        let cgroup = Cgroup::of_process();
        Self {
            before: cgroup.counters(),
            cgroup,
            children: children().map_or(Duration::ZERO, |usage| cpu(&usage)),
            gpu: GpuWatch::start(environment, settings.gpu_interval),
        }
    }

    /// What was used since.
    pub(crate) fn used(&self) -> Used {
        let (before, now) = (&self.before, self.cgroup.counters());
        let usage = children();
        let largest_child = usage.map_or(0, |usage| resident(usage.max_rss()));
        let of_children = usage.map_or(Duration::ZERO, |usage| cpu(&usage));
        let spent = match (before.cpu, now.cpu) {
            (Some(before), Some(now)) => now.saturating_sub(before),
            _ => of_children.saturating_sub(self.children),
        };
        Used {
            oom_kills: now.oom_kills.saturating_sub(before.oom_kills),
            peak_memory: now.peak_memory.unwrap_or(largest_child),
            memory_limit: now.memory_limit.unwrap_or(0),
            cpu_seconds: spent.as_secs_f64(),
            gpu: self.gpu.as_ref().and_then(GpuWatch::seen),
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
