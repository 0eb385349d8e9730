//! Signals: caught by one thread, forwarded at once to the process group of the child, and
//! remembered for whoever waits. So are orders, which come from the datastore.

use std::{
    os::unix::process::CommandExt,
    process::{Child, Command, ExitStatus},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use model::spec::Stopped;
use nix::{
    sys::signal::{SigSet, Signal, killpg},
    unistd::Pid,
};

use crate::{order::Order, platform};

/// The signals that end a task.
const ENDING: [Signal; 3] = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP];

/// The signals that reached the container, and the child that they go to. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Interrupts(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    first: Option<Raised>,
    ordered: Option<Ordered>,
    group: Option<Pid>,
    ended: Option<ChildEnd>,
}

/// How a child ended.
#[derive(Debug)]
pub(crate) struct ChildEnd {
    /// What the kernel says.
    pub(crate) status: std::io::Result<ExitStatus>,
    /// Why it had been asked to stop, if it had.
    pub(crate) stopped: Option<Stopped>,
}

/// An order that has come.
#[derive(Debug, Clone)]
pub(crate) struct Ordered {
    /// Which.
    pub(crate) order: Order,
    /// When.
    pub(crate) at: Instant,
}

/// A signal that reached the container.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Raised {
    /// Which.
    pub(crate) signal: Signal,
    /// When.
    pub(crate) at: Instant,
}

/// A running child in a process group of its own.
#[derive(Debug)]
pub(crate) struct Running {
    interrupts: Interrupts,
    pid: Pid,
}

impl Interrupts {
    /// Blocks the signals that end a task in this thread and those it will start, and starts
    /// the thread that takes them.
    pub(crate) fn catch_signals(&self) {
        let set: SigSet = ENDING.into_iter().collect();
        if set.thread_block().is_err() {
            return;
        }
        let interrupts = self.clone();
        thread::spawn(move || {
            while let Ok(signal) = set.wait() {
                interrupts.raise(signal);
            }
        });
    }

    /// Forwards a signal to the running child's process group and remembers the first one.
    pub fn raise(&self, signal: Signal) {
        let mut state = self.lock();
        state.first.get_or_insert(Raised {
            signal,
            at: Instant::now(),
        });
        if let Some(group) = state.group {
            // A child that has just ended is not an error.
            let _ = killpg(group, signal);
        }
        self.0.changed.notify_all();
    }

    /// The first signal that came.
    pub(crate) fn raised(&self) -> Option<Raised> {
        self.lock().first
    }

    /// Has the running child hear of an order, and remembers it. There is no second one, but that nothing may be written.
    pub(crate) fn order(&self, order: Order) {
        let mut state = self.lock();
        let is_superseded = order == Order::Superseded;
        if state.is_superseded() || state.ordered.is_some() && !is_superseded {
            return;
        }
        // A child that has heard of a signal is ending.
        if let Some(group) = state.group
            && (state.first.is_none() || is_superseded)
        {
            let _ = killpg(group, order.signal());
        }
        state.ordered = Some(Ordered {
            order,
            at: Instant::now(),
        });
        self.0.changed.notify_all();
    }

    /// The order that has come.
    pub(crate) fn ordered(&self) -> Option<Ordered> {
        self.lock().ordered.clone()
    }

    /// Whether nothing may be written any more, because another attempt is in work.
    pub(crate) fn is_superseded(&self) -> bool {
        self.lock().is_superseded()
    }

    /// Sleeps, but not beyond a signal, nor when nothing may be written any more.
    pub(crate) fn pause(&self, duration: Duration) {
        let state = self.lock();
        let _ = self.0.changed.wait_timeout_while(state, duration, |state| {
            state.first.is_none() && !state.is_superseded()
        });
    }

    /// Starts a child in its own process group; signals go to that group until it has ended.
    /// There is one child at a time. The child's pipes stay in the returned [`Child`]'s place:
    /// take them through `with`.
    pub(crate) fn spawn(
        &self,
        command: &mut Command,
        with: impl FnOnce(&mut Child),
    ) -> std::io::Result<Running> {
        command.process_group(0);
        platform::unblock_signals(command);
        let mut child = command.spawn()?;
        with(&mut child);
        let pid = Pid::from_raw(child.id().cast_signed());
        {
            let mut state = self.lock();
            state.group = Some(pid);
            state.ended = None;
            if let Some(signal) = state.signal() {
                let _ = killpg(pid, signal);
            }
        }
        let interrupts = self.clone();
        thread::spawn(move || {
            let mut stopped = None;
            let status = platform::wait(&mut child, || {
                // What the child left of its group ends with it.
                let mut state = interrupts.lock();
                let _ = killpg(pid, Signal::SIGKILL);
                state.group = None;
                stopped = state.stopped();
            });
            interrupts.lock().ended = Some(ChildEnd { status, stopped });
            interrupts.0.changed.notify_all();
        });
        Ok(Running {
            interrupts: self.clone(),
            pid,
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_superseded(&self) -> bool {
        let ordered = self.ordered.as_ref();
        ordered.is_some_and(|ordered| ordered.order == Order::Superseded)
    }

    /// What a child that starts now has to hear of at once.
    fn signal(&self) -> Option<Signal> {
        let by_order = self.ordered.as_ref().map(|ordered| ordered.order.signal());
        match self.first {
            Some(raised) if !self.is_superseded() => Some(raised.signal),
            _ => by_order,
        }
    }

    /// Why a child is asked to stop.
    fn stopped(&self) -> Option<Stopped> {
        match self.first {
            Some(_) => Some(Stopped::Terminated),
            None => self.ordered.as_ref()?.order.stopped(),
        }
    }
}

impl Running {
    /// The child's process id.
    pub(crate) fn pid(&self) -> Pid {
        self.pid
    }

    /// Sends a signal to the child's process group.
    pub(crate) fn signal(&self, signal: Signal) {
        let state = self.interrupts.lock();
        if state.group == Some(self.pid) {
            let _ = killpg(self.pid, signal);
        }
    }

    /// How the child ended, if it does within `patience`. Returns early when there is a reason to stop
    /// that `seen` does not know of.
    pub(crate) fn wait(&self, patience: Duration, seen: bool) -> Option<ChildEnd> {
        let state = self.interrupts.lock();
        let (mut state, _) = self
            .interrupts
            .0
            .changed
            .wait_timeout_while(state, patience, |state| {
                state.ended.is_none() && (seen || state.stopped().is_none())
            })
            .unwrap_or_else(PoisonError::into_inner);
        state.ended.take()
    }
}
