//! Elsewhere: no cgroups, and no process adopts the task's orphans.

use std::{
    io,
    process::{Child, ExitStatus},
};

use nix::unistd::Pid;

use super::Memory;

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

/// Not known here.
pub(crate) fn memory() -> Memory {
    Memory::default()
}
