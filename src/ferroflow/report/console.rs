//! Console lines in Metaflow's format (`logger` in metaflow/cli.py): a timestamp, the path of the
//! task, the message; on a terminal in the same colours, and with a region for the steps below them.

use std::{
    borrow::Cow,
    io::{self, Write},
};

use jiff::{Timestamp, tz::TimeZone};
use model::plan::ConsoleSettings;
use nix::unistd::Pid;

use super::{live::Live, region::Line};

/// So many bytes do not wait for others.
const FULL: usize = 16 << 10;

/// Magenta, as click writes it.
const TIMESTAMP: &str = "\x1b[35m";
/// Green.
const HEAD: &str = "\x1b[32m";
/// Red, bold or not.
const BAD: &str = "\x1b[31m";
const BOLD: &str = "\x1b[1m";
const NOT_BOLD: &str = "\x1b[22m";
const RESET: &str = "\x1b[0m";

/// Whose words a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    /// What user code printed.
    User,
    /// What the launcher says.
    System,
    /// What the launcher says when something went wrong.
    Bad,
}

/// Standard output, one line at a time.
#[derive(Debug)]
pub(crate) struct Console {
    /// What is not written yet.
    pending: Vec<u8>,
    live: Option<Live>,
    color: bool,
    zone: TimeZone,
}

impl Console {
    /// `launcher` is the process group that has the terminal when the launcher is in front.
    pub(crate) fn new(settings: ConsoleSettings, launcher: Pid) -> Self {
        Self {
            pending: Vec::new(),
            live: Live::if_wanted(settings.color, settings.quiet, launcher),
            color: settings.color,
            zone: TimeZone::system(),
        }
    }

    /// Prints a line about the run.
    pub(crate) fn say(&mut self, tone: Tone, text: &str) {
        self.line(Timestamp::now(), "", tone, text);
    }

    /// Prints a line. `head` is empty or names the task, with a blank at its end.
    pub(crate) fn line(&mut self, at: Timestamp, head: &str, tone: Tone, text: &str) {
        let at = at
            .to_zoned_datetime(self.zone.clone())
            .strftime("%Y-%m-%d %H:%M:%S%.3f");
        // Writing to memory does not fail.
        let _ = if self.color {
            self.colored(&at.to_string(), head, tone, text)
        } else {
            writeln!(self.pending, "{at} {head}{}", without_escapes(text))
        };
        if self.pending.len() >= FULL {
            self.put();
        }
    }

    fn colored(&mut self, at: &str, head: &str, tone: Tone, text: &str) -> io::Result<()> {
        write!(self.pending, "{TIMESTAMP}{at} {RESET}")?;
        if !head.is_empty() {
            write!(self.pending, "{HEAD}{head}{RESET}")?;
        }
        let (color, weight) = match tone {
            Tone::User => ("", NOT_BOLD),
            Tone::System => ("", BOLD),
            Tone::Bad => (BAD, BOLD),
        };
        writeln!(self.pending, "{color}{weight}{text}{RESET}")
    }

    /// Shows what was printed; called when no event is waiting. `steps` is asked for what the region says, with the number
    /// of its lines, when it is drawn again.
    pub(crate) fn flush(&mut self, steps: impl FnOnce(usize) -> Vec<Line>) {
        let news = match &mut self.live {
            Some(live) if live.is_due() => live.set(steps(Live::room())),
            Some(_) => return,
            None => false,
        };
        if news || !self.pending.is_empty() {
            self.put();
        }
    }

    /// Whether there is a region, which has to be drawn again each [`FRAME`](super::FRAME).
    pub(crate) fn is_live(&self) -> bool {
        self.live.is_some()
    }

    /// Shows what was printed and takes the region away for good: others go on printing.
    pub(crate) fn close(&mut self) {
        if self.live.take().is_some() {
            self.pending = Live::last(&self.pending);
        }
        self.put();
    }

    fn put(&mut self) {
        let text = std::mem::take(&mut self.pending);
        let text = match &mut self.live {
            Some(live) => live.frame(&text),
            None => text,
        };
        let mut out = io::stdout().lock();
        // A reader that went away must not end the run.
        let _ = out.write_all(&text).and_then(|()| out.flush());
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        self.close();
    }
}

/// The text without terminal escapes, as click writes it to what is not a terminal
/// (`strip_ansi`: ESC, `[`, any of `;?0-9`, a letter).
fn without_escapes(text: &str) -> Cow<'_, str> {
    let mut rest = text;
    let mut kept = String::new();
    while let Some(start) = rest.find("\x1b[") {
        let (before, escape) = rest.split_at(start);
        let parameters =
            escape[2..].trim_start_matches(|c: char| ";?".contains(c) || c.is_ascii_digit());
        kept.push_str(before);
        if let Some(after) = parameters.strip_prefix(|c: char| c.is_ascii_alphabetic()) {
            rest = after;
        } else {
            kept.push_str("\x1b[");
            rest = &escape[2..];
        }
    }
    if rest.len() == text.len() {
        return Cow::Borrowed(text);
    }
    kept.push_str(rest);
    Cow::Owned(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_go_where_nobody_can_see_them() {
        assert_eq!(without_escapes("a \x1b[31mred\x1b[0m b"), "a red b");
        assert_eq!(without_escapes("plain"), "plain");
        assert_eq!(without_escapes("\x1b[?25l\x1b[1;2H"), "");
        assert_eq!(
            without_escapes("not \x1b[ one \x1b[3"),
            "not \x1b[ one \x1b[3"
        );
    }
}
