//! Holds a history of the embedded stack against what a launch promises (docs/launch-protocol.md, docs/faults.md): that user
//! code starts at most once, that nothing is submitted unrecorded, and so on. Tests call it at the end of their runs, users
//! by `ferroflow dev check-history`.
//!
//! It knows what launchers and containers write, by [`model`], and the lines of the history, by itself: of the stack it uses
//! no code, and of the launcher nothing but the forms of its objects. Nothing here does I/O or reads a clock.

mod expectations;
mod finding;
mod history;
mod objects;
mod picture;
mod rules;

pub use expectations::{Expectations, LeaseTimes, Rates};
pub use finding::{Finding, Promise};
pub use history::{History, HistoryError};

use picture::Picture;

/// All that a history says against the promises, in the order of [`Promise`]. Nothing is what one hopes for.
pub fn check(history: &History, expectations: &Expectations) -> Vec<Finding> {
    let (picture, mut findings) = Picture::of(history);
    for rule in rules::ALL {
        findings.extend(rule(&picture, expectations));
    }
    findings.sort_by_key(|finding| finding.promise);
    findings
}
