//! `ferroflow --json FLOW.py run …`: events on standard output, one per line, and all lines for people on standard error.
//!
//! That is done before Python starts: whatever a flow's file, Metaflow or a hook prints is no event.

use std::{
    env,
    ffi::OsString,
    io::{stderr, stdout},
    os::fd::{AsFd, IntoRawFd},
    process::Command,
};

use anyhow::{Context, Result, bail};
use nix::unistd::dup;

use super::dev::auto::starts_run;

/// Wants events without the option.
pub(crate) const SWITCH: &str = "FERROFLOW_JSON";

/// Tells Python the number of the descriptor for events (`python/ferroflow/events.py`).
const DESCRIPTOR: &str = "FERROFLOW_JSON_FD";

/// Gives a run a stream for events, if somebody wants them.
pub(crate) fn prepare(command: &mut Command, args: &[OsString], is_wanted: bool) -> Result<()> {
    // Runs inside tasks have no part in it.
    command.env_remove(SWITCH).env_remove(DESCRIPTOR);
    if !(is_wanted || is_on(env::var_os(SWITCH))?) || !starts_run(args) {
        return Ok(());
    }
    if env::var_os("FERROFLOW").is_some_and(|wish| wish == "off") {
        bail!(
            "events are wanted, and FERROFLOW is `off`\nhint: Metaflow's own scheduler tells none: unset FERROFLOW, or do without --json and {SWITCH}"
        );
    }
    let people = stderr().as_fd().try_clone_to_owned();
    let people = people.context("cannot use standard error for the lines of the run")?;
    // Without close-on-exec: it is Python's.
    let events = dup(stdout()).context("cannot use standard output for events")?;
    command
        .env(DESCRIPTOR, events.into_raw_fd().to_string())
        .stdout(people);
    Ok(())
}

fn is_on(value: Option<OsString>) -> Result<bool> {
    let value = value.unwrap_or_default();
    match value.to_str() {
        Some("" | "0") => Ok(false),
        Some("1") => Ok(true),
        _ => bail!(
            "{SWITCH} is `{}`\nhint: use 1 for events on standard output, or 0",
            value.display()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_switch_is_one_or_zero() {
        let is_on = |value: &str| is_on(Some(value.into()));
        assert!(!super::is_on(None).unwrap());
        assert!(is_on("1").unwrap());
        assert!(!is_on("0").unwrap() && !is_on("").unwrap());
        assert!(is_on("yes").is_err());
    }
}
