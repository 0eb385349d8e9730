//! Who drives a run, and whether it may be taken from it.

use std::time::Duration;

use anyhow::{Result, bail};
use model::{
    lease::{Lease, LeaseState},
    opening::Opening,
    run_record::{Launcher, RunState},
};

use crate::stored_run::{
    FoundLease, Holder, StoredRun,
    alive::{self, Launched},
    holder,
};

/// Whether the run goes on, as far as its record says.
pub(super) async fn check_state(run: &StoredRun) -> Result<()> {
    let pathspec = run.to_string();
    if let Some(record) = run.record().await?
        && record.state != RunState::Running
    {
        bail!(
            "run {pathspec} has ended ({}): there is nothing to attach to\nhint: to go on from where it stopped, resume it: `ferroflow FLOW.py resume --origin-run-id {}`",
            record.state.as_str(),
            run.run
        );
    }
    Ok(())
}

/// Whether the run may be taken over from whom drives it.
pub(super) async fn check(run: &StoredRun, take_over: bool, opening: &Opening) -> Result<()> {
    let pathspec = run.to_string();
    let Some(FoundLease { lease, age, .. }) = run.lease().await? else {
        return check_without_lease(&pathspec, take_over, &opening.launcher);
    };
    match lease.state {
        LeaseState::Cancelled => bail!(
            "run {pathspec} was cancelled\nhint: `ferroflow kill {pathspec}` ends what is left of it; to go on, resume it: `ferroflow FLOW.py resume --origin-run-id {}`",
            run.run
        ),
        LeaseState::Finished => bail!("run {pathspec} has ended: there is nothing to attach to"),
        LeaseState::Running => {}
    }
    check_holder(&pathspec, take_over, &lease, age)
}

fn check_holder(
    pathspec: &str,
    take_over: bool,
    lease: &Lease,
    age: Option<Duration>,
) -> Result<()> {
    let who = format!("process {} on {}", lease.pid, lease.host);
    match holder(lease, age) {
        Holder::Gone | Holder::Silent { .. } => Ok(()),
        _ if take_over => Ok(()),
        Holder::Here => bail!(
            "run {pathspec} is driven by {who}, which is alive\nhint: end that one first, or take the run from it by --take-over"
        ),
        Holder::Heard { ago, dead_in } => bail!(
            "run {pathspec} is driven by {who}, which was heard of {} s ago\nhint: try again in {} s, or take the run from it by --take-over",
            ago.as_secs(),
            dead_in.as_secs() + 1
        ),
        Holder::Untold => bail!(
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

#[cfg(test)]
mod tests {
    use model::{Timestamp, lease::LEASE_VERSION};

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
