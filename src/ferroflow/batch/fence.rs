//! What a launcher finds that no longer drives its run.

/// Nothing more may be asked of Batch: jobs that run are another launcher's, or have been ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "this launcher no longer drives the run: {why}. It stops here, and leaves all jobs alone\nhint: `ferroflow status` tells how the run stands"
)]
pub(crate) struct Fenced {
    /// How that shows.
    pub(crate) why: String,
}
