//! How fast calls of one action may follow each other: a token bucket whose rate gives way to throttles.
//!
//! The rate is halved when the service throttles, once for all calls that were under way together, and calls that are
//! answered give a part of the full rate back in each second (additive increase, multiplicative decrease): a limit of the
//! account is then met by one call in a dozen. It never falls below a floor: whoever follows jobs must hear of their ends,
//! and one call in two seconds troubles no account.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep};

/// This part of the full rate comes back in a second in which calls are answered, and with each one that comes later.
const GROWTH: f64 = 1.0 / 20.0;

/// Throttles of calls that were under way together count once: those that come so soon after the first.
const ONE_ROUND_TRIP: Duration = Duration::from_secs(1);

/// Calls per second that throttles leave, of actions that may be called more often.
pub(super) const FLOOR: f64 = 0.5;

/// A token bucket that holds one second's worth of calls. Callers are served in order.
#[derive(Debug)]
pub(super) struct Bucket {
    full: f64,
    /// Held by the first in line. The others look at the clock only when it is their turn: for a process that was stopped for
    /// a while, all of them would be due at once.
    line: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    rate: f64,
    /// Calls that may be made at once; negative when calls are waiting.
    tokens: f64,
    at: Instant,
    /// When the rate was last halved.
    halved: Option<Instant>,
    /// When it last changed.
    changed: Instant,
}

impl Bucket {
    pub(super) fn new(rate: f64) -> Self {
        let now = Instant::now();
        Self {
            full: rate,
            line: tokio::sync::Mutex::default(),
            state: Mutex::new(State {
                rate,
                tokens: rate.max(1.0),
                at: now,
                halved: None,
                changed: now,
            }),
        }
    }

    /// Halves the rate: the service asked for fewer calls.
    pub(super) fn throttled(&self) {
        let mut state = self.refilled();
        let at = state.at;
        if state
            .halved
            .is_some_and(|halved| at - halved < ONE_ROUND_TRIP)
        {
            return;
        }
        state.rate = (state.rate / 2.0).max(FLOOR).min(self.full);
        state.tokens = state.tokens.min(0.0);
        state.halved = Some(at);
        state.changed = at;
    }

    /// Gives a part of the rate back: the service has answered a call.
    pub(super) fn answered(&self) {
        let mut state = self.refilled();
        let seconds = (state.at - state.changed).as_secs_f64().min(1.0);
        state.rate = (state.rate + self.full * GROWTH * seconds).min(self.full);
        state.changed = state.at;
    }

    /// Calls per second that are allowed at present.
    pub(super) fn rate(&self) -> f64 {
        self.refilled().rate
    }

    pub(super) async fn take(&self) {
        let _first = self.line.lock().await;
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
        let earned = (now - state.at).as_secs_f64() * state.rate;
        state.tokens = (state.tokens + earned).min(state.rate.max(1.0));
        state.at = now;
        state
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

    /// As a process that was stopped, and whose timers are all due.
    #[tokio::test(start_paused = true)]
    async fn those_that_waited_through_a_stop_do_not_come_at_once() {
        let bucket = std::sync::Arc::new(Bucket::new(5.0));
        let done = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        for _ in 0..30 {
            let (bucket, done) = (bucket.clone(), done.clone());
            tokio::spawn(async move {
                bucket.take().await;
                done.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            });
        }
        tokio::task::yield_now().await;
        tokio::time::advance(Duration::from_mins(1)).await;
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        let made = done.load(std::sync::atomic::Ordering::Relaxed);
        assert!((10..=12).contains(&made), "{made}");
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
    async fn a_throttle_halves_the_rate_and_answers_give_it_back() {
        let bucket = Bucket::new(20.0);
        bucket.throttled();
        assert!((bucket.rate() - 10.0).abs() < 1e-9);
        let spaced = seconds_for(&bucket, 20).await;
        assert!((1.9..2.1).contains(&spaced), "{spaced}");
        let before = bucket.rate();
        for _ in 0..10 {
            advance(Duration::from_millis(100)).await;
            bucket.answered();
        }
        assert!(
            (bucket.rate() - before - 1.9).abs() < 0.01,
            "{}",
            bucket.rate()
        );
        for _ in 0..20 {
            advance(Duration::from_secs(9)).await;
            bucket.answered();
        }
        assert!((bucket.rate() - 20.0).abs() < 1e-9);
    }

    #[tokio::test(start_paused = true)]
    async fn throttles_of_one_moment_count_once() {
        let bucket = Bucket::new(20.0);
        for _ in 0..100 {
            bucket.throttled();
        }
        assert!((bucket.rate() - 10.0).abs() < 1e-9);
        advance(ONE_ROUND_TRIP).await;
        bucket.throttled();
        assert!((bucket.rate() - 5.0).abs() < 1e-9);
    }

    /// Calls in ten minutes, of which the service throttles some, as a multiplicative generator says.
    async fn calls_where(bucket: &Bucket, throttled_of_hundred: u64) -> u32 {
        let end = Instant::now() + Duration::from_mins(10);
        let (mut calls, mut state) = (0, 1_u64);
        while Instant::now() < end {
            bucket.take().await;
            calls += 1;
            state = state * 48_271 % 2_147_483_647;
            if state % 100 < throttled_of_hundred {
                bucket.throttled();
            } else {
                bucket.answered();
            }
        }
        calls
    }

    #[tokio::test(start_paused = true)]
    async fn lasting_throttles_leave_a_useful_rate() {
        let describe = calls_where(&Bucket::new(5.0), 30).await;
        assert!((500..1_500).contains(&describe), "{describe}");
        let submit = calls_where(&Bucket::new(20.0), 30).await;
        assert!((1_200..4_000).contains(&submit), "{submit}");
    }

    /// It takes so many calls per second, and throttles the others.
    #[tokio::test(start_paused = true)]
    async fn a_limit_of_the_account_is_used_and_seldom_met() {
        let (ours, account) = (Bucket::new(20.0), 6.0);
        let end = Instant::now() + Duration::from_mins(10);
        let (mut room, mut at) = (account, Instant::now());
        let (mut answered, mut throttled) = (0_u32, 0_u32);
        while Instant::now() < end {
            ours.take().await;
            room = (room + account * at.elapsed().as_secs_f64()).min(account);
            at = Instant::now();
            if room < 1.0 {
                throttled += 1;
                ours.throttled();
            } else {
                room -= 1.0;
                answered += 1;
                ours.answered();
            }
        }
        assert!(answered > 2_400, "{answered} of {throttled}");
        assert!(throttled * 10 < answered, "{throttled} of {answered}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_service_that_answers_nothing_is_asked_at_the_floor() {
        for rate in [5.0, 20.0] {
            let calls = calls_where(&Bucket::new(rate), 100).await;
            // At first it does not know.
            assert!((300..=350).contains(&calls), "{rate}: {calls}");
        }
        let slow = calls_where(&Bucket::new(0.1), 100).await;
        assert!((59..=62).contains(&slow), "{slow}");
    }
}
