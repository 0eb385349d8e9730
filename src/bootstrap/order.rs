//! What the datastore has a container do against its own plan.

use model::spec::Stopped;
use nix::sys::signal::Signal;

/// Why the task must not start, or not go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Order {
    /// Nobody drives the run.
    #[error(
        "the lease of the run {run} was last renewed {age} s ago, so that nobody seems to drive it: `ferroflow attach {run}` \
         goes on with it, and launches the task again"
    )]
    LauncherLost {
        /// Flow and run.
        run: String,
        /// Seconds.
        age: u64,
    },
    /// The run was given up.
    #[error(
        "the run {run} was cancelled, as its lease says: nothing of it runs any more; `resume` makes a new run of it"
    )]
    Cancelled {
        /// Flow and run.
        run: String,
    },
    /// The run has ended.
    #[error(
        "the run {run} is over, as its lease says: nothing of it runs any more; `resume` makes a new run of it"
    )]
    Finished {
        /// Flow and run.
        run: String,
    },
    /// This container is a zombie: the next attempt of its task is there.
    #[error(
        "a later attempt of the task was launched, because AWS Batch had called this container dead: it stops, and writes \
         nothing more"
    )]
    Superseded,
}

impl Order {
    /// What the launcher is told; nothing, of what it must not hear of any more.
    pub(crate) fn stopped(&self) -> Option<Stopped> {
        match self {
            Self::LauncherLost { .. } => Some(Stopped::LauncherLost),
            Self::Cancelled { .. } | Self::Finished { .. } => Some(Stopped::Cancelled),
            Self::Superseded => None,
        }
    }

    /// How a running step hears of it. A zombie has no time to say farewell: its successor may be at work.
    pub(crate) fn signal(&self) -> Signal {
        match self {
            Self::Superseded => Signal::SIGKILL,
            _ => Signal::SIGTERM,
        }
    }
}
