//! Places where a test lets the engine die, as by SIGKILL: between two steps of a launch that must stay safe apart; and times that
//! tests have no patience for. Only in builds for tests.

use std::time::Duration;

/// Ends this process if `FERROFLOW_FAILPOINT` names the place: `name`, or `name:3` for the third time that it is reached.
#[cfg(debug_assertions)]
pub(crate) fn reach(place: &str) {
    use std::cell::Cell;

    use nix::sys::signal::{Signal, raise};

    thread_local! {
        static REACHED: Cell<u32> = const { Cell::new(0) };
    }
    let Ok(wanted) = std::env::var("FERROFLOW_FAILPOINT") else {
        return;
    };
    let (name, nth) = wanted.split_once(':').unwrap_or((&wanted, "1"));
    if name != place {
        return;
    }
    REACHED.set(REACHED.get() + 1);
    if nth.parse() == Ok(REACHED.get()) {
        let _ = raise(Signal::SIGKILL);
    }
}

#[cfg(not(debug_assertions))]
pub(crate) fn reach(_: &str) {}

/// So many seconds if `FERROFLOW_FAILPOINT` says so, as `absent:15,forgotten:1`; else what is usual.
#[cfg(debug_assertions)]
pub(crate) fn shortened(time: &str, usual: Duration) -> Duration {
    let wanted = std::env::var("FERROFLOW_FAILPOINT").unwrap_or_default();
    let mut named = wanted
        .split(',')
        .filter_map(|one| one.strip_prefix(time)?.strip_prefix(':')?.parse().ok());
    named.next().map_or(usual, Duration::from_secs)
}

#[cfg(not(debug_assertions))]
pub(crate) fn shortened(_: &str, usual: Duration) -> Duration {
    usual
}
