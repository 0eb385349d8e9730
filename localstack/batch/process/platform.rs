//! What differs between operating systems.

use nix::unistd::setsid;
use tokio::process::Command;

use super::super::job::Needs;
use super::table::Row;

/// Gives the child a session of its own and, on Linux, lets the kernel kill it when the stack dies.
#[expect(
    unsafe_code,
    reason = "pre_exec is unsafe; setsid, prctl and getppid are async-signal-safe"
)]
pub(super) fn own_session_and_parent_death(command: &mut Command) {
    #[cfg(target_os = "linux")]
    let stack = std::process::id();
    // SAFETY: between fork and exec only setsid(2), prctl(2) and getppid(2) are called; none allocates.
    unsafe {
        command.pre_exec(move || {
            setsid()?;
            #[cfg(target_os = "linux")]
            {
                nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)?;
                if nix::unistd::getppid().as_raw().cast_unsigned() != stack {
                    return Err(std::io::Error::from_raw_os_error(nix::libc::ESRCH));
                }
            }
            Ok(())
        });
    }
}

/// What this machine has for jobs.
pub(in crate::batch) fn machine() -> Needs {
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as u64;
    Needs {
        milli_vcpus: cpus * 1000,
        memory_mib: memory_mib().unwrap_or(8192),
        gpus: gpus(),
    }
}

#[cfg(target_os = "linux")]
fn memory_mib() -> Option<u64> {
    let info = std::fs::read_to_string("/proc/meminfo").ok()?;
    let total = info
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    Some(
        total
            .trim()
            .strip_suffix("kB")?
            .trim()
            .parse::<u64>()
            .ok()?
            / 1024,
    )
}

#[cfg(not(target_os = "linux"))]
fn memory_mib() -> Option<u64> {
    let output = std::process::Command::new("/usr/sbin/sysctl")
        .args(["-n", "hw.memsize"])
        .output();
    let text = String::from_utf8(output.ok()?.stdout).ok()?;
    Some(text.trim().parse::<u64>().ok()? >> 20)
}

/// NVIDIA's devices.
fn gpus() -> u64 {
    let is_gpu = |name: &std::ffi::OsStr| {
        let number = name.to_str().and_then(|name| name.strip_prefix("nvidia"));
        number.is_some_and(|number| number.parse::<u32>().is_ok())
    };
    let devices = std::fs::read_dir("/dev").into_iter().flatten().flatten();
    devices.filter(|device| is_gpu(&device.file_name())).count() as u64
}

/// All processes that can be seen.
#[cfg(target_os = "linux")]
pub(super) fn processes() -> Vec<Row> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter_map(process).collect()
}

/// One process (proc_pid_stat(5)).
#[cfg(target_os = "linux")]
pub(super) fn process(pid: i32) -> Option<Row> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let field = |number: usize| fields.get(number - 3);
    Some(Row {
        pid,
        parent: field(4)?.parse().ok()?,
        group: field(6)?.parse().ok()?,
        started: field(22)?.parse().ok()?,
        memory: field(24)?.parse::<u64>().ok()? * 4096,
        is_zombie: *field(3)? == "Z",
    })
}

/// Memory of a process, pages that are shared counted in part.
#[cfg(target_os = "linux")]
pub(super) fn proportional_memory(pid: i32) -> Option<u64> {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let pss = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    Some(pss.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// Whether a process was started with this variable.
#[cfg(target_os = "linux")]
pub(super) fn has_variable(pid: i32, variable: &str) -> bool {
    let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    environment
        .split(|byte| *byte == 0)
        .any(|found| found == variable.as_bytes())
}

/// All processes that can be seen. There are no sessions to be seen here, so process groups stand for them.
#[cfg(not(target_os = "linux"))]
pub(super) fn processes() -> Vec<Row> {
    ps(&["-ax"])
}

/// One process.
#[cfg(not(target_os = "linux"))]
pub(super) fn process(pid: i32) -> Option<Row> {
    ps(&["-p", &pid.to_string()]).pop()
}

#[cfg(not(target_os = "linux"))]
fn ps(which: &[&str]) -> Vec<Row> {
    let mut command = std::process::Command::new("/bin/ps");
    command.args(which).env("LC_ALL", "C");
    let output = command
        .args(["-o", "pid=,ppid=,pgid=,rss=,state=,lstart="])
        .output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    text.unwrap_or_default().lines().filter_map(row).collect()
}

#[cfg(not(target_os = "linux"))]
fn row(line: &str) -> Option<Row> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let [pid, parent, group, memory, state, start @ ..] = fields.as_slice() else {
        return None;
    };
    let start = jiff::civil::DateTime::strptime("%a %b %d %H:%M:%S %Y", start.join(" ")).ok()?;
    let since = start
        .since(jiff::civil::date(1970, 1, 1).at(0, 0, 0, 0))
        .ok()?;
    let seconds = since.total(jiff::Unit::Second).ok()?;
    Some(Row {
        pid: pid.parse().ok()?,
        parent: parent.parse().ok()?,
        group: group.parse().ok()?,
        started: seconds as u64,
        memory: memory.parse::<u64>().ok()? * 1024,
        is_zombie: state.starts_with('Z'),
    })
}

/// Not to be had here.
#[cfg(not(target_os = "linux"))]
pub(super) fn proportional_memory(_: i32) -> Option<u64> {
    None
}

/// Not to be had here.
#[cfg(not(target_os = "linux"))]
pub(super) fn has_variable(_: i32, _: &str) -> bool {
    false
}
