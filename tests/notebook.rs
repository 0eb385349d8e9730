//! Metaflow's Runner, NBRunner and Deployer with Ferroflow in force, `tests/notebook/test_*.py`: the flows that they start are
//! Ferroflow's, and nothing of them is left, whoever ends what.

#![cfg(target_os = "linux")]

mod harness;

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    process::{Command, Stdio},
};

use harness::{FERROFLOW, lab, python, stack::Stack, tests_folder};

/// The modules, each a test here.
const MODULES: [&str; 8] = [
    "batch",
    "batch_endings",
    "deployer",
    "kernel",
    "kernel_batch",
    "nested",
    "runner",
    "tutorials",
];

/// Runs a module by `ferroflow -m`, on a stack if there is one.
fn run(module: &str, python: &Path, stack: Option<&Stack>) {
    let home = harness::temporary::folder();
    let mut command = Command::new(FERROFLOW);
    lab::clear(&mut command);
    command
        .args(["-m", "unittest", &format!("test_{module}")])
        .current_dir(tests_folder().join("notebook"))
        .envs(stack.map(Stack::environment).unwrap_or_default())
        .env("FERROFLOW", "require")
        .env("FERROFLOW_PYTHON", python)
        .env("METAFLOW_USER", "tester")
        .env("HOME", home.path())
        .env("TMPDIR", harness::temporary::base())
        .env("METAFLOW_HOME", home.path().join("metaflowconfig"))
        .env(
            "PATH",
            lab::path_with(python.parent().expect("python has a folder")),
        )
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null());
    let output = command.output().expect("the tests start");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    assert!(!text.contains("skipped"), "{text}");
}

#[test]
fn runner() {
    run("runner", python::with_metaflow(), None);
}

#[test]
fn nested() {
    run("nested", python::with_metaflow(), None);
}

#[test]
fn kernel() {
    run("kernel", python::with_jupyter(), None);
}

/// Jobs wait here until they are ended, so each of these has processors of its own.
#[test]
fn batch() {
    run("batch", python::with_metaflow(), Some(&Stack::start(&[])));
}

#[test]
fn batch_endings() {
    let stack = Stack::start(&[]);
    run("batch_endings", python::with_metaflow(), Some(&stack));
}

#[test]
fn kernel_batch() {
    let stack = Stack::start(&[]);
    run("kernel_batch", python::with_jupyter(), Some(&stack));
}

#[test]
fn deployer() {
    run("deployer", python::with_jupyter(), Some(&Stack::start(&[])));
}

#[test]
fn tutorials() {
    run(
        "tutorials",
        python::with_metaflow(),
        Some(&Stack::start(&[])),
    );
}

#[test]
fn every_module_is_run() {
    let files = fs::read_dir(tests_folder().join("notebook")).expect("the folder can be listed");
    let found: BTreeSet<_> = files
        .flatten()
        .map(|file| file.file_name().to_string_lossy().into_owned())
        .filter_map(|name| Some(name.strip_prefix("test_")?.strip_suffix(".py")?.to_owned()))
        .collect();
    assert_eq!(found, MODULES.map(str::to_owned).into());
}
