//! One clock behind all durations, so that tests can make fifteen minutes fifteen seconds.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Wall clock, and durations divided by a factor.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    speed: f64,
}

impl Clock {
    /// A clock on which `speed` seconds of AWS pass in one real second. Not positive or not finite means 1.
    pub fn new(speed: f64) -> Self {
        let speed = if speed.is_finite() && speed > 0.0 {
            speed
        } else {
            1.0
        };
        Self { speed }
    }

    /// Milliseconds since 1970, unscaled.
    pub fn now_ms(&self) -> i64 {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }

    /// How long to really wait for what takes `duration` on AWS.
    pub fn real(&self, duration: Duration) -> Duration {
        duration.div_f64(self.speed)
    }

    /// Waits as long as `duration` of AWS's time takes here.
    pub async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(self.real(duration)).await;
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new(1.0)
    }
}
