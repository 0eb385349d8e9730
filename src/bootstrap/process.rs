//! A child from its start to its end: signals, time limit, and what is killed when.

use std::{
    fmt, io,
    os::unix::process::ExitStatusExt,
    process::{Child, Command, ExitStatus},
    time::{Duration, Instant},
};

use model::spec::Stopped;
use nix::sys::signal::Signal;

use crate::{
    capture::Capture,
    interrupts::{Interrupts, Ordered, Running},
    platform,
    settings::Settings,
};

/// Longest time between two looks for orphans.
const TICK: Duration = Duration::from_secs(1);

/// Starts children and looks after them.
#[derive(Debug)]
pub(crate) struct Supervisor<'a> {
    /// How long to wait for what.
    pub(crate) settings: &'a Settings,
    /// The container's signals.
    pub(crate) interrupts: &'a Interrupts,
}

/// How a child ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ending {
    /// What the kernel says.
    pub(crate) status: ExitStatus,
    /// Why it was asked to stop, if it was.
    pub(crate) stopped: Option<Stopped>,
}

impl Ending {
    /// Whether the exit code is 0.
    pub(crate) fn is_success(self) -> bool {
        self.status.success()
    }

    /// The exit code that a shell would give.
    pub(crate) fn exit_code(self) -> i32 {
        let by_signal = self.status.signal().map(|signal| 128 + signal);
        self.status.code().or(by_signal).unwrap_or(1)
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.status.code(), self.status.signal()) {
            (Some(code), _) => write!(f, "exit code {code}")?,
            (None, Some(signal)) => write!(f, "signal {signal}")?,
            (None, None) => write!(f, "unknown end")?,
        }
        match self.stopped {
            None => Ok(()),
            Some(Stopped::Terminated) => write!(f, ", the container was asked to stop"),
            Some(Stopped::TimeLimit) => write!(f, ", the time limit was reached"),
            Some(Stopped::LauncherLost) => write!(f, ", its launcher was gone"),
            Some(Stopped::Cancelled) => write!(f, ", its run was cancelled"),
        }
    }
}

/// A child that was asked to stop.
struct Stop {
    why: Stopped,
    since: Instant,
    is_flushed: bool,
    is_killed: bool,
}

impl Supervisor<'_> {
    /// Runs a child to its end, and what it wrote to its end. `capture` takes the pipes when it
    /// has started; `flush` is called when logs should go out because the end is near.
    pub(crate) fn run(
        &self,
        command: &mut Command,
        limit: Option<Instant>,
        capture: impl FnOnce(&mut Child) -> io::Result<Vec<Capture>>,
        flush: impl Fn(),
    ) -> io::Result<Ending> {
        let mut captures = Ok(Vec::new());
        let running = self.interrupts.spawn(command, |child| {
            captures = capture(child);
        })?;
        if captures.is_err() {
            running.signal(Signal::SIGKILL);
        }
        let ending = self.wait(&running, limit, flush);
        for capture in captures? {
            capture.finish();
        }
        ending
    }

    fn wait(
        &self,
        running: &Running,
        limit: Option<Instant>,
        flush: impl Fn(),
    ) -> io::Result<Ending> {
        let mut stop: Option<Stop> = None;
        loop {
            if self.settings.reap_orphans {
                platform::reap_orphans(running.pid());
            }
            if stop.is_none()
                && let Some((why, since)) = self.reason_to_stop(limit)
            {
                if why == Stopped::TimeLimit {
                    running.signal(Signal::SIGTERM);
                }
                flush();
                stop = Some(Stop {
                    why,
                    since,
                    is_flushed: false,
                    is_killed: false,
                });
            }
            let mut patience = TICK;
            if let Some(stop) = &mut stop {
                self.insist(running, stop, &flush);
                if !stop.is_killed {
                    let next = if stop.is_flushed {
                        self.settings.grace
                    } else {
                        self.settings.late_flush.min(self.settings.grace)
                    };
                    patience =
                        patience.min((stop.since + next).saturating_duration_since(Instant::now()));
                }
            } else if let Some(limit) = limit {
                patience = patience.min(limit.saturating_duration_since(Instant::now()));
            }
            if let Some(end) = running.wait(patience, stop.is_some()) {
                // A child may be faster than this loop.
                return end.status.map(|status| Ending {
                    status,
                    stopped: stop.map(|stop| stop.why).or(end.stopped),
                });
            }
        }
    }

    fn reason_to_stop(&self, limit: Option<Instant>) -> Option<(Stopped, Instant)> {
        if let Some(raised) = self.interrupts.raised() {
            return Some((Stopped::Terminated, raised.at));
        }
        // A zombie is not asked to stop: it has been killed.
        if let Some(Ordered { order, at }) = self.interrupts.ordered()
            && let Some(why) = order.stopped()
        {
            return Some((why, at));
        }
        limit
            .filter(|limit| *limit <= Instant::now())
            .map(|_| (Stopped::TimeLimit, Instant::now()))
    }

    fn insist(&self, running: &Running, stop: &mut Stop, flush: &impl Fn()) {
        let elapsed = stop.since.elapsed();
        if !stop.is_flushed && elapsed >= self.settings.late_flush {
            stop.is_flushed = true;
            flush();
        }
        if !stop.is_killed && elapsed >= self.settings.grace {
            stop.is_killed = true;
            running.signal(Signal::SIGKILL);
        }
    }
}
