//! Which processes belong to a job: its session, what descends from that, and what left both and still has the job's id in
//! its environment.

use std::collections::{HashMap, HashSet};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{super::event::Process, platform};

/// Rounds of looking and killing: what is killed may have started more.
const ROUNDS: usize = 20;

/// A process that runs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    pub(super) pid: i32,
    pub(super) parent: i32,
    /// Its session, or what stands for it.
    pub(super) group: i32,
    pub(super) started: u64,
    /// Resident, in bytes.
    pub(super) memory: u64,
    pub(super) is_zombie: bool,
}

/// The processes of a job that are in its session or descend from one that is.
pub(super) fn members(rows: &[Row], leader: Process) -> Vec<Row> {
    let newer = rows
        .iter()
        .filter(|row| row.started >= leader.started && !row.is_zombie);
    let mut found: HashSet<i32> = HashSet::new();
    let mut members: Vec<Row> = Vec::new();
    let mut children: HashMap<i32, Vec<Row>> = HashMap::new();
    for row in newer {
        children.entry(row.parent).or_default().push(*row);
        if row.group == leader.pid && found.insert(row.pid) {
            members.push(*row);
        }
    }
    descend(&children, &mut found, &mut members);
    members
}

fn descend(children: &HashMap<i32, Vec<Row>>, found: &mut HashSet<i32>, members: &mut Vec<Row>) {
    let mut next = 0;
    while let Some(member) = members.get(next).copied() {
        next += 1;
        for child in children.get(&member.pid).into_iter().flatten() {
            if found.insert(child.pid) {
                members.push(*child);
            }
        }
    }
}

/// Processes that left the job's session and have lost their parents, known by the job's id.
fn strays(rows: &[Row], leader: Process, job_id: &str) -> Vec<Row> {
    let started: HashMap<i32, u64> = rows.iter().map(|row| (row.pid, row.started)).collect();
    let own = std::process::id().cast_signed();
    let marker = format!("AWS_BATCH_JOB_ID={job_id}");
    let is_orphan = |row: &&Row| {
        let parent = started.get(&row.parent).copied();
        row.started >= leader.started
            && !row.is_zombie
            && row.parent != own
            && parent.is_none_or(|parent| parent < leader.started || row.parent == 1)
    };
    let orphans = rows.iter().filter(is_orphan);
    orphans
        .filter(|row| platform::has_variable(row.pid, &marker))
        .copied()
        .collect()
}

/// Kills what is left of a job. Reads the process table: not for an async task.
pub(super) fn kill_rest(leader: Process, job_id: &str) {
    for _ in 0..ROUNDS {
        let rows = platform::processes();
        let mut left = members(&rows, leader);
        left.extend(strays(&rows, leader, job_id));
        if left.is_empty() {
            return;
        }
        for row in left {
            signal(row.pid, Signal::SIGKILL);
        }
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    tracing::warn!(job.id = job_id, "processes of the job cannot be killed");
}

/// Kills what an earlier stack left of a job. The number of its first process may have gone to a stranger, who has then
/// another start; without that process, what has the job's id in its environment is the job's.
pub(in crate::batch) fn sweep(leader: Option<Process>, job_id: &str) {
    let alive = leader.filter(|leader| {
        let row = platform::process(leader.pid);
        row.is_some_and(|row| row.started == leader.started)
    });
    if let Some(leader) = alive {
        kill_rest(leader, job_id);
    }
    let marker = format!("AWS_BATCH_JOB_ID={job_id}");
    for row in platform::processes() {
        if platform::has_variable(row.pid, &marker) {
            signal(row.pid, Signal::SIGKILL);
        }
    }
}

/// A signal to one process; that it is gone is all right.
pub(super) fn signal(pid: i32, signal: Signal) {
    let _ = kill(Pid::from_raw(pid), signal);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(pid: i32, parent: i32, group: i32, started: u64) -> Row {
        Row {
            pid,
            parent,
            group,
            started,
            memory: 0,
            is_zombie: false,
        }
    }

    #[test]
    fn a_job_is_its_session_and_all_that_descends_from_it() {
        let rows = [
            row(1, 0, 1, 0),
            row(10, 5, 10, 100),
            row(11, 10, 10, 101),
            row(12, 11, 12, 102),
            row(13, 12, 13, 103),
            row(14, 1, 10, 104),
            row(20, 5, 20, 100),
            row(21, 1, 21, 105),
        ];
        let leader = Process {
            pid: 10,
            started: 100,
        };
        let mut pids: Vec<i32> = members(&rows, leader).iter().map(|row| row.pid).collect();
        pids.sort_unstable();
        assert_eq!(pids, [10, 11, 12, 13, 14]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_sweep_kills_what_is_the_jobs_and_no_stranger() {
        use std::process::Command;

        let sleep = |id: &str| {
            Command::new("sleep")
                .arg("300")
                .env("AWS_BATCH_JOB_ID", id)
                .spawn()
                .unwrap()
        };
        let mut own = sleep("sweep-test-1");
        let mut stranger = sleep("sweep-test-2");
        let pid = stranger.id().cast_signed();
        let row = |pid: u32| platform::process(pid.cast_signed());
        let ready = |pid: u32, id: &str| {
            platform::has_variable(pid.cast_signed(), &format!("AWS_BATCH_JOB_ID={id}"))
        };
        while !ready(own.id(), "sweep-test-1") || !ready(stranger.id(), "sweep-test-2") {
            std::thread::yield_now();
        }
        let started = row(stranger.id()).unwrap().started - 1;
        sweep(Some(Process { pid, started }), "sweep-test-1");
        assert!(!own.wait().unwrap().success());
        assert!(stranger.try_wait().unwrap().is_none());
        let started = row(stranger.id()).unwrap().started;
        sweep(Some(Process { pid, started }), "sweep-test-2");
        assert!(!stranger.wait().unwrap().success());
    }

    #[test]
    fn an_older_process_with_the_same_number_is_a_stranger() {
        let leader = Process {
            pid: 10,
            started: 100,
        };
        assert!(members(&[row(10, 1, 10, 50), row(11, 10, 10, 51)], leader).is_empty());
    }
}
