//! The tables of docs/errors.md: `| name | situation | command | exit code | text |`. A command and each line of a text are
//! code; lines are separated by `<br>`, and `…` stands for anything in a line, or for any lines.

use std::{fs, path::Path};

/// A row of a table.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) situation: String,
    pub(crate) command: String,
    pub(crate) exit: String,
    pub(crate) text: Vec<String>,
}

/// All rows, in their order.
pub(crate) fn rows() -> Vec<Row> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/errors.md");
    let text = fs::read_to_string(path).expect("the table");
    text.lines().filter_map(row).collect()
}

/// The row of this name.
pub(crate) fn named(name: &str) -> Row {
    let row = rows().into_iter().find(|row| row.name == name);
    row.unwrap_or_else(|| panic!("docs/errors.md has no row {name}"))
}

fn row(line: &str) -> Option<Row> {
    let cells = line.strip_prefix("| ")?.strip_suffix(" |")?;
    let cells = cells.replace("\\|", "\0");
    let cells: Vec<_> = cells
        .split(" | ")
        .map(|cell| cell.replace('\0', "|"))
        .collect();
    let [name, situation, command, exit, text] = &cells[..] else {
        return None;
    };
    let name = name.strip_prefix('`')?.strip_suffix('`')?;
    Some(Row {
        name: name.to_owned(),
        situation: situation.clone(),
        command: plain(command),
        exit: exit.clone(),
        text: text
            .split("<br>")
            .filter(|line| *line != "–")
            .map(plain)
            .collect(),
    })
}

/// The text of a code span.
fn plain(code: &str) -> String {
    match code
        .strip_prefix("`` ")
        .and_then(|rest| rest.strip_suffix(" ``"))
    {
        Some(inner) => inner.to_owned(),
        None => code.trim_matches('`').to_owned(),
    }
}

/// A code span in a cell.
fn code(text: &str) -> String {
    let text = text.replace('|', "\\|");
    if text.contains('`') {
        format!("`` {text} ``")
    } else {
        format!("`{text}`")
    }
}

impl Row {
    /// The row as a line of the document.
    pub(crate) fn line(&self) -> String {
        let text: Vec<_> = self.text.iter().map(|line| code(line)).collect();
        let text = if text.is_empty() {
            "–".to_owned()
        } else {
            text.join("<br>")
        };
        format!(
            "| `{}` | {} | {} | {} | {text} |",
            self.name,
            self.situation.replace('|', "\\|"),
            code(&self.command),
            self.exit
        )
    }

    /// Whether these lines are what the row says.
    pub(crate) fn allows(&self, seen: &[String]) -> bool {
        let wanted: Vec<&str> = self.text.iter().map(String::as_str).collect();
        let seen: Vec<&str> = seen.iter().map(String::as_str).collect();
        matches(&wanted, &seen)
    }
}

fn matches(wanted: &[&str], seen: &[&str]) -> bool {
    match wanted {
        [] => seen.is_empty(),
        ["…", rest @ ..] => (0..=seen.len()).any(|skipped| matches(rest, &seen[skipped..])),
        [first, rest @ ..] => seen
            .split_first()
            .is_some_and(|(line, seen)| matches_line(first, line) && matches(rest, seen)),
    }
}

fn matches_line(wanted: &str, seen: &str) -> bool {
    match wanted.split_once('…') {
        None => wanted == seen,
        Some((before, after)) => seen.strip_prefix(before).is_some_and(|rest| {
            let starts = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
            starts
                .into_iter()
                .any(|at| matches_line(after, &rest[at..]))
        }),
    }
}

#[test]
fn a_row_is_read_as_it_was_written() {
    let row = Row {
        name: "name".to_owned(),
        situation: "this | that".to_owned(),
        command: "ferroflow flow.py run | head -1".to_owned(),
        exit: "1".to_owned(),
        text: vec![
            "`x` is … wrong".to_owned(),
            "…".to_owned(),
            "hint: a | b".to_owned(),
        ],
    };
    let read = super::table::row(&row.line()).expect("a row");
    assert_eq!(format!("{read:?}"), format!("{row:?}"));
    let seen = |lines: &[&str]| {
        read.allows(
            &lines
                .iter()
                .map(|line| (*line).to_owned())
                .collect::<Vec<_>>(),
        )
    };
    assert!(seen(&["`x` is very wrong", "hint: a | b"]));
    assert!(seen(&["`x` is  wrong", "more", "and more", "hint: a | b"]));
    assert!(!seen(&["`x` is right", "hint: a | b"]));
    assert!(!seen(&["`x` is very wrong", "more"]));
}
