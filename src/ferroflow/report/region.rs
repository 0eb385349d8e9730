//! Lines below the cursor: what is only for now, while what is to stay is printed above.
//!
//! The cursor is left where it would be without them, so that whoever else writes to the terminal (the flow host, a
//! warning of a library, the echo of a key) writes where it would have, and "erase below the cursor" takes them away
//! however the terminal has been resized meanwhile. Where the screen ends it scrolls by so many rows.

use std::io::Write as _;

/// "Erase from the cursor to the end of the screen".
pub(crate) const ERASE: &[u8] = b"\x1b[J";
/// Moves down and keeps the column; at the bottom the screen scrolls. Not `\n`, which the terminal driver makes a
/// return to the first column of.
const DOWN_OR_SCROLL: u8 = b'\x0b';
const SAVE_CURSOR: &[u8] = b"\x1b7";
const RESTORE_CURSOR: &[u8] = b"\x1b8";
const NEXT_ROW: &[u8] = b"\x1b[B\r";
const FAINT: &[u8] = b"\x1b[2m";
const NOT_FAINT: &[u8] = b"\x1b[22m";

/// A line of the region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) text: String,
    /// Whether it tells of what is over.
    pub(crate) faint: bool,
}

/// Size of a terminal, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
}

impl Size {
    /// How many lines a region may have: half the screen.
    pub(crate) fn room(self) -> usize {
        self.rows / 2
    }
}

/// Draws lines below the cursor, in place of those that are there.
pub(crate) fn draw(lines: &[Line], size: Size, color: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(ERASE);
    let lines = &lines[..lines.len().min(size.room())];
    if lines.is_empty() {
        return;
    }
    out.extend(std::iter::repeat_n(DOWN_OR_SCROLL, lines.len()));
    // Writing to memory does not fail.
    let _ = write!(out, "\x1b[{}A", lines.len());
    out.extend_from_slice(SAVE_CURSOR);
    for line in lines {
        out.extend_from_slice(NEXT_ROW);
        let text = fitting(&line.text, size.columns.saturating_sub(1));
        if line.faint && color {
            out.extend_from_slice(FAINT);
            out.extend_from_slice(text.as_bytes());
            out.extend_from_slice(NOT_FAINT);
        } else {
            out.extend_from_slice(text.as_bytes());
        }
    }
    out.extend_from_slice(RESTORE_CURSOR);
}

/// As much of a text as surely fits: any character beyond ASCII may be a wide one.
fn fitting(text: &str, columns: usize) -> &str {
    let mut used = 0;
    for (at, c) in text.char_indices() {
        used += if c.is_ascii() { 1 } else { 2 };
        if used > columns {
            return &text[..at];
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size {
        rows: 10,
        columns: 20,
    };

    /// A terminal with some lines of scrollback, and what is drawn on it.
    struct Terminal {
        screen: vt100::Parser,
        size: Size,
    }

    impl Terminal {
        fn new() -> Self {
            Self {
                screen: vt100::Parser::new(SIZE.rows as u16, SIZE.columns as u16, 1000),
                size: SIZE,
            }
        }

        /// What the terminal driver makes of a program's output.
        fn print(&mut self, text: &str) {
            self.screen.process(text.replace('\n', "\r\n").as_bytes());
        }

        fn draw(&mut self, lines: &[&str]) {
            let lines: Vec<_> = lines.iter().map(|text| line(text)).collect();
            let mut out = Vec::new();
            draw(&lines, self.size, true, &mut out);
            self.screen.process(&out);
        }

        fn erase(&mut self) {
            self.screen.process(ERASE);
        }

        fn resize(&mut self, rows: u16, columns: u16) {
            self.screen.screen_mut().set_size(rows, columns);
            self.size = Size {
                rows: rows.into(),
                columns: columns.into(),
            };
        }

        /// All lines, from the first one that has scrolled away, without empty ones at the end.
        fn lines(&mut self) -> Vec<String> {
            let columns = self.size.columns as u16;
            let screen = self.screen.screen_mut();
            screen.set_scrollback(usize::MAX);
            let mut all = Vec::new();
            for above in (1..=screen.scrollback()).rev() {
                screen.set_scrollback(above);
                all.extend(screen.rows(0, columns).next());
            }
            screen.set_scrollback(0);
            all.extend(screen.rows(0, columns));
            while all.last().is_some_and(|line| line.trim().is_empty()) {
                all.pop();
            }
            all
        }
    }

    fn line(text: &str) -> Line {
        Line {
            text: text.to_owned(),
            faint: text.starts_with('-'),
        }
    }

    #[test]
    fn lines_stay_above_and_nothing_of_the_region_is_left() {
        let (mut with, mut without) = (Terminal::new(), Terminal::new());
        for number in 0..40 {
            let text = format!("line {number}\n");
            without.print(&text);
            with.erase();
            with.print(&text);
            with.draw(&["-start done", "work", "end"][..number % 4 % 3]);
        }
        with.draw(&["-start done", "work"]);
        let shown = with.lines();
        assert_eq!(shown[shown.len() - 3..], ["", "-start done", "work"]);
        assert_eq!(shown[shown.len() - 4], "line 39");
        with.erase();
        assert_eq!(with.lines(), without.lines());
        assert_eq!(with.lines().len(), 40);
        let cell = with.screen.screen().cell(0, 0).unwrap();
        assert!(!cell.dim(), "the style of the region does not stay");
    }

    #[test]
    fn another_writer_finds_the_cursor_where_it_was() {
        let mut terminal = Terminal::new();
        terminal.print("begun ...");
        terminal.draw(&["work 1 running"]);
        terminal.print(" and ended\n");
        terminal.draw(&["work 1 running"]);
        terminal.print("one line more\n");
        terminal.draw(&["work done"]);
        let shown = ["begun ... and ended", "one line more", "", "work done"];
        assert_eq!(terminal.lines(), shown);
        terminal.erase();
        assert_eq!(terminal.lines(), shown[..2]);
    }

    #[test]
    fn a_region_fits_into_half_of_the_screen() {
        let mut terminal = Terminal::new();
        terminal.print("first\n");
        let many: Vec<_> = (0..30)
            .map(|n| format!("step {n} and a long text"))
            .collect();
        let many: Vec<_> = many.iter().map(String::as_str).collect();
        terminal.draw(&many);
        let lines = terminal.lines();
        assert_eq!(lines.len(), 2 + SIZE.rows / 2);
        assert_eq!(
            lines[2], "step 0 and a long t",
            "the last column stays empty"
        );
        terminal.erase();
        assert_eq!(terminal.lines(), ["first"]);
    }

    #[test]
    fn the_terminal_may_be_resized_while_the_region_is_there() {
        let mut terminal = Terminal::new();
        for number in 0..20 {
            terminal.print(&format!("{number}\n"));
        }
        terminal.draw(&["a step that runs", "another one"]);
        terminal.resize(10, 8);
        terminal.erase();
        terminal.print("after\n");
        terminal.draw(&["a step that runs", "another one"]);
        let lines = terminal.lines();
        assert_eq!(lines[lines.len() - 3..], ["", "a step ", "another"]);
        // The model has no wish to scroll when it gets lower.
        terminal.resize(14, 30);
        terminal.erase();
        terminal.print("end\n");
        terminal.draw(&[]);
        let lines = terminal.lines();
        assert_eq!(lines[lines.len() - 2..], ["after", "end"]);
    }

    #[test]
    fn wide_characters_do_not_overflow() {
        assert_eq!(fitting("abc", 3), "abc");
        assert_eq!(fitting("abcd", 3), "abc");
        assert_eq!(fitting("\u{6b65}\u{9aa4}x", 4), "\u{6b65}\u{9aa4}");
        assert_eq!(fitting("\u{6b65}", 1), "");
        assert_eq!(fitting("x", 0), "");
    }
}
