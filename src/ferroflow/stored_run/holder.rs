//! Whether somebody drives a run.

use std::{fmt, time::Duration};

use model::{
    lease::{Lease, LeaseState},
    run_record::{Launcher, RunRecord, RunState},
};

use super::{
    FoundLease,
    alive::{self, Launched},
};

/// A holder that has missed so many renewals is taken for dead.
const MISSED: u64 = 3;

/// What can be said of who holds a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holder {
    /// A process of this machine, which is there.
    Here,
    /// A process of this machine, which is there no more.
    Gone,
    /// Elsewhere, and heard of lately: `dead_in` this time it counts as dead.
    Heard { ago: Duration, dead_in: Duration },
    /// Elsewhere, and not heard of any more.
    Silent { ago: Duration },
    /// Elsewhere, and the datastore does not tell when it was heard of last.
    Untold,
}

/// What can be said of who holds a lease of this age.
pub(crate) fn holder(lease: &Lease, age: Option<Duration>) -> Holder {
    match (alive::process(&lease.host, lease.pid), age) {
        (Launched::Gone, _) => Holder::Gone,
        (Launched::Here, _) => Holder::Here,
        (Launched::Elsewhere, None) => Holder::Untold,
        (Launched::Elsewhere, Some(ago)) => {
            let dead_after = Duration::from_secs(lease.interval_seconds.max(1) * MISSED);
            match dead_after.checked_sub(ago) {
                Some(dead_in) => Holder::Heard { ago, dead_in },
                None => Holder::Silent { ago },
            }
        }
    }
}

/// Why nobody drives a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Orphan {
    /// It was cancelled.
    Cancelled,
    /// It has ended.
    Ended,
    /// Its launcher was on this machine, and is there no more.
    Gone,
    /// Its launcher has not been heard of for this time.
    Silent(Duration),
}

impl fmt::Display for Orphan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cancelled => f.write_str("the run was cancelled"),
            Self::Ended => f.write_str("the run has ended"),
            Self::Gone => f.write_str("its launcher is gone"),
            Self::Silent(ago) => {
                write!(f, "its launcher was heard of last {} s ago", ago.as_secs())
            }
        }
    }
}

/// Why nobody drives the run; none if somebody does, or may.
pub(crate) fn orphan(
    lease: Option<&FoundLease>,
    record: Option<&RunRecord>,
    first: Option<&Launcher>,
) -> Option<Orphan> {
    if record.is_some_and(|record| record.state != RunState::Running) {
        return Some(Orphan::Ended);
    }
    let Some(FoundLease { lease, age, .. }) = lease else {
        // With FERROFLOW_LEASE=off.
        let launcher = record.map(|record| &record.launcher).or(first);
        let is_gone = launcher.is_some_and(|it| alive::look(it) == Launched::Gone);
        return is_gone.then_some(Orphan::Gone);
    };
    match (lease.state, holder(lease, *age)) {
        (LeaseState::Cancelled, _) => Some(Orphan::Cancelled),
        (LeaseState::Finished, _) => Some(Orphan::Ended),
        (LeaseState::Running, Holder::Gone) => Some(Orphan::Gone),
        (LeaseState::Running, Holder::Silent { ago }) => Some(Orphan::Silent(ago)),
        (LeaseState::Running, Holder::Here | Holder::Heard { .. } | Holder::Untold) => None,
    }
}

#[cfg(test)]
mod tests {
    use model::{FlowName, RunId, Timestamp, lease::LEASE_VERSION};

    use super::*;

    fn lease(state: LeaseState, seconds: u64) -> FoundLease {
        FoundLease {
            lease: Lease {
                version: LEASE_VERSION,
                holder: "h".to_owned(),
                host: "elsewhere.invalid".to_owned(),
                pid: 1,
                state,
                renewed_at: Timestamp(0),
                interval_seconds: 30,
            },
            etag: String::new(),
            age: Some(Duration::from_secs(seconds)),
        }
    }

    fn launcher() -> Launcher {
        Launcher {
            host: "elsewhere.invalid".to_owned(),
            pid: 1,
            ferroflow: String::new(),
            metaflow: String::new(),
            python: String::new(),
        }
    }

    #[test]
    fn a_holder_elsewhere_is_dead_after_three_renewals() {
        let of = |seconds| {
            let FoundLease { lease, age, .. } = lease(LeaseState::Running, seconds);
            holder(&lease, age)
        };
        let second = Duration::from_secs(1);
        let (ago, dead_in) = (89 * second, second);
        assert_eq!(of(89), Holder::Heard { ago, dead_in });
        assert_eq!(of(91), Holder::Silent { ago: 91 * second });
    }

    #[test]
    fn nobody_drives_a_run_that_has_ended_or_whose_launcher_is_silent() {
        let by_lease = |lease: FoundLease| orphan(Some(&lease), None, None);
        let silent = Orphan::Silent(Duration::from_secs(91));
        for (state, seconds, expected) in [
            (LeaseState::Running, 1, None),
            (LeaseState::Running, 91, Some(silent)),
            (LeaseState::Cancelled, 1, Some(Orphan::Cancelled)),
            (LeaseState::Finished, 1, Some(Orphan::Ended)),
        ] {
            assert_eq!(by_lease(lease(state, seconds)), expected, "{state:?}");
        }
        assert_eq!(orphan(None, None, Some(&launcher())), None);
        let (flow, run) = (FlowName::new("F").unwrap(), RunId::new("1").unwrap());
        let mut record = RunRecord::begun(flow, run, launcher(), Timestamp(0));
        record.state = RunState::Failed;
        let running = lease(LeaseState::Running, 1);
        let ended = orphan(Some(&running), Some(&record), None);
        assert_eq!(ended, Some(Orphan::Ended));
    }
}
