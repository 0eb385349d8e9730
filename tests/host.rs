//! The Python side's own tests, `python/tests/test_*.py`, with the launcher under test where they want a real one.

mod harness;

use std::{
    collections::BTreeSet,
    fs,
    process::{Command, Stdio},
};

use harness::{FERROFLOW, python};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/python/tests");

macro_rules! modules {
    ($($name:ident)*) => {
        const NAMES: &[&str] = &[$(stringify!($name)),*];

        $(
            #[test]
            fn $name() {
                run(concat!("test_", stringify!($name)));
            }
        )*
    };
}

modules! { batch credentials ends_together extension forkable hand_back hand_over package parts step_options }

fn run(module: &str) {
    let output = Command::new(python::with_metaflow())
        .args(["-m", "unittest", module])
        .current_dir(FOLDER)
        .env("FERROFLOW_TEST_BIN", FERROFLOW)
        .env("TMPDIR", harness::temporary::base())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null())
        .output()
        .expect("the tests start");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    assert!(!text.contains("skipped"), "{text}");
}

#[test]
fn every_module_is_run() {
    let files = fs::read_dir(FOLDER).expect("the folder can be listed");
    let found: BTreeSet<_> = files
        .flatten()
        .map(|file| file.file_name().to_string_lossy().into_owned())
        .filter_map(|name| Some(name.strip_prefix("test_")?.strip_suffix(".py")?.to_owned()))
        .collect();
    let listed = NAMES.iter().map(|&name| name.to_owned()).collect();
    assert_eq!(found, listed);
}
