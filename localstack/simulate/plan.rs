//! Which steps are simulated, and what their tasks do: the file of `ferroflow dev up --simulate`.

use std::{collections::BTreeMap, time::Duration};

use serde::Deserialize;
use sha2::{Digest, Sha256};

/// Steps by name.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct Simulation(BTreeMap<String, Step>);

/// What the tasks of a step do.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Step {
    /// The steps that come next; none after the last one.
    #[serde(default)]
    pub(super) next: Vec<String>,
    /// The foreach that begins with it.
    #[serde(default)]
    pub(super) foreach: Option<Foreach>,
    /// Whether it joins a foreach.
    #[serde(default)]
    pub(super) joins_foreach: bool,
    /// How long a task takes.
    #[serde(default)]
    seconds: Seconds,
    /// So many siblings, the first ones, fail in their first attempt.
    #[serde(default)]
    fail: u64,
}

/// A foreach.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Foreach {
    /// Name of the artifact that it runs over; there need not be one.
    pub(super) variable: String,
    /// How many tasks there are.
    pub(super) splits: u32,
}

/// A number of seconds, or `{"from": 1, "to": 5, "seed": 7}`: evenly spread, the same for each seed and split index.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(untagged)]
enum Seconds {
    All(Time),
    Spread(Spread),
}

#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Spread {
    from: Time,
    to: Time,
    #[serde(default)]
    seed: u64,
}

/// Seconds of AWS's time.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(try_from = "f64")]
struct Time(Duration);

impl TryFrom<f64> for Time {
    type Error = String;

    fn try_from(seconds: f64) -> Result<Self, String> {
        let duration = Duration::try_from_secs_f64(seconds);
        duration.map(Self).map_err(|error| error.to_string())
    }
}

impl Default for Seconds {
    fn default() -> Self {
        Self::All(Time(Duration::ZERO))
    }
}

impl Simulation {
    pub(super) fn step(&self, name: &str) -> Option<&Step> {
        self.0.get(name)
    }
}

impl Step {
    /// How long the task of this split takes.
    pub(super) fn duration(&self, split_index: u64) -> Duration {
        match self.seconds {
            Seconds::All(Time(time)) => time,
            Seconds::Spread(Spread { from, to, seed }) => {
                let (from, to) = (from.0.min(to.0), from.0.max(to.0));
                from + to.saturating_sub(from).mul_f64(drawn(seed, split_index))
            }
        }
    }

    /// Whether this attempt fails.
    pub(super) fn fails(&self, split_index: u64, attempt: u32) -> bool {
        attempt == 0 && split_index < self.fail
    }
}

/// From 0 to 1.
fn drawn(seed: u64, number: u64) -> f64 {
    let digest = Sha256::new()
        .chain_update(seed.to_be_bytes())
        .chain_update(number.to_be_bytes())
        .finalize();
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    u64::from_be_bytes(first) as f64 / 2_f64.powi(64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_spread_and_the_same_each_time() {
        let simulation: Simulation = serde_json::from_str(
            r#"{"even": {"next": ["join"], "seconds": 1.5, "fail": 2},
                "uneven": {"seconds": {"from": 1, "to": 3, "seed": 7}}}"#,
        )
        .unwrap();
        let even = simulation.step("even").unwrap();
        assert_eq!(even.duration(9), Duration::from_millis(1500));
        assert!(even.fails(1, 0) && !even.fails(2, 0) && !even.fails(1, 1));
        let uneven = simulation.step("uneven").unwrap();
        let times: Vec<_> = (0..1000)
            .map(|index| uneven.duration(index).as_secs_f64())
            .collect();
        assert!(times.iter().all(|time| (1.0..=3.0).contains(time)));
        let mean = times.iter().sum::<f64>() / 1000.0;
        assert!((1.9..2.1).contains(&mean), "{mean}");
        assert_eq!(uneven.duration(3), uneven.duration(3));
        for bad in [r#"{"a": {"seconds": -1}}"#, r#"{"a": {"second": 1}}"#, "[]"] {
            assert!(serde_json::from_str::<Simulation>(bad).is_err(), "{bad}");
        }
    }
}
