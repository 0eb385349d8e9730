//! How many calls a process may make, per action.
//!
//! Only SubmitJob's limit is published (50 per second, account and region: Batch user guide,
//! "Service quotas"); the others are lower, and upstream's users have met them. An account is
//! shared, so these are well below.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep};

/// Calls per second.
const SUBMIT: f64 = 20.0;
const DESCRIBE: f64 = 5.0;
const LIST: f64 = 2.0;
const TERMINATE: f64 = 10.0;
/// Queues, compute environments and definitions: a few calls at the beginning of a run.
const SETUP: f64 = 5.0;
const ALL: f64 = 25.0;

/// A rate grows back by this part of itself in each period without a throttle.
const GROWTH: f64 = 1.10;
const GROWTH_PERIOD: Duration = Duration::from_secs(10);

/// A rate never falls below this part of its full size.
const SMALLEST_PART: f64 = 1.0 / 64.0;

/// The buckets of a process.
#[derive(Debug)]
pub(super) struct Limits {
    pub(super) submit: Bucket,
    pub(super) describe: Bucket,
    pub(super) list: Bucket,
    pub(super) terminate: Bucket,
    pub(super) setup: Bucket,
    all: Bucket,
}

impl Limits {
    pub(super) fn new() -> Self {
        Self {
            submit: Bucket::new(SUBMIT),
            describe: Bucket::new(DESCRIBE),
            list: Bucket::new(LIST),
            terminate: Bucket::new(TERMINATE),
            setup: Bucket::new(SETUP),
            all: Bucket::new(ALL),
        }
    }

    /// Waits until the action's own bucket and that of all actions allow a call.
    pub(super) async fn admit(&self, bucket: &Bucket) {
        bucket.take().await;
        self.all.take().await;
    }
}

/// A token bucket that holds one second's worth of calls. Callers are served in order.
#[derive(Debug)]
pub(super) struct Bucket {
    full: f64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    rate: f64,
    /// Calls that may be made at once; negative when calls are waiting.
    tokens: f64,
    at: Instant,
    /// When the rate was last changed.
    changed: Instant,
}

impl Bucket {
    fn new(rate: f64) -> Self {
        let now = Instant::now();
        Self {
            full: rate,
            state: Mutex::new(State {
                rate,
                tokens: rate,
                at: now,
                changed: now,
            }),
        }
    }

    /// Halves the rate: the service asked for fewer calls.
    pub(super) fn throttled(&self) {
        let mut state = self.refilled();
        state.rate = (state.rate / 2.0).max(self.full * SMALLEST_PART);
        state.tokens = state.tokens.min(0.0);
        state.changed = state.at;
    }

    async fn take(&self) {
        let wait = {
            let mut state = self.refilled();
            state.tokens -= 1.0;
            Duration::from_secs_f64((-state.tokens / state.rate).max(0.0))
        };
        if !wait.is_zero() {
            let mut place = PlaceInLine {
                bucket: self,
                served: false,
            };
            sleep(wait).await;
            place.served = true;
        }
    }

    fn refilled(&self) -> std::sync::MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        while state.rate < self.full && now - state.changed >= GROWTH_PERIOD {
            state.rate = (state.rate * GROWTH).min(self.full);
            state.changed += GROWTH_PERIOD;
        }
        let earned = (now - state.at).as_secs_f64() * state.rate;
        state.tokens = (state.tokens + earned).min(state.rate.max(1.0));
        state.at = now;
        state
    }

    #[cfg(test)]
    fn rate(&self) -> f64 {
        self.refilled().rate
    }
}

/// Given back by a caller who will not wait any longer, so that nobody waits for a call that is never made.
struct PlaceInLine<'a> {
    bucket: &'a Bucket,
    served: bool,
}

impl Drop for PlaceInLine<'_> {
    fn drop(&mut self) {
        if !self.served {
            self.bucket.refilled().tokens += 1.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    async fn seconds_for(bucket: &Bucket, calls: u32) -> f64 {
        let start = Instant::now();
        for _ in 0..calls {
            bucket.take().await;
        }
        start.elapsed().as_secs_f64()
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_free_and_the_rest_is_spaced() {
        let bucket = Bucket::new(5.0);
        assert!(seconds_for(&bucket, 5).await < 0.01);
        let spaced = seconds_for(&bucket, 10).await;
        assert!((1.9..2.1).contains(&spaced), "{spaced}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_leaves_the_line_lets_the_others_go_on() {
        let bucket = Bucket::new(5.0);
        seconds_for(&bucket, 5).await;
        for _ in 0..100 {
            let impatient = tokio::time::timeout(Duration::from_millis(1), bucket.take());
            assert!(impatient.await.is_err());
        }
        let one = seconds_for(&bucket, 1).await;
        assert!(one < 0.3, "{one}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_throttle_halves_the_rate_and_it_grows_back() {
        let bucket = Bucket::new(20.0);
        bucket.throttled();
        assert!((bucket.rate() - 10.0).abs() < 1e-9);
        let spaced = seconds_for(&bucket, 20).await;
        assert!((1.9..2.1).contains(&spaced), "{spaced}");
        advance(Duration::from_secs(10)).await;
        assert!((bucket.rate() - 11.0).abs() < 1e-9);
        advance(Duration::from_mins(5)).await;
        assert!((bucket.rate() - 20.0).abs() < 1e-9);
    }

    #[tokio::test(start_paused = true)]
    async fn throttles_never_stop_it_altogether() {
        let bucket = Bucket::new(2.0);
        for _ in 0..100 {
            bucket.throttled();
        }
        assert!((bucket.rate() - 2.0 / 64.0).abs() < 1e-9);
        let one = seconds_for(&bucket, 1).await;
        assert!((31.0..33.0).contains(&one), "{one}");
    }

    #[tokio::test(start_paused = true)]
    async fn all_actions_together_have_a_limit() {
        let limits = Limits::new();
        let start = Instant::now();
        for _ in 0..25 {
            limits.all.take().await;
        }
        limits.admit(&limits.list).await;
        let waited = start.elapsed().as_secs_f64();
        assert!((0.03..0.05).contains(&waited), "{waited}");
    }
}
