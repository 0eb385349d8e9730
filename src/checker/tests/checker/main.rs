//! The checker, tried on histories made by hand: each promise broken at least once, each breach found, and nothing found
//! where all is well.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod attempts;
mod good;
mod launchers;
mod processes;
mod story;
