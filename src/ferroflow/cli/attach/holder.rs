//! Who drives a run, and whether it may be taken from it.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use datastore::ObjectStore;
use model::{
    launch_record::LaunchRecord,
    layout,
    lease::{LEASE_VERSION, Lease, LeaseState},
    opening::Opening,
    run_record::{Launcher, RunRecord, RunState},
};

use super::Named;
use crate::cli::status::alive::{self, Launched};

/// A holder that has missed so many renewals is taken for dead.
const MISSED: u64 = 3;

/// Bytes of a record that certainly have its header, unless a wide array makes it longer.
const HEADER: u64 = 64 << 10;

/// Who wrote the last record of the chain.
pub(super) async fn last(run: &Named<'_>) -> Result<String> {
    let prefix = format!("{}/launch/", layout::run_folder(run.flow, run.id));
    let records = run.store.list(&prefix).await?;
    let last = records.last().context("the run has no launch chain")?;
    let head = run.store.get_range(&last.key, 0, HEADER).await?;
    let mut head = head.context("the launch chain changes")?;
    if !head.contains(&b'\n') {
        let whole = run.store.get(&last.key).await?;
        head = whole.context("the launch chain changes")?.body;
    }
    let record =
        LaunchRecord::read(&head).with_context(|| format!("`{}` is no launch record", last.key))?;
    Ok(record.holder)
}

/// Whether the run may be taken over.
pub(super) async fn check(run: &Named<'_>, take_over: bool, opening: &Opening) -> Result<()> {
    let pathspec = format!("{}/{}", run.flow, run.id);
    if let Some(record) = record(run).await?
        && record.state != RunState::Running
    {
        bail!(
            "run {pathspec} has ended ({}): there is nothing to attach to\nhint: to go on from where it stopped, resume it: `ferroflow FLOW.py resume --origin-run-id {}`",
            word(record.state),
            run.id
        );
    }
    let key = layout::lease(run.flow, run.id);
    let Some(there) = run.store.get_versioned(&key).await? else {
        return check_without_lease(&pathspec, take_over, &opening.launcher);
    };
    let lease: Lease = serde_json::from_slice(&there.body)
        .with_context(|| format!("the lease `{key}` is not what this version writes"))?;
    if lease.version != LEASE_VERSION {
        bail!("the lease of run {pathspec} was written by another version of Ferroflow");
    }
    match lease.state {
        LeaseState::Cancelled => bail!(
            "run {pathspec} was cancelled\nhint: `ferroflow kill {pathspec}` ends what is left of it; to go on, resume it: `ferroflow FLOW.py resume --origin-run-id {}`",
            run.id
        ),
        LeaseState::Finished => bail!("run {pathspec} has ended: there is nothing to attach to"),
        LeaseState::Running => {}
    }
    check_holder(&pathspec, take_over, &lease, there.age)
}

fn check_holder(
    pathspec: &str,
    take_over: bool,
    lease: &Lease,
    age: Option<Duration>,
) -> Result<()> {
    let dead_after = Duration::from_secs(lease.interval_seconds.max(1) * MISSED);
    let who = format!("process {} on {}", lease.pid, lease.host);
    match alive::process(&lease.host, lease.pid) {
        Launched::Gone => return Ok(()),
        Launched::Here if !take_over => bail!(
            "run {pathspec} is driven by {who}, which is alive\nhint: end that one first, or take the run from it by --take-over"
        ),
        Launched::Here | Launched::Elsewhere => {}
    }
    match age {
        _ if take_over => Ok(()),
        Some(age) if age > dead_after => Ok(()),
        Some(age) => bail!(
            "run {pathspec} is driven by {who}, which was heard of {} s ago\nhint: try again in {} s, or take the run from it by --take-over",
            age.as_secs(),
            (dead_after.saturating_sub(age)).as_secs() + 1
        ),
        None => bail!(
            "run {pathspec} is driven by {who}, and the datastore does not tell when that was heard of last\nhint: make sure that it is dead, and take the run over by --take-over"
        ),
    }
}

/// With FERROFLOW_LEASE=off nobody hears of the launcher.
fn check_without_lease(pathspec: &str, take_over: bool, launcher: &Launcher) -> Result<()> {
    if take_over || alive::look(launcher) == Launched::Gone {
        return Ok(());
    }
    bail!(
        "run {pathspec} has no lease, and its launcher (process {} on {}) may be alive\nhint: make sure that it is dead, and take the run over by --take-over",
        launcher.pid,
        launcher.host
    )
}

async fn record(run: &Named<'_>) -> Result<Option<RunRecord>> {
    let key = layout::run_record(run.flow, run.id);
    let Some(object) = run.store.get(&key).await? else {
        return Ok(None);
    };
    let record = serde_json::from_slice(&object.body);
    record
        .map(Some)
        .with_context(|| format!("`{key}` is no record of a run"))
}

fn word(state: RunState) -> &'static str {
    match state {
        RunState::Running => "running",
        RunState::Done => "done",
        RunState::Failed => "failed",
        RunState::Interrupted => "interrupted",
    }
}

#[cfg(test)]
mod tests {
    use model::Timestamp;

    use super::*;

    fn lease(host: &str) -> Lease {
        Lease {
            version: LEASE_VERSION,
            holder: "h".to_owned(),
            host: host.to_owned(),
            pid: 1,
            state: LeaseState::Running,
            renewed_at: Timestamp(0),
            interval_seconds: 30,
        }
    }

    #[test]
    fn a_holder_elsewhere_is_dead_after_three_renewals() {
        let check = |age, take_over| {
            let age = Some(Duration::from_secs(age));
            check_holder("F/1", take_over, &lease("elsewhere.invalid"), age)
        };
        let refused = check(89, false).unwrap_err().to_string();
        assert!(refused.contains("heard of 89 s ago"), "{refused}");
        assert!(refused.contains("try again in 2 s"), "{refused}");
        assert!(check(91, false).is_ok());
        assert!(check(1, true).is_ok());
        let unknown = check_holder("F/1", false, &lease("elsewhere.invalid"), None);
        assert!(unknown.is_err());
    }
}
