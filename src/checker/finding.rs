//! What was found.

use std::fmt;

/// What is promised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Promise {
    /// Objects below `.ferroflow` are what they should be, and those that are created once are never written over.
    Objects,
    /// Of each attempt, user code starts at most once, in the container that holds the claim; others write nothing.
    OneProcess,
    /// No two processes of a task at the same time.
    NoOverlap,
    /// Attempts are numbered from 0 without gaps, up to 5, and the one that succeeds is the last.
    Attempts,
    /// What is submitted stands in the launch chain before, and the chain has no gaps.
    Chain,
    /// Calls stay within their rates.
    Rates,
    /// There are never more jobs at a time than `--max-workers`.
    InFlight,
    /// A launcher whose run was taken over does nothing more.
    Fence,
    /// No user code starts without a launcher.
    Lease,
    /// In the end, all jobs are terminal and no process is left.
    Terminal,
    /// User code that fails runs as often as its retries say.
    Failures,
    /// Nobody ends jobs of others.
    Foreign,
}

impl Promise {
    /// In a few words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Objects => "objects are written once",
            Self::OneProcess => "one process per attempt",
            Self::NoOverlap => "one process per task at a time",
            Self::Attempts => "attempts have no gap, and the last one wins",
            Self::Chain => "submitted as recorded",
            Self::Rates => "calls within their rates",
            Self::InFlight => "no more jobs than workers",
            Self::Fence => "nothing after a takeover",
            Self::Lease => "no start without a launcher",
            Self::Terminal => "all has ended",
            Self::Failures => "failures as often as retries say",
            Self::Foreign => "no end of foreign jobs",
        }
    }
}

/// A promise that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Which.
    pub promise: Promise,
    /// By whom and how.
    pub text: String,
    /// The lines that show it, counted from 1.
    pub lines: Vec<usize>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.promise.as_str(), self.text)?;
        let lines: Vec<_> = self.lines.iter().map(ToString::to_string).collect();
        match lines.len() {
            0 => Ok(()),
            1 => write!(f, " (line {})", lines.join(", ")),
            _ => write!(f, " (lines {})", lines.join(", ")),
        }
    }
}
