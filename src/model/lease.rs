//! The lease of a run: who drives it, and until when its containers believe so.
//!
//! A launcher writes the object anew at short intervals, each time on condition that it is still its own. A container reads
//! it before user code starts, and now and then while that runs. Ages are taken from one answer of the store, its `Date` less the
//! object's `Last-Modified`: no other clock takes part.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{FlowName, RunId, Timestamp, layout};

/// The version of the lease that is written here.
pub const LEASE_VERSION: u32 = 1;

/// User code does not start under a lease that is older than this, unless its terms are shorter.
const LONGEST_GATE: Duration = Duration::from_mins(15);

/// Longest time between two looks of a container at the lease.
const LONGEST_CADENCE: Duration = Duration::from_mins(3);

/// Longest time between two renewals.
const LONGEST_RENEWAL: Duration = Duration::from_secs(30);

/// How long a task goes on without a launcher when nobody says otherwise: a laptop that sleeps over a night must not end a
/// training.
pub const DEFAULT_GRACE: Duration = Duration::from_hours(24);

/// Body of the lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// [`LEASE_VERSION`] of the writer.
    pub version: u32,
    /// Who writes the launch chain.
    pub holder: String,
    /// Name of the holder's machine.
    pub host: String,
    /// Process id of the holder's engine there.
    pub pid: u32,
    /// How the run stands.
    pub state: LeaseState,
    /// When it was written, by the holder's clock. For people only; it makes each renewal another object.
    pub renewed_at: Timestamp,
    /// Seconds between two renewals.
    pub interval_seconds: u64,
}

/// How a run stands, as far as its containers care.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeaseState {
    /// It is driven by the holder.
    Running,
    /// It was given up: no user code may start any more.
    Cancelled,
    /// It is over: no user code may start any more.
    Finished,
}

/// What a container is told about the lease of its run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseTerms {
    /// Key of the lease, relative to the datastore's root.
    pub key: String,
    /// User code does not start under a lease older than this, in seconds.
    pub gate_seconds: u64,
    /// A running task ends once the lease is older than this, in seconds, at two looks in a row.
    pub grace_seconds: u64,
    /// Mean time between two looks, in seconds; also the least time between those two.
    pub cadence_seconds: u64,
}

impl LeaseTerms {
    /// Terms with this grace; everything else is at most what it is by default.
    pub fn new(flow: &FlowName, run: &RunId, grace: Duration) -> Self {
        Self {
            key: layout::lease(flow, run),
            gate_seconds: grace.min(LONGEST_GATE).as_secs(),
            grace_seconds: grace.as_secs(),
            cadence_seconds: (grace / 10).min(LONGEST_CADENCE).as_secs().max(1),
        }
    }

    /// Time between two renewals of the launcher: several of them fit into the gate.
    pub fn renewal(&self) -> Duration {
        let part = Duration::from_secs(self.gate_seconds) / 10;
        part.min(LONGEST_RENEWAL).max(Duration::from_secs(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(grace: Duration) -> LeaseTerms {
        let (flow, run) = (FlowName::new("F").unwrap(), RunId::new("1").unwrap());
        LeaseTerms::new(&flow, &run, grace)
    }

    #[test]
    fn a_day_is_the_default_and_a_short_grace_shortens_all() {
        let day = terms(DEFAULT_GRACE);
        assert_eq!(day.key, ".ferroflow/F/1/lease");
        assert_eq!(
            (day.gate_seconds, day.grace_seconds, day.cadence_seconds),
            (900, 86_400, 180)
        );
        assert_eq!(day.renewal(), Duration::from_secs(30));
        let short = terms(Duration::from_secs(20));
        assert_eq!(
            (
                short.gate_seconds,
                short.grace_seconds,
                short.cadence_seconds
            ),
            (20, 20, 2)
        );
        assert_eq!(short.renewal(), Duration::from_secs(2));
    }
}
