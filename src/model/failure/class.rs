//! What sorts of failure there are.

use std::fmt;

/// Why an attempt failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// The step's own doing.
    UserError,
    /// It used more memory than it had asked for.
    OutOfMemory,
    /// It took longer than it may.
    Timeout,
    /// Its host or the host's Spot capacity went away.
    HostLost,
    /// Its container was told to stop, and nobody says why.
    Interrupted,
    /// Its image could not be pulled.
    Image(Outlook),
    /// Its container could not be created, started or inspected.
    ContainerRuntime(Outlook),
    /// Roles, secrets, networks, volumes, logs or overrides are wrong; it passes where a role may
    /// only be too new.
    Configuration(Outlook),
    /// A quota or the capacity of AWS stands in the way.
    Capacity(Outlook),
    /// Ferroflow ended it.
    CancelledByUs,
    /// A person or a program ended it.
    CancelledBySomebody,
    /// It saw that its launcher was gone for too long.
    LauncherLost,
    /// Another container runs this attempt.
    Duplicate,
    /// Something between the container's start and user code.
    Bootstrap(BootstrapFault),
    /// The evidence says nothing.
    Unknown,
}

/// Whether another try may go better by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outlook {
    /// It may.
    Passing,
    /// Every try meets the same.
    Lasting,
}

/// What failed between the container's start and user code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BootstrapFault {
    /// There is no bootstrap for the machine's architecture.
    Missing,
    /// It could not be fetched, or is damaged.
    Fetch,
    /// There is no folder to execute it from.
    Exec,
    /// It could not read what to run, or could not claim it.
    Claim,
    /// It had claimed the task and could not prepare it.
    Prepare(Outlook),
    /// The container ended by an exit code of its own before the bootstrap ran.
    Early,
    /// The container ended well and never ran the bootstrap.
    Skipped,
}

impl Class {
    /// Every class.
    pub const ALL: [Self; 26] = {
        use BootstrapFault::{Claim, Early, Exec, Fetch, Missing, Prepare, Skipped};
        use Outlook::{Lasting, Passing};
        [
            Self::UserError,
            Self::OutOfMemory,
            Self::Timeout,
            Self::HostLost,
            Self::Interrupted,
            Self::Image(Passing),
            Self::Image(Lasting),
            Self::ContainerRuntime(Passing),
            Self::ContainerRuntime(Lasting),
            Self::Configuration(Passing),
            Self::Configuration(Lasting),
            Self::Capacity(Passing),
            Self::Capacity(Lasting),
            Self::CancelledByUs,
            Self::CancelledBySomebody,
            Self::LauncherLost,
            Self::Duplicate,
            Self::Bootstrap(Missing),
            Self::Bootstrap(Fetch),
            Self::Bootstrap(Exec),
            Self::Bootstrap(Claim),
            Self::Bootstrap(Prepare(Passing)),
            Self::Bootstrap(Prepare(Lasting)),
            Self::Bootstrap(Early),
            Self::Bootstrap(Skipped),
            Self::Unknown,
        ]
    };

    /// Whether the attempt was ended on purpose: then nothing repeats it, `@retry` neither.
    pub fn is_cancelled(self) -> bool {
        matches!(self, Self::CancelledByUs | Self::CancelledBySomebody)
    }
}

impl Outlook {
    /// The outlook of what may pass, or of what does not.
    pub(super) fn new(is_passing: bool) -> Self {
        if is_passing {
            Self::Passing
        } else {
            Self::Lasting
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UserError => f.write_str("user error"),
            Self::OutOfMemory => f.write_str("out of memory"),
            Self::Timeout => f.write_str("timeout"),
            Self::HostLost => f.write_str("host lost"),
            Self::Interrupted => f.write_str("interrupted"),
            Self::Image(outlook) => write!(f, "image ({outlook})"),
            Self::ContainerRuntime(outlook) => write!(f, "container runtime ({outlook})"),
            Self::Configuration(outlook) => write!(f, "configuration ({outlook})"),
            Self::Capacity(outlook) => write!(f, "capacity ({outlook})"),
            Self::CancelledByUs => f.write_str("cancelled by Ferroflow"),
            Self::CancelledBySomebody => f.write_str("cancelled by somebody"),
            Self::LauncherLost => f.write_str("launcher lost"),
            Self::Duplicate => f.write_str("duplicate"),
            Self::Bootstrap(fault) => write!(f, "bootstrap ({fault})"),
            Self::Unknown => f.write_str("unknown"),
        }
    }
}

impl fmt::Display for Outlook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Passing => "passing",
            Self::Lasting => "lasting",
        })
    }
}

impl fmt::Display for BootstrapFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("none for the architecture"),
            Self::Fetch => f.write_str("not fetched or damaged"),
            Self::Exec => f.write_str("nowhere to execute it"),
            Self::Claim => f.write_str("no spec or claim"),
            Self::Prepare(outlook) => write!(f, "not prepared, {outlook}"),
            Self::Early => f.write_str("ended early"),
            Self::Skipped => f.write_str("never run"),
        }
    }
}
