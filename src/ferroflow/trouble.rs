//! Waiting out what passes. A datastore or an AWS API that does not answer for a while is no failure of a task: the run
//! waits, says so, and tries again. It waits for as long as it takes for a service that has answered before; a service that
//! never has, and one that now refuses what it has allowed, has two minutes ([`Patience`]).

use std::{
    cell::Cell,
    env,
    rc::Rc,
    time::{Duration, SystemTime},
};

use anyhow::{Context, bail};
use aws::batch::{BatchError, BatchErrorKind, QueueError};
use datastore::{
    Cause, ErrorKind, StoreError, TaskResultError, local_metadata::LocalMetadataError,
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};

use crate::duration;

/// Pause after the first failure; doubled each time, with jitter.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The same trouble is told again after this time at the earliest.
const SAY_AGAIN: Duration = Duration::from_mins(5);

/// Environment variable: for how long a run waits for what may not pass.
const PATIENCE: &str = "FERROFLOW_PATIENCE";

/// For how long a run waits for a service that has never answered, or that refuses what it has allowed before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Patience(Duration);

impl Default for Patience {
    fn default() -> Self {
        Self(Duration::from_mins(2))
    }
}

impl Patience {
    /// What FERROFLOW_PATIENCE says, or two minutes.
    pub(crate) fn of_environment() -> anyhow::Result<Self> {
        let Some(text) = env::var_os(PATIENCE).filter(|text| !text.is_empty()) else {
            return Ok(Self::default());
        };
        match text.to_str().and_then(duration::parse) {
            Some(patience) if !patience.is_zero() => Ok(Self(patience)),
            _ => bail!(
                "{PATIENCE} is `{}`\nhint: it is a time of at least a second, such as 90s or 5m; 2m unless it is set",
                text.display()
            ),
        }
    }
}

/// A service that has not answered as long as the run had patience.
#[derive(Debug, thiserror::Error)]
#[error("there was no answer")]
pub(crate) struct NoAnswer;

/// Lines about the run as a whole, on their way to the console.
pub(crate) type Notices = mpsc::UnboundedSender<String>;

/// What is known about one service's trouble.
#[derive(Debug)]
pub(crate) struct Trouble {
    service: &'static str,
    notices: Notices,
    patience: Duration,
    said: Cell<Option<Instant>>,
    /// Since when it has failed, and only that.
    since: Cell<Option<Instant>>,
    /// Whether it has ever answered in this run.
    answered: Cell<bool>,
}

impl Trouble {
    /// `service` begins a sentence, e.g. `AWS Batch`.
    pub(crate) fn new(
        service: &'static str,
        Patience(patience): Patience,
        notices: Notices,
    ) -> Rc<Self> {
        Rc::new(Self {
            service,
            notices,
            patience,
            said: Cell::default(),
            since: Cell::default(),
            answered: Cell::default(),
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
        self.since
            .set(self.since.get().or_else(|| Some(Instant::now())));
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
        self.since.get().is_some()
    }

    /// A request was answered.
    pub(crate) fn worked(&self) {
        self.answered.set(true);
        if self.since.take().is_some() && self.said.get().is_some() {
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
        let mut refused_since = None;
        loop {
            let tried = if self.answered.get() {
                act().await
            } else {
                // Boxed: it is never that of many jobs at once.
                self.within_patience(Box::pin(act())).await
            };
            let error = match tried {
                Ok(done) => {
                    self.worked();
                    return Ok(done);
                }
                Err(error) => error,
            };
            let may_pass = is_transient(&error) || (is_refusal(&error) && self.answered.get());
            if error.is::<NoAnswer>() {
                return Err(error).with_context(|| self.waited());
            }
            if !may_pass || gives_up() {
                return Err(error);
            }
            self.failed(&format_args!("{error:#}"));
            let since = if is_refusal(&error) {
                // Other requests may be allowed all the time.
                Some(*refused_since.get_or_insert_with(Instant::now))
            } else {
                self.since.get().filter(|_| !self.answered.get())
            };
            if since.is_some_and(|since| since.elapsed() >= self.patience) {
                return Err(error).with_context(|| self.waited());
            }
            sleep(jittered(pause)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// A service that has never answered may be none: an act on it does not take for ever.
    async fn within_patience<T>(
        &self,
        act: impl Future<Output = anyhow::Result<T>> + Unpin,
    ) -> anyhow::Result<T> {
        match tokio::time::timeout(self.patience, act).await {
            Ok(result) => result,
            Err(_) => Err(NoAnswer.into()),
        }
    }

    fn waited(&self) -> String {
        format!(
            "{} did not work for {} s",
            self.service,
            self.patience.as_secs()
        )
    }
}

/// Whether the service does not allow the request. After it has allowed others that may be somebody's mistake on the way, a
/// proxy's for instance, or a policy that is being changed.
fn is_refusal(error: &anyhow::Error) -> bool {
    let denied = |call: &BatchError| call.kind == BatchErrorKind::AccessDenied;
    error.chain().any(|cause| {
        let store = matches!(
            cause.downcast_ref(),
            Some(Cause::Service {
                kind: ErrorKind::PermissionDenied,
                ..
            })
        );
        let queue = matches!(cause.downcast_ref(), Some(QueueError::Call(call)) if denied(call));
        store || queue || cause.downcast_ref().is_some_and(denied)
    })
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
    use datastore::Op;

    use super::*;

    fn failing(kind: ErrorKind, code: &str) -> anyhow::Error {
        let cause = Cause::Service {
            kind,
            code: code.to_owned(),
            message: "later".to_owned(),
        };
        anyhow::Error::new(StoreError::new(Op::Get, "k", cause)).context("cannot read it")
    }

    fn unavailable() -> anyhow::Error {
        failing(ErrorKind::Unavailable, "SlowDown")
    }

    fn refused() -> anyhow::Error {
        failing(ErrorKind::PermissionDenied, "AccessDenied")
    }

    #[tokio::test(start_paused = true)]
    async fn trouble_that_passes_is_told_and_outlasted() {
        let (notices, mut told) = mpsc::unbounded_channel();
        let trouble = Trouble::new("The datastore", Patience::default(), notices);
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
        let trouble = Trouble::new("The datastore", Patience::default(), notices);
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

    fn a_trouble() -> (Rc<Trouble>, mpsc::UnboundedReceiver<String>) {
        let (notices, told) = mpsc::unbounded_channel();
        (
            Trouble::new("The datastore", Patience::default(), notices),
            told,
        )
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_is_an_error_at_once_unless_the_service_has_answered() {
        let (trouble, mut told) = a_trouble();
        let mut tries = 0;
        let mut act = async || {
            tries += 1;
            if tries == 3 { Ok(()) } else { Err(refused()) }
        };
        assert!(trouble.outlast(|| false, &mut act).await.is_err());
        assert!(told.try_recv().is_err());
        trouble.worked();
        trouble.outlast(|| false, &mut act).await.unwrap();
        assert!(told.try_recv().unwrap().contains("AccessDenied"));
        assert_eq!(tries, 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lasting_refusal_ends_after_two_minutes_whatever_else_is_allowed() {
        let (trouble, _told) = a_trouble();
        trouble.worked();
        let began = Instant::now();
        let others = async || {
            trouble.worked();
            Err(refused())
        };
        let error = trouble.outlast::<()>(|| false, others).await.unwrap_err();
        let text = format!("{error:#}");
        assert!(
            text.starts_with("The datastore did not work for 120 s: cannot"),
            "{text}"
        );
        assert!((120..155).contains(&began.elapsed().as_secs()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_service_that_never_answered_is_waited_for_two_minutes() {
        let (trouble, _told) = a_trouble();
        let began = Instant::now();
        let silent = async || std::future::pending().await;
        let error = trouble.outlast::<()>(|| false, silent).await.unwrap_err();
        assert!(format!("{error:#}").contains("there was no answer"));
        assert_eq!(began.elapsed().as_secs(), 120);
        let (trouble, _told) = a_trouble();
        let began = Instant::now();
        let down = async || Err(unavailable());
        assert!(trouble.outlast::<()>(|| false, down).await.is_err());
        assert!((120..155).contains(&began.elapsed().as_secs()));
    }
}
