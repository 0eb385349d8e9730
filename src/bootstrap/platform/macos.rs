//! Elsewhere: no cgroups, and no process adopts the task's orphans.

use std::{
    io,
    process::{Child, ExitStatus},
};

use nix::unistd::Pid;

use super::Counters;

/// There is no subreaper here.
pub(crate) fn adopt_orphans() {}

/// Waits for the child's end, then calls `end_group`. The group's id could be somebody else's
/// by then, if every process id was used in between.
pub(crate) fn wait(child: &mut Child, end_group: impl FnOnce()) -> io::Result<ExitStatus> {
    let status = child.wait();
    end_group();
    status
}

/// Orphans go to launchd.
pub(crate) fn reap_orphans(_ours: Pid) {}

/// There are none here.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cgroup;

impl Cgroup {
    /// Nothing.
    pub(crate) fn of_process() -> Self {
        Self
    }

    /// Not known here.
    #[expect(clippy::unused_self, reason = "as on Linux")]
    pub(crate) fn counters(&self) -> Counters {
        Counters::default()
    }
}
