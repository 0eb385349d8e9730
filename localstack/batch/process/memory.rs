//! Memory limits: one look at the process table now and then, for all jobs together. As the kernel does for a container,
//! the largest process of a job that has too much is killed.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use nix::sys::signal::Signal;

use super::{
    super::event::Process,
    platform,
    table::{Row, members, signal},
};

const INTERVAL: Duration = Duration::from_millis(500);

/// All limits that are watched.
#[derive(Debug, Default)]
pub(in crate::batch) struct MemoryWatch {
    limits: Mutex<Limits>,
}

#[derive(Debug, Default)]
struct Limits {
    of_leader: HashMap<i32, Limit>,
    is_watched: bool,
}

#[derive(Debug, Clone)]
struct Limit {
    leader: Process,
    bytes: u64,
    exceeded: Arc<AtomicBool>,
}

impl MemoryWatch {
    fn limits(&self) -> MutexGuard<'_, Limits> {
        self.limits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Watches a job; the flag says later whether it had too much.
    pub(super) fn watch(self: &Arc<Self>, leader: Process, bytes: u64) -> Arc<AtomicBool> {
        let exceeded = Arc::new(AtomicBool::new(false));
        let limit = Limit {
            leader,
            bytes,
            exceeded: Arc::clone(&exceeded),
        };
        let mut limits = self.limits();
        limits.of_leader.insert(leader.pid, limit);
        if !limits.is_watched {
            limits.is_watched = true;
            tokio::spawn(Arc::clone(self).look());
        }
        exceeded
    }

    pub(super) fn forget(&self, leader: Process) {
        self.limits().of_leader.remove(&leader.pid);
    }

    /// Looks until there is nothing left to be watched.
    async fn look(self: Arc<Self>) {
        loop {
            tokio::time::sleep(INTERVAL).await;
            let limits: Vec<Limit> = {
                let mut limits = self.limits();
                if limits.of_leader.is_empty() {
                    limits.is_watched = false;
                    return;
                }
                limits.of_leader.values().cloned().collect()
            };
            let looked = tokio::task::spawn_blocking(move || enforce(&limits)).await;
            if let Err(error) = looked {
                tracing::error!(%error, "memory limits of jobs are not watched");
            }
        }
    }
}

fn enforce(limits: &[Limit]) {
    let rows = platform::processes();
    for limit in limits {
        let members = members(&rows, limit.leader);
        if resident(&members) <= limit.bytes || proportional(&members) <= limit.bytes {
            continue;
        }
        if let Some(largest) = members.iter().max_by_key(|row| row.memory) {
            limit.exceeded.store(true, Ordering::Relaxed);
            signal(largest.pid, Signal::SIGKILL);
        }
    }
}

fn resident(members: &[Row]) -> u64 {
    members.iter().map(|row| row.memory).sum()
}

/// Forked processes share pages, which count once for a container.
fn proportional(members: &[Row]) -> u64 {
    let memory = |row: &Row| platform::proportional_memory(row.pid).unwrap_or(row.memory);
    members.iter().map(memory).sum()
}
