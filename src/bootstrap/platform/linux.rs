//! Linux: subreaper and orphans.

use std::{
    io,
    process::{Child, ExitStatus},
};

use nix::{
    errno::Errno,
    sys::{
        prctl,
        wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid},
    },
    unistd::Pid,
};

/// Makes orphans of the task this process's children, as process 1 has them anyway.
pub(crate) fn adopt_orphans() {
    // Without it the container's init or the kernel looks after them.
    let _ = prctl::set_child_subreaper(true);
}

/// Waits for the child's end; `end_group` is called while the child's id is still taken, so
/// that the id of its group means nobody else.
pub(crate) fn wait(child: &mut Child, end_group: impl FnOnce()) -> io::Result<ExitStatus> {
    let pid = Pid::from_raw(child.id().cast_signed());
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
    while waitid(Id::Pid(pid), flags) == Err(Errno::EINTR) {}
    end_group();
    child.wait()
}

/// Reaps children that have ended, but for `ours`, which another thread waits for.
pub(crate) fn reap_orphans(ours: Pid) {
    let peek = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    while let Ok(WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, _, _)) =
        waitid(Id::All, peek)
    {
        if pid == ours || waitpid(pid, Some(WaitPidFlag::WNOHANG)).is_err() {
            return;
        }
    }
}
