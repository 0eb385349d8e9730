//! Tables on the terminal.

use std::fmt::Write as _;

/// Rows with their cells below each other; the last one of a row is as long as it is.
pub(super) fn columns(rows: &[impl AsRef<[String]>], indent: &str) -> String {
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
