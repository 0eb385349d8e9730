//! How many files may be open: three ends of pipes for each attempt, where most systems allow 1024 at first.

use std::sync::OnceLock;

use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};

/// The limits that this process was started with, before it raised its own.
#[derive(Debug, Clone, Copy)]
pub(super) struct OpenFiles {
    soft: rlim_t,
    hard: rlim_t,
}

impl OpenFiles {
    /// Raises the limit of this process to what it is allowed, once. None where there is nothing to raise.
    pub(super) fn raised() -> Option<Self> {
        static AT_START: OnceLock<Option<OpenFiles>> = OnceLock::new();
        *AT_START.get_or_init(|| {
            let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
            let raised = soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok();
            raised.then_some(Self { soft, hard })
        })
    }

    /// For a child between fork and exec: programs with select(2) rely on the usual limit.
    pub(super) fn restore(self) -> nix::Result<()> {
        setrlimit(Resource::RLIMIT_NOFILE, self.soft, self.hard)
    }
}
