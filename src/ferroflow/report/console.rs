//! Console lines in Metaflow's format (`logger` in metaflow/cli.py): a timestamp, the path of the
//! task, the message; on a terminal in the same colours.

use std::io::{self, BufWriter, Stdout, Write};

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
            writeln!(self.out, "{at} {head}{text}")
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
