//! Linux: subreaper, orphans, and memory by cgroup.

use std::{
    fs, io,
    path::PathBuf,
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

use super::Memory;

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

/// The memory figures of the container's cgroup, version 2 or 1.
pub(crate) fn memory() -> Memory {
    Memory {
        oom_kills: read(&["memory.events"], &["memory.oom_control"])
            .and_then(|text| field(&text, "oom_kill"))
            .unwrap_or(0),
        peak: read(&["memory.peak"], &["memory.max_usage_in_bytes"])
            .and_then(|text| text.trim().parse().ok()),
    }
}

/// The first file that exists: below the cgroup that the process names, or below the root of
/// the mount, which is the container's own where it has a cgroup namespace.
fn read(version_2: &[&str], version_1: &[&str]) -> Option<String> {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let mut candidates: Vec<PathBuf> = Vec::new();
    for (controller, mount, names) in [
        ("", "/sys/fs/cgroup", version_2),
        ("memory", "/sys/fs/cgroup/memory", version_1),
    ] {
        let group = group_of(&groups, controller).unwrap_or("/");
        for name in names {
            candidates.push(format!("{mount}{group}/{name}").into());
            candidates.push(format!("{mount}/{name}").into());
        }
    }
    candidates
        .iter()
        .find_map(|path| fs::read_to_string(path).ok())
}

/// The path of the process's group in a hierarchy, from lines `id:controllers:path`.
fn group_of<'a>(groups: &'a str, controller: &str) -> Option<&'a str> {
    groups.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?);
        controllers
            .split(',')
            .any(|name| name == controller)
            .then_some(path)
    })
}

fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(' ')?;
        (key == name).then(|| value.trim().parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cgroup_files_are_read() {
        let groups = "12:cpu,cpuacct:/a\n5:memory:/docker/x\n0::/system.slice/y\n";
        assert_eq!(group_of(groups, "memory"), Some("/docker/x"));
        assert_eq!(group_of(groups, ""), Some("/system.slice/y"));
        assert_eq!(group_of("", "memory"), None);
        let events = "low 0\noom 3\noom_kill 2\noom_group_kill 1\n";
        assert_eq!(field(events, "oom_kill"), Some(2));
    }
}
