//! Trying again, for calls that may be repeated.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};

use super::{BatchError, BatchErrorKind, Client, rate::Bucket};
use crate::{Patience, failure::Failure};

/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(20);

impl Client {
    /// Makes a call within its budget, and again while that may help.
    pub(super) async fn repeatable<T>(
        &self,
        action: &'static str,
        bucket: &Bucket,
        call: impl AsyncFn() -> Result<T, Failure>,
    ) -> Result<T, BatchError> {
        self.again_when(action, BatchError::is_transient, || {
            self.once(action, bucket, &call)
        })
        .await
    }

    /// Makes a call within its budget, and again while it certainly had no effect.
    pub(super) async fn unless_throttled<T>(
        &self,
        action: &'static str,
        bucket: &Bucket,
        call: impl AsyncFn() -> Result<T, Failure>,
    ) -> Result<T, BatchError> {
        let throttled = |error: &BatchError| error.kind == BatchErrorKind::Throttled;
        self.again_when(action, throttled, || self.once(action, bucket, &call))
            .await
    }

    async fn again_when<T, F: Future<Output = Result<T, BatchError>>>(
        &self,
        action: &'static str,
        when: impl FnMut(&BatchError) -> bool,
        call: impl FnMut() -> F,
    ) -> Result<T, BatchError> {
        call.retry(pauses(self.patience))
            .when(when)
            .notify(|error, pause| {
                let delay_ms = pause.as_millis() as u64;
                tracing::debug!(%error, delay_ms, "a Batch call is tried again");
                self.limits.repeats(action);
            })
            .await
    }

    /// Makes a call within its budget.
    async fn once<T>(
        &self,
        action: &'static str,
        bucket: &Bucket,
        call: &impl AsyncFn() -> Result<T, Failure>,
    ) -> Result<T, BatchError> {
        self.limits.admit(bucket).await;
        self.single(action, bucket, call).await
    }

    /// Makes a call that has been admitted.
    pub(super) async fn single<T>(
        &self,
        action: &'static str,
        bucket: &Bucket,
        call: &impl AsyncFn() -> Result<T, Failure>,
    ) -> Result<T, BatchError> {
        let result = call()
            .await
            .map_err(|failure| BatchError::new(action, failure));
        match &result {
            Err(error) if error.kind == BatchErrorKind::Throttled => {
                self.limits.throttled(action, bucket);
            }
            other => self.limits.made(action, bucket, other.is_ok()),
        }
        result
    }
}

fn pauses(patience: Patience) -> ExponentialBuilder {
    ExponentialBuilder::new()
        .with_min_delay(patience.first_pause)
        .with_max_delay(LONGEST_PAUSE)
        .with_max_times(patience.batch_attempts.saturating_sub(1) as usize)
        .with_jitter()
}
