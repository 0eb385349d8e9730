//! Console lines in Metaflow's format (`logger` in metaflow/cli.py): a timestamp, the path of the
//! task, the message; on a terminal in the same colours.

use std::{
    borrow::Cow,
    io::{self, BufWriter, Stdout, Write},
};

use jiff::{Timestamp, tz::TimeZone};

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
    out: BufWriter<Stdout>,
    color: bool,
    zone: TimeZone,
}

impl Console {
    pub(crate) fn new(color: bool) -> Self {
        Self {
            out: BufWriter::new(io::stdout()),
            color,
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
        // A reader that went away must not end the run.
        let _ = if self.color {
            self.colored(&at.to_string(), head, tone, text)
        } else {
            writeln!(self.out, "{at} {head}{}", without_escapes(text))
        };
    }

    fn colored(&mut self, at: &str, head: &str, tone: Tone, text: &str) -> io::Result<()> {
        write!(self.out, "{TIMESTAMP}{at} {RESET}")?;
        if !head.is_empty() {
            write!(self.out, "{HEAD}{head}{RESET}")?;
        }
        let (color, weight) = match tone {
            Tone::User => ("", NOT_BOLD),
            Tone::System => ("", BOLD),
            Tone::Bad => (BAD, BOLD),
        };
        writeln!(self.out, "{color}{weight}{text}{RESET}")
    }

    /// Shows what was printed; called when no event is waiting.
    pub(crate) fn flush(&mut self) {
        let _ = self.out.flush();
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
