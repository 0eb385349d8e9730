//! The command line itself: versions, `-v`, completions in the shells that are here.

#![cfg(target_os = "linux")]

mod harness;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use harness::{
    FERROFLOW,
    lab::{Lab, Launcher},
    python,
    terminal::Terminal,
};

/// A folder with flows, and `ferroflow` on a PATH.
fn place() -> (tempfile::TempDir, std::ffi::OsString) {
    let folder = harness::temporary::folder();
    for name in ["flow.py", "my flow.py", "notes.txt"] {
        fs::write(folder.path().join(name), "").expect("a file");
    }
    fs::create_dir(folder.path().join("nested")).expect("a folder");
    let program = Path::new(FERROFLOW)
        .parent()
        .expect("a folder")
        .to_path_buf();
    let rest = std::env::var_os("PATH").unwrap_or_default();
    let paths = std::iter::once(program).chain(std::env::split_paths(&rest));
    let path = std::env::join_paths(paths).expect("PATH");
    (folder, path)
}

fn is_here(shell: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let mut files = std::env::split_paths(&paths).map(|folder: PathBuf| folder.join(shell));
    let here = files.any(|file| file.is_file());
    if !here {
        eprintln!("SKIPPED: there is no {shell}");
    }
    here
}

fn output(command: &mut Command) -> Vec<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .expect("the shell starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.is_empty(), "{errors}");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
    lines.sort_unstable();
    lines
}

#[test]
fn versions_are_told_short_and_long() {
    let said = |arg| {
        output(
            Command::new(FERROFLOW)
                .arg(arg)
                .env("FERROFLOW_BOOTSTRAP_DIR", "/nowhere"),
        )
    };
    let short = said("-V");
    assert_eq!(short, [concat!("ferroflow ", env!("CARGO_PKG_VERSION"))]);
    let long = said("--version");
    assert!(long.contains(&short[0]), "{long:?}");
    for begin in [
        "commit:     ",
        "target:     ",
        "profile:    ",
        "rustc:      1.",
        "features:   dev",
    ] {
        assert!(
            long.iter().any(|line| line.starts_with(begin)),
            "{begin}: {long:?}"
        );
    }
    let bootstraps = "bootstraps: none found; runs on AWS Batch need them";
    assert!(long.iter().any(|line| line == bootstraps), "{long:?}");
}

#[test]
fn a_reader_that_goes_away_has_seen_enough() {
    let script = "\"$0\" completions bash | true";
    let said = output(Command::new("sh").args(["-c", script, FERROFLOW]));
    assert!(said.is_empty(), "{said:?}");
}

#[test]
fn verbose_tells_what_a_flow_is_run_with() {
    let lab = Lab::new("custom_ends.py");
    let quiet = lab.command(Launcher::Ferroflow, &["run", "-v"]);
    let mut verbose = Command::new(FERROFLOW);
    verbose
        .arg("-v")
        .args(quiet.get_args())
        .current_dir(lab.path());
    for (name, value) in quiet.get_envs() {
        match value {
            Some(value) => verbose.env(name, value),
            None => verbose.env_remove(name),
        };
    }
    let interpreter = format!(
        "interpreter: {} (FERROFLOW_PYTHON)",
        python::with_metaflow().display()
    );
    let datastore = "datastore: METAFLOW_DATASTORE_SYSROOT_LOCAL=";
    verbose.env("METAFLOW_DATASTORE_SYSROOT_LOCAL", lab.path());
    // What follows the flow is Metaflow's, which has no -v.
    lab.start(verbose)
        .wait()
        .exited(2)
        .says(&format!("ferroflow: {interpreter}\n"))
        .says(&format!("ferroflow: program: {FERROFLOW} (version "))
        .says("ferroflow: extension: ")
        .says(&format!("ferroflow: {datastore}"))
        .says("no such option: -v");
    lab.start(quiet)
        .wait()
        .exited(2)
        .does_not_say("ferroflow: ");
}

#[test]
fn bash_completes_verbs_options_and_flows() {
    if !is_here("bash") {
        return;
    }
    let (folder, path) = place();
    let complete = |words: &[&str]| {
        let script = r#"
            eval "$(ferroflow completions bash)"
            COMP_WORDS=(ferroflow "$@"); COMP_CWORD=$#
            _ferroflow_or_flow ferroflow "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
            printf '%s\n' "${COMPREPLY[@]}"
        "#;
        output(
            Command::new("bash")
                .args(["--norc", "-c", script, "bash"])
                .args(words)
                .current_dir(folder.path())
                .env("PATH", &path),
        )
    };
    let first = complete(&[""]);
    for expected in [
        "status",
        "dev",
        "completions",
        "flow.py",
        "my flow.py",
        "nested",
    ] {
        assert!(
            first.iter().any(|word| word == expected),
            "{expected}: {first:?}"
        );
    }
    for hidden in ["engine", "package", "bootstrap", "notes.txt"] {
        assert!(
            !first.iter().any(|word| word == hidden),
            "{hidden}: {first:?}"
        );
    }
    assert_eq!(complete(&["sta"]), ["status"]);
    assert_eq!(complete(&["-v", "fl"]), ["flow.py"]);
    assert_eq!(complete(&["--json", "-v", "fl"]), ["flow.py"]);
    assert!(complete(&["status", "--"]).contains(&"--json".to_owned()));
    assert_eq!(complete(&["dev", "sta"]), ["status"]);
    assert_eq!(complete(&["completions", "z"]), ["zsh"]);
    assert_eq!(
        complete(&["flow.py", "sta"]),
        [""],
        "what follows a flow is not ours"
    );
}

#[test]
fn fish_completes_verbs_options_and_flows() {
    if !is_here("fish") {
        return;
    }
    let (folder, path) = place();
    let complete = |line: &str| {
        let script = format!("ferroflow completions fish | source; complete -C 'ferroflow {line}'");
        output(
            Command::new("fish")
                .args(["--no-config", "-c", &script])
                .current_dir(folder.path())
                .env("HOME", folder.path())
                .env("PATH", &path),
        )
    };
    let first = complete("");
    for expected in ["status", "dev", "flow.py"] {
        let has = |line: &&String| line.split('\t').next() == Some(expected);
        assert!(first.iter().any(|line| has(&line)), "{expected}: {first:?}");
    }
    assert!(
        !first.iter().any(|line| line.starts_with("engine")),
        "{first:?}"
    );
    let options = complete("status --");
    assert!(
        options.iter().any(|line| line.starts_with("--json\t")),
        "{options:?}"
    );
    let nested = complete("dev sta");
    assert!(
        nested.iter().any(|line| line.starts_with("status\t")),
        "{nested:?}"
    );
}

#[test]
fn zsh_completes_verbs_options_and_flows() {
    if !is_here("zsh") {
        return;
    }
    let (folder, path) = place();
    let mut terminal = Terminal::new(24, 100);
    terminal.start_with_keyboard(
        Command::new("zsh")
            .args(["-f", "-i"])
            .current_dir(folder.path())
            .env("HOME", folder.path())
            .env("TERM", "xterm")
            .env("PATH", &path),
    );
    let ready = "autoload -Uz compinit && compinit -D -u && eval \"$(ferroflow completions zsh)\" && echo re''ady\n";
    terminal.type_in(ready);
    terminal.wait_for("ready", 0);
    for (typed, completed) in [
        ("ferroflow sta\t", "ferroflow status"),
        ("ferroflow stat\t--js\t", "status --json"),
        ("ferroflow fl\t", "ferroflow flow.py"),
        ("ferroflow dev stat\t", "dev status"),
    ] {
        let before = terminal.bytes().len();
        terminal.type_in(typed);
        wait_for_line(&terminal, completed, before);
        // Takes the line away.
        terminal.type_in("\x15\n");
    }
    terminal.type_in("exit\n");
    assert_eq!(terminal.end().0, Some(0));
}

fn wait_for_line(terminal: &Terminal, text: &str, from: usize) {
    harness::wait_for(text, || {
        let bytes = terminal.bytes();
        let lines = harness::terminal::lines(&bytes[from..], 24, 100);
        lines.iter().any(|line| line.contains(text))
    });
}
