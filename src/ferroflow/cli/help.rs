//! All help texts as they are at 100 columns, in `help.txt`. After a change on purpose:
//! `FERROFLOW_UPDATE_HELP=1 cargo test help_texts`.

use std::{env, fmt::Write as _, fs, path::Path};

use clap::{Command, CommandFactory};

use super::Cli;

const WIDTH: usize = 100;
const KNOWN: &str = include_str!("help.txt");

fn write_help(command: &Command, path: &str, out: &mut String) {
    let mut shown = command.clone().bin_name(path).term_width(WIDTH);
    let _ = writeln!(out, "$ {path} --help");
    for line in shown.render_long_help().to_string().lines() {
        let _ = writeln!(out, "{}", line.trim_end());
    }
    out.push('\n');
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        write_help(verb, &format!("{path} {}", verb.get_name()), out);
    }
}

#[test]
fn help_texts_are_known() {
    let mut text = String::new();
    write_help(&Cli::command(), "ferroflow", &mut text);
    if env::var_os("FERROFLOW_UPDATE_HELP").is_some() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/ferroflow/cli/help.txt");
        fs::write(file, &text).unwrap();
        return;
    }
    assert_eq!(
        text, KNOWN,
        "FERROFLOW_UPDATE_HELP=1 takes the new texts over"
    );
    for line in text.lines() {
        assert!(line.chars().count() <= WIDTH, "too long: {line}");
    }
}
