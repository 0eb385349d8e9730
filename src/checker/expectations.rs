//! What a history alone does not tell.

use std::{collections::BTreeMap, time::Duration};

/// What is expected of the runs in a history. The default expects what holds for every run.
#[derive(Debug, Clone, Default)]
pub struct Expectations {
    /// `--max-workers` of the runs; not looked at when nothing is said.
    pub max_workers: Option<usize>,
    /// How often each task of a step fails by itself: 1 and its retries, where the user's code has a bug. Losses and what
    /// never began do not count.
    pub failures: BTreeMap<String, usize>,
    /// Calls of a launcher.
    pub rates: Rates,
    /// When a launcher counts as gone.
    pub lease: LeaseTimes,
    /// How long a task may live on beside its next attempt after Batch called it dead; in runs with a lease, at least as long
    /// as it takes their containers to look.
    pub zombie: Duration,
}

/// Calls per second. A launcher may save up one second's worth of them (`src/aws/batch/rate.rs`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rates {
    /// SubmitJob.
    pub submit: f64,
    /// DescribeJobs.
    pub describe: f64,
    /// ListJobs.
    pub list: f64,
    /// TerminateJob and its like.
    pub terminate: f64,
    /// All others of Batch.
    pub setup: f64,
    /// All of Batch.
    pub all: f64,
    /// So many seconds' worth of calls more may come at once: on a busy machine calls arrive in heaps, though they were not
    /// made so.
    pub slack: f64,
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            submit: 20.0,
            describe: 5.0,
            list: 2.0,
            terminate: 10.0,
            setup: 5.0,
            all: 25.0,
            slack: 3.0,
        }
    }
}

/// In real time, as the history has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseTimes {
    /// A lease that is older has lapsed.
    pub lapse: Duration,
    /// How often a container looks, at most.
    pub cadence: Duration,
}

impl Default for LeaseTimes {
    fn default() -> Self {
        Self {
            lapse: Duration::from_mins(15),
            cadence: Duration::from_secs(270),
        }
    }
}
