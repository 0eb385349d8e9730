//! Standard output of the verbs: a line that cannot be written is an error, where `println!` would panic.

use std::{
    fmt::{self, Write as _},
    io::{self, ErrorKind, Write},
};

use anyhow::{Error, Result};

/// Prints a line.
pub(crate) fn line(text: impl fmt::Display) -> Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")
        .and_then(|()| out.flush())
        .map_err(cannot)
}

/// Prints a text that may be long. A reader that goes away (`| head`) has seen enough.
pub(crate) fn text(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(cannot),
    }
}

/// The error of a line that cannot be written.
pub(crate) fn cannot(error: io::Error) -> Error {
    Error::new(error).context("cannot write to standard output")
}

/// Rows with their cells below each other; the last one of a row is as long as it is.
pub(crate) fn columns(rows: &[impl AsRef<[String]>], indent: &str) -> String {
    let mut widths: Vec<usize> = Vec::new();
    for row in rows {
        let cells = row.as_ref();
        widths.resize(widths.len().max(cells.len()), 0);
        for (width, cell) in widths.iter_mut().zip(cells) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in rows {
        let cells = row.as_ref().iter().zip(&widths);
        let padded: Vec<_> = cells
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        let _ = writeln!(text, "{indent}{}", padded.join("  ").trim_end());
    }
    text
}
