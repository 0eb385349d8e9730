//! What a run does to a terminal: lines about its steps below the log, which leave nothing behind. That the log is upstream's
//! byte for byte the cases `terminal` and `terminal_of_failure` of `local.rs` say, which look past those lines as
//! `without_regions` does here; here a model of a terminal says that this is what a user sees.

#![cfg(target_os = "linux")]

mod harness;

use std::{fs, process::Command};

use harness::{
    lab::{Lab, Launcher},
    terminal::{Terminal, contains, lines, regions, without_regions},
    wait_for,
};

const ROWS: u16 = 12;
const COLUMNS: u16 = 120;

fn command(lab: &Lab, args: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = lab.command(Launcher::Ferroflow, args);
    command
        .env("TERM", "xterm")
        .env_remove("CI")
        .env_remove("NO_COLOR")
        .envs(variables.iter().copied());
    command
}

/// What a run of the smallest flow writes to a terminal.
fn written(args: &[&str], variables: &[(&str, &str)]) -> Vec<u8> {
    let lab = Lab::new("custom_ends.py");
    let mut terminal = Terminal::new(ROWS, COLUMNS);
    terminal.start(&mut command(&lab, args, variables));
    let (code, bytes) = terminal.end();
    let text = String::from_utf8_lossy(&bytes);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("Task finished successfully."), "{text}");
    bytes
}

fn has_region(bytes: &[u8]) -> bool {
    contains(bytes, b"\x0b") || contains(bytes, b"\x1b[J") || !regions(bytes).is_empty()
}

#[test]
fn steps_are_shown_below_the_lines_and_leave_nothing_behind() {
    let lab = Lab::new("blocks.py");
    let mut terminal = Terminal::new(ROWS, COLUMNS);
    terminal.start(&mut command(&lab, &["run"], &[("WIDTH", "7")]));
    wait_for("the tasks to block", || {
        (0..7).all(|n| lab.shared(&format!("task-{n}")).exists())
    });
    terminal.wait_for("7 running, 0 of 7 done", 0);
    wait_for("what tasks print", || {
        let text = without_regions(&terminal.drawn());
        String::from_utf8_lossy(&text).matches("blocking").count() == 7
    });

    // Somebody else writes to the terminal while nothing happens.
    terminal.write("a warning of another program\n");
    terminal.wait_for_drawings(2);
    let seen = lines(&terminal.drawn(), ROWS, COLUMNS);
    let [.., warning, empty, start, block] = &seen[..] else {
        panic!("{seen:#?}");
    };
    assert_eq!(warning, "a warning of another program", "{seen:#?}");
    assert_eq!(empty, "");
    assert!(
        start.starts_with(" start  ") && start.ends_with("  done"),
        "{seen:#?}"
    );
    assert!(block.ends_with("s  7 running, 0 of 7 done"), "{seen:#?}");

    terminal.resize(ROWS, 20);
    terminal.wait_for_drawings(2);
    let narrow = regions(&terminal.drawn()).pop().expect("a region");
    let widths: Vec<_> = lines(narrow.as_bytes(), ROWS, COLUMNS)
        .iter()
        .map(String::len)
        .collect();
    assert_eq!(widths.last(), Some(&19), "{narrow:?}");
    terminal.resize(ROWS, COLUMNS);

    fs::write(lab.shared("release"), "").expect("the tasks may go on");
    let (code, bytes) = terminal.end();
    assert_eq!(code, Some(0), "{}", String::from_utf8_lossy(&bytes));
    let left = without_regions(&bytes);
    for control in [&b"\x0b"[..], b"\x1b7", b"\x1b8", b"\x1b[J"] {
        assert!(
            !contains(&left, control),
            "{}",
            String::from_utf8_lossy(&left)
        );
    }
    let seen = lines(&bytes, ROWS, COLUMNS);
    assert_eq!(seen, lines(&left, ROWS, COLUMNS));
    assert!(seen.len() > 25, "{seen:#?}");
    assert!(
        seen.last().is_some_and(|line| line.ends_with("Done!")),
        "{seen:#?}"
    );
}

#[test]
fn tasks_that_fail_have_their_last_words_below_the_steps() {
    let lab = Lab::new("bad_items.py");
    let mut terminal = Terminal::new(ROWS, COLUMNS);
    terminal.start(&mut command(&lab, &["run"], &[("WAIT", "1")]));
    terminal.wait_for("4 running, 0 of 8 done, 4 failed", 0);
    terminal.wait_for(": user error: item ", 0);
    fs::write(lab.shared("release"), "").expect("the tasks may go on");
    let (code, bytes) = terminal.end();
    assert_eq!(code, Some(1), "{}", String::from_utf8_lossy(&bytes));
    let left = without_regions(&bytes);
    assert!(!contains(&left, b": user error: item "));
}

#[test]
fn no_color_means_no_escape_sequence_in_any_line() {
    let bytes = written(&["run"], &[("NO_COLOR", "1")]);
    assert!(has_region(&bytes));
    for region in regions(&bytes) {
        assert!(!region.contains("\x1b[2m"), "{region:?}");
    }
    let left = without_regions(&bytes);
    assert!(
        !contains(&left, b"\x1b"),
        "{}",
        String::from_utf8_lossy(&left)
    );
}

#[test]
fn a_terminal_that_cannot_move_its_cursor_gets_upstreams_lines_only() {
    let bytes = written(&["run"], &[("TERM", "dumb")]);
    assert!(!has_region(&bytes), "{}", String::from_utf8_lossy(&bytes));
    assert!(contains(&bytes, b"\x1b[35m"), "colours are upstream's");
}

#[test]
fn who_wants_it_quiet_gets_no_region() {
    let bytes = written(&["--quiet", "run"], &[]);
    assert!(!has_region(&bytes), "{}", String::from_utf8_lossy(&bytes));
}
