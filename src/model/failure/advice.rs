//! Which failures may be repeated.

use super::{BootstrapFault, Class, Outlook};

/// Whether a failed attempt may be repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RetryAdvice {
    /// By itself, at no cost to `@retry`, which applies afterwards.
    Free {
        /// How often.
        times: u32,
        /// Seconds to wait before.
        pause: u32,
    },
    /// Only because the user has asked for it by `@retry`.
    ByRetry,
    /// Another try meets the same, or is not wanted.
    Never,
}

impl Class {
    /// Whether an attempt that failed so may be repeated.
    pub fn advice(self) -> RetryAdvice {
        use Outlook::{Lasting, Passing};
        let free = |times, pause| RetryAdvice::Free { times, pause };
        match self {
            Self::UserError | Self::OutOfMemory | Self::Timeout => RetryAdvice::ByRetry,
            Self::HostLost | Self::LauncherLost => free(3, 0),
            Self::Interrupted | Self::Bootstrap(BootstrapFault::Skipped) => free(2, 0),
            Self::Image(Passing) => free(2, 30),
            // A new role is not known everywhere at once.
            Self::Configuration(Passing) => free(1, 60),
            Self::Capacity(Passing) => free(2, 60),
            Self::ContainerRuntime(Passing)
            | Self::Bootstrap(
                BootstrapFault::Fetch | BootstrapFault::Claim | BootstrapFault::Prepare(Passing),
            ) => free(2, 10),
            Self::Unknown => free(1, 0),
            Self::Image(Lasting)
            | Self::ContainerRuntime(Lasting)
            | Self::Configuration(Lasting)
            | Self::Capacity(Lasting)
            | Self::CancelledByUs
            | Self::CancelledBySomebody
            | Self::Duplicate
            | Self::Bootstrap(
                BootstrapFault::Missing
                | BootstrapFault::Exec
                | BootstrapFault::Prepare(Lasting)
                | BootstrapFault::Early,
            ) => RetryAdvice::Never,
        }
    }
}
