//! How long a request is repeated, and when it is tried again.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    time::{Duration, Instant},
};

/// The first pause; each later one may be twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// No pause is longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(20);

/// The tries of one request.
#[derive(Debug)]
pub(crate) struct Tries {
    started: Instant,
    count: u32,
}

impl Tries {
    /// None yet.
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
            count: 0,
        }
    }

    /// The pause before the next try, unless it would begin after `budget`.
    pub(crate) fn pause(&mut self, budget: Duration) -> Option<Duration> {
        let longest = FIRST_PAUSE
            .saturating_mul(1 << self.count.min(16))
            .min(LONGEST_PAUSE);
        self.count += 1;
        // Between half and all of it, so that 10,000 containers do not come back together.
        let pause = longest.mul_f64(0.5 + 0.5 * random_fraction());
        (self.started.elapsed() + pause < budget).then_some(pause)
    }
}

/// A number from 0 to 1, from the randomness of the standard hasher's seed.
pub(crate) fn random_fraction() -> f64 {
    let bits = RandomState::new().build_hasher().finish() >> 11;
    bits as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_end() {
        let mut tries = Tries::new();
        let budget = Duration::from_hours(1);
        for expected in [100, 200, 400, 800] {
            let pause = tries.pause(budget).unwrap().as_millis();
            assert!((expected / 2..=expected).contains(&pause), "{pause}");
        }
        for _ in 0..40 {
            assert!(tries.pause(budget).unwrap() <= LONGEST_PAUSE);
        }
        assert_eq!(tries.pause(Duration::ZERO), None);
    }
}
