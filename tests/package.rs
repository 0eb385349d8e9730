//! Code packages by the launcher under test: the cases are in `python/tests/test_package.py`.

mod harness;

use std::process::{Command, Stdio};

use harness::{FERROFLOW, python};

#[test]
fn packages_are_upstreams() {
    let output = Command::new(python::with_metaflow())
        .args(["-m", "unittest", "test_package"])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/python/tests"))
        .env("FERROFLOW_TEST_BIN", FERROFLOW)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null())
        .output()
        .expect("the tests start");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    assert!(!text.contains("skipped"), "{text}");
}
