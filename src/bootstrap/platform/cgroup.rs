//! What the kernel counts for the container: files of its cgroup, version 2 or 1.
//!
//! A process of a machine, as on the embedded stack, is in a cgroup with others, whose figures are not the task's. The
//! group is the container's own where nobody is in it when the bootstrap starts but itself and those that started it.

use std::{
    fs,
    path::{Path, PathBuf},
    process,
    time::Duration,
};

use super::Counters;

const MOUNT: &str = "/sys/fs/cgroup";

/// From here on a limit of version 1 means that there is none.
const NO_LIMIT: u64 = 1 << 60;

/// Processes above this one that are looked at.
const MAX_ANCESTORS: usize = 64;

/// The container's cgroup.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cgroup {
    memory: Option<Folder>,
    cpu: Option<Folder>,
}

/// Where files of a controller are.
#[derive(Debug, Clone)]
struct Folder {
    path: PathBuf,
    version: Version,
    is_own: bool,
}

#[derive(Debug, Clone, Copy)]
enum Version {
    One,
    Two,
}

impl Cgroup {
    /// That of this process.
    pub(crate) fn of_process() -> Self {
        let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        Self::find(Path::new(MOUNT), &groups, &family())
    }

    /// `groups` is `/proc/self/cgroup`; `family` are this process and those above it.
    fn find(mount: &Path, groups: &str, family: &[i32]) -> Self {
        let folder = |controller: &str, of_two: &str, of_one: &str| {
            let two = candidates(mount, groups, "").map(|path| (path, Version::Two, of_two));
            let of_controller = mount.join(controller);
            let one = candidates(&of_controller, groups, controller)
                .map(|path| (path, Version::One, of_one));
            let (path, version, _) = two
                .into_iter()
                .chain(one)
                .find(|(path, _, file)| path.join(file).exists())?;
            Some(Folder {
                is_own: is_own(&path, family),
                path,
                version,
            })
        };
        Self {
            memory: folder("memory", "memory.events", "memory.oom_control"),
            cpu: folder("cpuacct", "cpu.stat", "cpuacct.usage"),
        }
    }

    /// The counters as they are now.
    pub(crate) fn counters(&self) -> Counters {
        let own = |folder: &Option<Folder>, two: &str, one: &str| {
            let folder = folder.as_ref().filter(|folder| folder.is_own)?;
            folder.read(two, one)
        };
        let memory = |two, one| own(&self.memory, two, one).and_then(|text| number(&text));
        let any = self.memory.as_ref();
        let kills = any.and_then(|memory| memory.read("memory.events", "memory.oom_control"));
        let limit = memory("memory.max", "memory.limit_in_bytes");
        Counters {
            oom_kills: kills.and_then(|text| field(&text, "oom_kill")).unwrap_or(0),
            peak_memory: memory("memory.peak", "memory.max_usage_in_bytes"),
            memory_limit: limit.filter(|limit| *limit < NO_LIMIT),
            cpu: own(&self.cpu, "cpu.stat", "cpuacct.usage").and_then(|text| cpu(&text)),
        }
    }
}

impl Folder {
    fn read(&self, two: &str, one: &str) -> Option<String> {
        let file = match self.version {
            Version::Two => two,
            Version::One => one,
        };
        fs::read_to_string(self.path.join(file)).ok()
    }
}

/// The group that the process names, and the root of the mount, which is the container's own where it has a cgroup
/// namespace.
fn candidates(mount: &Path, groups: &str, controller: &str) -> [PathBuf; 2] {
    let group = group_of(groups, controller).unwrap_or("/");
    [
        mount.join(group.trim_start_matches('/')),
        mount.to_path_buf(),
    ]
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

fn is_own(folder: &Path, family: &[i32]) -> bool {
    let members = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    // Processes of other namespaces are shown as 0.
    let mut members = members
        .lines()
        .map(|line| line.trim().parse().unwrap_or(0))
        .peekable();
    members.peek().is_some() && members.all(|pid| family.contains(&pid))
}

/// This process and those above it, as far as they can be seen.
fn family() -> Vec<i32> {
    let mut family = vec![process::id().cast_signed()];
    while let Some(pid) = family.last().copied().and_then(parent) {
        if pid <= 0 || family.len() > MAX_ANCESTORS {
            break;
        }
        family.push(pid);
    }
    family
}

/// The fourth field of proc_pid_stat(5), after the name in parentheses, which may have any character.
fn parent(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(1)?.parse().ok()
}

/// `max` is none.
fn number(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

/// Microseconds in a line of version 2, or version 1's nanoseconds.
fn cpu(text: &str) -> Option<Duration> {
    let of_two = field(text, "usage_usec").map(Duration::from_micros);
    of_two.or_else(|| number(text).map(Duration::from_nanos))
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

    const FAMILY: [i32; 2] = [7, 1];

    fn mount(files: &[(&str, &str)]) -> tempfile::TempDir {
        let mount = tempfile::tempdir().unwrap();
        for (path, content) in files {
            let path = mount.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        mount
    }

    fn counters(files: &[(&str, &str)], groups: &str) -> Counters {
        let mount = mount(files);
        Cgroup::find(mount.path(), groups, &FAMILY).counters()
    }

    #[test]
    fn version_2_is_read() {
        let files = [
            ("cgroup.procs", "1\n7\n"),
            (
                "memory.events",
                "low 0\noom 3\noom_kill 2\noom_group_kill 1\n",
            ),
            ("memory.peak", "4288675840\n"),
            ("memory.max", "4294967296\n"),
            ("cpu.stat", "usage_usec 2500000\nuser_usec 2000000\n"),
        ];
        let all = Counters {
            oom_kills: 2,
            peak_memory: Some(4_288_675_840),
            memory_limit: Some(4_294_967_296),
            cpu: Some(Duration::from_millis(2_500)),
        };
        assert_eq!(counters(&files, "0::/\n"), all);
        // Without a namespace the process names a path that the mount does not have.
        assert_eq!(counters(&files, "0::/system.slice/docker-1.scope\n"), all);
        let unlimited = [&files[..], &[("memory.max", "max\n")]].concat();
        assert_eq!(counters(&unlimited, "0::/\n").memory_limit, None);
    }

    #[test]
    fn version_1_is_read() {
        let group = "12:cpu,cpuacct:/a\n5:memory:/docker/x\n1:name=systemd:/docker/x\n0::/\n";
        let files = [
            ("memory/docker/x/cgroup.procs", "7\n"),
            (
                "memory/docker/x/memory.oom_control",
                "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n",
            ),
            ("memory/docker/x/memory.max_usage_in_bytes", "1048576\n"),
            (
                "memory/docker/x/memory.limit_in_bytes",
                "9223372036854771712\n",
            ),
            ("cpuacct/cgroup.procs", "7\n"),
            ("cpuacct/cpuacct.usage", "1500000000\n"),
        ];
        let all = Counters {
            oom_kills: 1,
            peak_memory: Some(1 << 20),
            memory_limit: None,
            cpu: Some(Duration::from_millis(1_500)),
        };
        assert_eq!(counters(&files, group), all);
    }

    #[test]
    fn figures_of_a_group_with_others_are_not_the_containers() {
        for members in ["1\n7\n8\n", "0\n7\n", ""] {
            let files = [
                ("cgroup.procs", members),
                ("memory.events", "oom_kill 2\n"),
                ("memory.peak", "4288675840\n"),
                ("memory.max", "4294967296\n"),
                ("cpu.stat", "usage_usec 2500000\n"),
            ];
            let kills_alone = Counters {
                oom_kills: 2,
                ..Counters::default()
            };
            assert_eq!(counters(&files, "0::/\n"), kills_alone, "{members:?}");
        }
        assert_eq!(counters(&[], ""), Counters::default());
    }

    #[test]
    fn a_process_has_those_above_it() {
        let family = family();
        let parent = std::os::unix::process::parent_id().cast_signed();
        assert_eq!(family[..2], [process::id().cast_signed(), parent]);
        assert!(family.len() <= MAX_ANCESTORS + 1);
    }
}
