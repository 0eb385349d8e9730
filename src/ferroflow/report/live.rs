//! Whether, when and how often the region below the lines of a run is drawn.

use std::{
    env,
    ffi::OsString,
    io::{self, IsTerminal, Write},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use nix::unistd::{Pid, tcgetpgrp};
use terminal_size::{Height, Width, terminal_size_of};

use super::region::{self, Line, Size};

/// Time between two drawings. Lines of the run wait as long where they come faster, so that however many they are, the
/// terminal gets ten writes a second.
pub(crate) const FRAME: Duration = Duration::from_millis(100);

/// Where the terminal does not tell.
const USUAL: Size = Size {
    rows: 24,
    columns: 80,
};

/// Switches the region off.
const SWITCH: &str = "FERROFLOW_PROGRESS";

/// Whether a region is on this process's terminal.
static ON_SCREEN: AtomicBool = AtomicBool::new(false);

/// A region on standard output.
#[derive(Debug)]
pub(crate) struct Live {
    lines: Vec<Line>,
    color: bool,
    /// The launcher's process group.
    launcher: Pid,
    drawn_at: Option<Instant>,
}

impl Live {
    /// A region where one may be.
    pub(crate) fn if_wanted(color: bool, quiet: bool, launcher: Pid) -> Option<Self> {
        let may = !quiet && io::stdout().is_terminal() && allows(|name| env::var_os(name));
        may.then_some(Self {
            lines: Vec::new(),
            color,
            launcher,
            drawn_at: None,
        })
    }

    pub(crate) fn is_due(&self) -> bool {
        self.drawn_at.is_none_or(|at| at.elapsed() >= FRAME)
    }

    /// Takes in what the region is to say; whether that is news.
    pub(crate) fn set(&mut self, lines: Vec<Line>) -> bool {
        let is_new = self.lines != lines;
        self.lines = lines;
        is_new
    }

    /// Makes room for lines of the run, puts them there, and draws the region below.
    pub(crate) fn frame(&mut self, text: &[u8]) -> Vec<u8> {
        self.drawn_at = Some(Instant::now());
        let mut out = Vec::with_capacity(text.len() + 1024);
        out.extend_from_slice(region::ERASE);
        out.extend_from_slice(text);
        let shown = !self.lines.is_empty() && is_in_front(self.launcher);
        if shown {
            region::draw(&self.lines, size(), self.color, &mut out);
        }
        ON_SCREEN.store(shown, Ordering::Relaxed);
        out
    }

    /// Puts lines of the run where the region was.
    pub(crate) fn last(text: &[u8]) -> Vec<u8> {
        ON_SCREEN.store(false, Ordering::Relaxed);
        [region::ERASE, text].concat()
    }

    /// How many lines may be drawn.
    pub(crate) fn room() -> usize {
        size().room()
    }
}

/// Whether the environment lets a region be: it needs a terminal that can move its cursor and somebody who looks.
fn allows(variable: impl Fn(&str) -> Option<OsString>) -> bool {
    let is = |name, value: &str| variable(name).is_some_and(|v| v == value);
    let is_set = |name| variable(name).is_some_and(|v| !v.is_empty());
    let in_ci = is_set("CI") && !is("CI", "false");
    is_set("TERM") && !is("TERM", "dumb") && !in_ci && !is(SWITCH, "off")
}

fn size() -> Size {
    match terminal_size_of(io::stdout()) {
        Some((Width(columns), Height(rows))) if columns > 0 && rows > 0 => Size {
            rows: rows.into(),
            columns: columns.into(),
        },
        _ => USUAL,
    }
}

/// Whether the launcher has the terminal: it is neither stopped (Ctrl-Z) nor in the background. The engine itself is never in
/// front, having a process group of its own. Where the terminal is not that of the session nobody can tell.
fn is_in_front(launcher: Pid) -> bool {
    tcgetpgrp(io::stdout()).map_or(true, |in_front| in_front == launcher)
}

/// Standard error, for what is not a line of the run: a region in its way is taken off the terminal, until it is drawn
/// again.
#[derive(Debug)]
pub(crate) struct Stderr;

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut stderr = io::stderr().lock();
        if ON_SCREEN.swap(false, Ordering::Relaxed) && stderr.is_terminal() {
            stderr.write_all(region::ERASE)?;
        }
        stderr.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_may_forbid_it() {
        let allowed = |variables: &[(&str, &str)]| {
            allows(|name| {
                let found = variables.iter().find(|(n, _)| *n == name);
                found.map(|(_, value)| value.into())
            })
        };
        let xterm = ("TERM", "xterm");
        assert!(allowed(&[xterm]));
        assert!(allowed(&[xterm, ("CI", "")]));
        assert!(allowed(&[xterm, ("CI", "false"), (SWITCH, "on")]));
        assert!(!allowed(&[]));
        assert!(!allowed(&[("TERM", "")]));
        assert!(!allowed(&[("TERM", "dumb")]));
        assert!(!allowed(&[xterm, ("CI", "true")]));
        assert!(!allowed(&[xterm, (SWITCH, "off")]));
    }
}
