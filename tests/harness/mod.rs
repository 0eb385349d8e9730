//! What the black-box tests share: an interpreter with upstream Metaflow, folders to run flows in, processes that are
//! watched. Tests wait for conditions, with deadlines, and leave no process behind.

#![allow(
    dead_code,
    reason = "each test target uses its own part of this module"
)]

pub(crate) mod blocked;
pub(crate) mod bootstraps;
pub(crate) mod events;
pub(crate) mod lab;
pub(crate) mod metadata_service;
pub(crate) mod processes;
pub(crate) mod python;
pub(crate) mod stack;
pub(crate) mod story;
pub(crate) mod temporary;
pub(crate) mod terminal;

use std::{
    io::Write,
    path::PathBuf,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// How long a condition may take to come true on a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_mins(2);

/// The launcher under test.
pub(crate) const FERROFLOW: &str = env!("CARGO_BIN_EXE_ferroflow");

/// The folder `tests`.
pub(crate) fn tests_folder() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests"].iter().collect()
}

/// Runs a case of `tests/compare/cases.py` by upstream and by Ferroflow; panics with the differences.
pub(crate) fn compare(case: &str) {
    let (same, output) = run_pair(FERROFLOW.as_ref(), &[case]);
    assert!(same, "upstream and Ferroflow differ in {case}\n{output}");
}

/// The comparison tool with `launcher` under test: whether both sides were the same, and what it printed.
pub(crate) fn run_pair(launcher: &std::path::Path, args: &[&str]) -> (bool, String) {
    let output = Command::new(python::with_metaflow())
        .arg(tests_folder().join("compare/run_pair.py"))
        .args(args)
        .env("FERROFLOW_BIN", launcher)
        .env("TMPDIR", temporary::base())
        .stdin(Stdio::null())
        .output()
        .expect("the comparison tool starts");
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

/// Says that a test does not do what its name says, past the macros whose output libtest keeps to itself when a test
/// passes.
pub(crate) fn skipped(what: &str, why: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED: {what}: {why}");
}

/// By what CI services tell of themselves.
pub(crate) const OF_CI: [&str; 6] = [
    "CI",
    "BUILD_ID",
    "CODEBUILD_BUILD_ID",
    "GITHUB_ACTIONS",
    "TEAMCITY_VERSION",
    "TF_BUILD",
];

/// Takes those of the caller's variables away whose names begin so.
pub(crate) fn remove_variables(command: &mut Command, prefixes: &[&str]) {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if prefixes.iter().any(|prefix| text.starts_with(prefix)) {
            command.env_remove(&name);
        }
    }
}

/// Waits until `condition` holds.
pub(crate) fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let limit = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < limit, "gave up waiting for {what}");
        thread::sleep(Duration::from_millis(10));
    }
}
