//! What a launcher finds that no longer drives its run, or whose run was cancelled.

use aws::batch::Client;

use super::BatchEvent;

/// Nothing more may be asked of Batch: jobs that run are another launcher's, or have been ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "this launcher no longer drives the run: {why}. It stops here, and leaves all jobs alone\nhint: `ferroflow status` tells how the run stands"
)]
pub(crate) struct Fenced {
    /// How that shows.
    pub(crate) why: String,
}

/// The run is still this launcher's, and its lease says that it was cancelled: `ferroflow kill` did that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the run was cancelled from elsewhere")]
pub(crate) struct CancelledElsewhere;

/// Sees to it that no call of Batch follows where the launcher was found to be fenced: until the driver has ended the engine,
/// others might make one.
pub(super) fn heed<T>(client: &Client, done: anyhow::Result<T>) -> anyhow::Result<T> {
    done.inspect_err(|error| {
        if error.is::<Fenced>() {
            client.close();
        }
    })
}

/// What the driver is told of an error after which this launcher drives the run no more; else the error.
pub(super) fn last_word(error: anyhow::Error) -> Result<BatchEvent, anyhow::Error> {
    match error.downcast::<Fenced>() {
        Ok(fenced) => Ok(BatchEvent::Fenced(fenced)),
        Err(error) if error.is::<CancelledElsewhere>() => Ok(BatchEvent::Cancelled),
        Err(error) => Err(error),
    }
}
