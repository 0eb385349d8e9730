//! A rule for each promise.

mod attempts;
mod chain;
mod failures;
mod fence;
mod foreign;
mod in_flight;
mod lease;
mod no_overlap;
mod one_process;
mod rates;
mod terminal;

use crate::{Expectations, Finding, picture::Picture};

/// What a rule finds.
type Rule = fn(&Picture<'_>, &Expectations) -> Vec<Finding>;

pub(crate) const ALL: [Rule; 11] = [
    one_process::check,
    no_overlap::check,
    attempts::check,
    chain::check,
    rates::check,
    in_flight::check,
    fence::check,
    lease::check,
    terminal::check,
    failures::check,
    foreign::check,
];
