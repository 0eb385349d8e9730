//! What the core knew a while ago, for answers that a fault wants old.

use std::{collections::VecDeque, time::Duration};

use super::state::State;

/// Snapshots of a lag; more would take memory, and none needs the time to the millisecond.
const SNAPSHOTS_PER_LAG: u32 = 64;
const SHORTEST_INTERVAL: Duration = Duration::from_millis(20);

/// Snapshots of the core, each made right before something happened, in their order.
#[derive(Debug, Default)]
pub(super) struct Past {
    /// In real time, since snapshots are made in it. Zero: nothing is kept.
    longest_lag_ms: i64,
    snapshots: VecDeque<(i64, State)>,
}

impl Past {
    pub(super) fn new(longest_lag: Duration) -> Self {
        Self {
            longest_lag_ms: longest_lag.as_millis() as i64,
            snapshots: VecDeque::new(),
        }
    }

    /// Called before something happens to the state.
    pub(super) fn remember(&mut self, at: i64, state: &State) {
        if self.longest_lag_ms == 0 {
            return;
        }
        let interval = self.longest_lag_ms / i64::from(SNAPSHOTS_PER_LAG);
        let interval = interval.max(SHORTEST_INTERVAL.as_millis() as i64);
        if (self.snapshots.back()).is_some_and(|(last, _)| at - last < interval) {
            return;
        }
        let oldest = at - self.longest_lag_ms;
        while (self.snapshots.front()).is_some_and(|(made, _)| *made <= oldest) {
            self.snapshots.pop_front();
        }
        self.snapshots.push_back((at, state.clone()));
    }

    /// The state at a time; `now` if nothing has happened since. What happened shortly after the time may be in it.
    pub(super) fn at<'a>(&'a self, time: i64, now: &'a State) -> &'a State {
        let after = self.snapshots.partition_point(|(made, _)| *made <= time);
        self.snapshots.get(after).map_or(now, |(_, state)| state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(next: u64) -> State {
        State {
            next,
            ..State::default()
        }
    }

    #[test]
    fn the_past_is_what_was_true_then() {
        let mut past = Past::new(Duration::from_secs(10));
        past.remember(1_000, &state(0));
        past.remember(3_000, &state(1));
        past.remember(5_000, &state(2));
        let now = state(3);
        let at = |time| past.at(time, &now).next;
        assert_eq!(
            [500, 999, 1_000, 2_999, 3_000, 4_999, 5_000, 9_000].map(at),
            [0, 0, 1, 1, 2, 2, 3, 3]
        );
    }

    #[test]
    fn what_nobody_can_ask_for_is_not_kept() {
        let mut past = Past::new(Duration::from_secs(1));
        for at in 0..10_000 {
            past.remember(at, &state(at as u64));
        }
        assert!(past.snapshots.len() <= 64, "{}", past.snapshots.len());
        let now = state(10_000);
        let next = past.at(9_100, &now).next as i64;
        assert!((9_100..9_130).contains(&next), "{next}");
        let mut none = Past::new(Duration::ZERO);
        none.remember(1, &state(0));
        assert!(none.snapshots.is_empty());
    }
}
