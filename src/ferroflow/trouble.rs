//! Waiting out what passes. A datastore or an AWS API that does not answer for a while is no failure of a task: the run
//! waits, says so, and tries again.

use std::{
    cell::Cell,
    rc::Rc,
    time::{Duration, SystemTime},
};

use aws::batch::{BatchError, QueueError};
use datastore::{StoreError, TaskResultError, local_metadata::LocalMetadataError};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};

/// Pause after the first failure; doubled each time, with jitter.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The same trouble is told again after this time at the earliest.
const SAY_AGAIN: Duration = Duration::from_mins(5);

/// Lines about the run as a whole, on their way to the console.
pub(crate) type Notices = mpsc::UnboundedSender<String>;

/// What is known about one service's trouble.
#[derive(Debug)]
pub(crate) struct Trouble {
    service: &'static str,
    notices: Notices,
    said: Cell<Option<Instant>>,
    lasting: Cell<bool>,
}

impl Trouble {
    /// `service` begins a sentence, e.g. `AWS Batch`.
    pub(crate) fn new(service: &'static str, notices: Notices) -> Rc<Self> {
        Rc::new(Self {
            service,
            notices,
            said: Cell::default(),
            lasting: Cell::default(),
        })
    }

    /// Tells the user something about the service.
    pub(crate) fn say(&self, text: String) {
        // The driver is gone only when the engine ends.
        let _ = self.notices.send(text);
    }

    /// A request failed in a way that may pass.
    pub(crate) fn failed(&self, error: &impl std::fmt::Display) {
        tracing::warn!(service = self.service, %error, "a request failed and is tried again");
        self.lasting.set(true);
        let told = self
            .said
            .get()
            .is_some_and(|said| said.elapsed() < SAY_AGAIN);
        if !told {
            self.said.set(Some(Instant::now()));
            let text = format!(
                "{} does not answer as it should ({error}). The run waits and tries again.",
                self.service
            );
            self.say(text);
        }
    }

    /// Whether the last request failed.
    pub(crate) fn is_lasting(&self) -> bool {
        self.lasting.get()
    }

    /// A request was answered.
    pub(crate) fn worked(&self) {
        if self.lasting.replace(false) && self.said.get().is_some() {
            self.say(format!("{} answers again.", self.service));
        }
    }

    /// Repeats an act until it works, fails for good, or `gives_up` says that waiting is over.
    pub(crate) async fn outlast<T>(
        &self,
        gives_up: impl Fn() -> bool,
        mut act: impl AsyncFnMut() -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let mut pause = FIRST_PAUSE;
        loop {
            match act().await {
                Ok(done) => {
                    self.worked();
                    return Ok(done);
                }
                Err(error) if is_transient(&error) && !gives_up() => {
                    self.failed(&format_args!("{error:#}"));
                    sleep(jittered(pause)).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// Whether the same request may well work a little later.
fn is_transient(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let store = cause.downcast_ref::<StoreError>();
        let result = cause.downcast_ref::<TaskResultError>();
        let batch = cause.downcast_ref::<BatchError>();
        // Their transparent variants hide the error inside from the chain.
        let queue = cause.downcast_ref::<QueueError>();
        let metadata = cause.downcast_ref::<LocalMetadataError>();
        store.is_some_and(StoreError::is_transient)
            || result.is_some_and(TaskResultError::is_transient)
            || batch.is_some_and(BatchError::is_transient)
            || queue.is_some_and(QueueError::is_transient)
            || metadata.is_some_and(LocalMetadataError::is_transient)
    })
}

/// Between half and all of a pause, so that many that wait do not come back at once.
pub(crate) fn jittered(pause: Duration) -> Duration {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let part = f64::from(since.subsec_nanos() % 1_000_003) / 1_000_003.0;
    pause.mul_f64(0.5 + part / 2.0)
}

#[cfg(test)]
mod tests {
    use datastore::{Cause, ErrorKind, Op};

    use super::*;

    fn unavailable() -> anyhow::Error {
        let cause = Cause::Service {
            kind: ErrorKind::Unavailable,
            code: "SlowDown".to_owned(),
            message: "later".to_owned(),
        };
        anyhow::Error::new(StoreError::new(Op::Get, "k", cause)).context("cannot read it")
    }

    #[tokio::test(start_paused = true)]
    async fn trouble_that_passes_is_told_and_outlasted() {
        let (notices, mut told) = mpsc::unbounded_channel();
        let trouble = Trouble::new("The datastore", notices);
        let mut tries = 0;
        let done = trouble
            .outlast(
                || false,
                async || {
                    tries += 1;
                    if tries < 4 { Err(unavailable()) } else { Ok(7) }
                },
            )
            .await;
        assert_eq!((done.unwrap(), tries), (7, 4));
        let first = told.recv().await.unwrap();
        assert!(
            first.starts_with("The datastore does not answer"),
            "{first}"
        );
        assert!(first.contains("SlowDown"), "{first}");
        assert_eq!(told.recv().await.unwrap(), "The datastore answers again.");
        assert!(told.try_recv().is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_pass_is_an_error_at_once() {
        let (notices, _told) = mpsc::unbounded_channel();
        let trouble = Trouble::new("The datastore", notices);
        let mut tries = 0;
        let denied: anyhow::Result<()> = trouble
            .outlast(
                || false,
                async || {
                    tries += 1;
                    Err(anyhow::anyhow!("denied"))
                },
            )
            .await;
        assert!(denied.is_err());
        assert_eq!(tries, 1);
        let given_up: anyhow::Result<()> =
            trouble.outlast(|| true, async || Err(unavailable())).await;
        assert!(given_up.is_err());
    }
}
