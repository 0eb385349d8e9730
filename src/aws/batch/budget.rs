//! How many calls a process may make, per action and in all, and how many it has made.
//!
//! Only SubmitJob's limit is published (50 per second, account and region: Batch user guide,
//! "Service quotas"); the others are lower, and upstream's users have met them. An account is
//! shared, so these are well below.

use std::{
    collections::BTreeMap,
    str::FromStr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use model::run_record::ApiCalls;
use tokio::sync::watch as signal;

use super::rate::Bucket;

/// Calls per second.
const SUBMIT: f64 = 20.0;
const DESCRIBE: f64 = 5.0;
const LIST: f64 = 2.0;
const TERMINATE: f64 = 10.0;
/// Queues, compute environments and definitions: a few calls at the beginning of a run.
const SETUP: f64 = 5.0;

/// What [`CallsPerSecond`] may be.
const SMALLEST: f64 = 0.1;
const LARGEST: f64 = 100.0;

const SECONDS_PER_MINUTE: f64 = 60.0;

/// What all Batch calls of a process together may be in a second: 25 unless somebody says otherwise.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CallsPerSecond(f64);

/// No number of calls per second.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a number from {SMALLEST} to {LARGEST}")]
pub struct CallsPerSecondError;

impl Default for CallsPerSecond {
    fn default() -> Self {
        Self(25.0)
    }
}

impl FromStr for CallsPerSecond {
    type Err = CallsPerSecondError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse() {
            Ok(rate) if (SMALLEST..=LARGEST).contains(&rate) => Ok(Self(rate)),
            _ => Err(CallsPerSecondError),
        }
    }
}

/// The buckets of a process, and what went through them.
#[derive(Debug)]
pub(super) struct Limits {
    pub(super) submit: Bucket,
    pub(super) describe: Bucket,
    pub(super) list: Bucket,
    pub(super) terminate: Bucket,
    pub(super) setup: Bucket,
    all: Bucket,
    is_closed: AtomicBool,
    /// How many hold calls off.
    holds: signal::Sender<usize>,
    calls: Mutex<BTreeMap<&'static str, ApiCalls>>,
}

impl Limits {
    /// No action may have more than all have together.
    pub(super) fn new(CallsPerSecond(all): CallsPerSecond) -> Self {
        let bucket = |rate: f64| Bucket::new(rate.min(all));
        Self {
            submit: bucket(SUBMIT),
            describe: bucket(DESCRIBE),
            list: bucket(LIST),
            terminate: bucket(TERMINATE),
            setup: bucket(SETUP),
            all: Bucket::new(all),
            is_closed: AtomicBool::new(false),
            holds: signal::Sender::new(0),
            calls: Mutex::default(),
        }
    }

    /// Waits until the action's own bucket and that of all actions allow a call, and nobody holds it off; for ever once there
    /// are to be none.
    pub(super) async fn admit(&self, bucket: &Bucket) {
        bucket.take().await;
        self.all.take().await;
        // It ends with the sender, which is in `self`.
        let _ = self.holds.subscribe().wait_for(|holds| *holds == 0).await;
        if self.is_closed.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    }

    /// From now on no call is allowed.
    pub(super) fn close(&self) {
        self.is_closed.store(true, Ordering::Relaxed);
    }

    /// Holds calls off until the answer is dropped.
    pub(super) fn hold(self: &Arc<Self>) -> Hold {
        self.holds.send_modify(|holds| *holds += 1);
        Hold(Arc::clone(self))
    }

    /// The service has asked for fewer calls.
    pub(super) fn throttled(&self, action: &'static str, bucket: &Bucket) {
        bucket.throttled();
        self.count(action, bucket, |calls| {
            calls.calls += 1;
            calls.throttled += 1;
        });
    }

    /// A call had another end: only an answer says that the service has room for more.
    pub(super) fn made(&self, action: &'static str, bucket: &Bucket, is_answered: bool) {
        if is_answered {
            bucket.answered();
        }
        self.count(action, bucket, |calls| calls.calls += 1);
    }

    /// The next call of the action repeats one.
    pub(super) fn repeats(&self, action: &'static str) {
        self.calls().entry(action).or_default().retried += 1;
    }

    /// By action.
    pub(super) fn calls_so_far(&self) -> BTreeMap<String, ApiCalls> {
        let calls = self.calls();
        calls
            .iter()
            .map(|(&action, &calls)| (action.to_owned(), calls))
            .collect()
    }

    fn count(&self, action: &'static str, bucket: &Bucket, change: impl FnOnce(&mut ApiCalls)) {
        let allowed = (bucket.rate() * SECONDS_PER_MINUTE).round();
        let mut all = self.calls();
        let calls = all.entry(action).or_default();
        calls.allowed_per_minute = allowed as u64;
        change(calls);
    }

    fn calls(&self) -> MutexGuard<'_, BTreeMap<&'static str, ApiCalls>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// As long as this is there, no call begins.
#[derive(Debug)]
#[must_use]
pub struct Hold(Arc<Limits>);

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.holds.send_modify(|holds| *holds -= 1);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::*;

    #[test]
    fn a_number_of_calls() {
        assert_eq!("25".parse(), Ok(CallsPerSecond::default()));
        assert_eq!("0.5".parse(), Ok(CallsPerSecond(0.5)));
        for bad in ["", "0", "-1", "101", "NaN", "inf", "ten", "5/s", " 5"] {
            assert_eq!(
                bad.parse::<CallsPerSecond>(),
                Err(CallsPerSecondError),
                "{bad}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn calls_wait_while_somebody_holds_them_off() {
        let limits = Arc::new(Limits::new(CallsPerSecond::default()));
        let (one, other) = (limits.hold(), limits.hold());
        let call = {
            let limits = Arc::clone(&limits);
            tokio::spawn(async move { limits.admit(&limits.list).await })
        };
        tokio::time::sleep(Duration::from_mins(1)).await;
        drop(one);
        tokio::time::sleep(Duration::from_mins(1)).await;
        assert!(!call.is_finished());
        drop(other);
        call.await.unwrap();
        let held = limits.hold();
        limits.close();
        drop(held);
        let never = tokio::time::timeout(Duration::from_hours(1), limits.admit(&limits.list));
        assert!(never.await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn all_actions_together_have_a_limit() {
        let limits = Limits::new(CallsPerSecond::default());
        let start = Instant::now();
        for _ in 0..25 {
            limits.all.take().await;
        }
        limits.admit(&limits.list).await;
        let waited = start.elapsed().as_secs_f64();
        assert!((0.03..0.05).contains(&waited), "{waited}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_lower_limit_is_that_of_each_action_too() {
        let limits = Limits::new(CallsPerSecond(2.0));
        let start = Instant::now();
        for _ in 0..2 + 10 {
            limits.admit(&limits.submit).await;
        }
        let waited = start.elapsed().as_secs_f64();
        assert!((4.9..5.1).contains(&waited), "{waited}");
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_allowed_any_more() {
        let limits = Limits::new(CallsPerSecond::default());
        limits.admit(&limits.list).await;
        limits.close();
        let day = Duration::from_hours(24);
        let admitted = tokio::time::timeout(day, limits.admit(&limits.list)).await;
        assert!(admitted.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn calls_are_counted_by_action() {
        let limits = Limits::new(CallsPerSecond::default());
        limits.made("DescribeJobs", &limits.describe, true);
        limits.throttled("DescribeJobs", &limits.describe);
        limits.repeats("DescribeJobs");
        limits.made("DescribeJobQueues", &limits.setup, false);
        let calls = limits.calls_so_far();
        let describe = ApiCalls {
            calls: 2,
            throttled: 1,
            retried: 1,
            allowed_per_minute: 150,
        };
        assert_eq!(calls["DescribeJobs"], describe);
        assert_eq!(calls["DescribeJobQueues"].calls, 1);
        assert_eq!(calls["DescribeJobQueues"].allowed_per_minute, 300);
    }
}
