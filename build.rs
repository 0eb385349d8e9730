//! What `ferroflow --version` tells of the build.

use std::{env, path::Path, process::Command};

/// Names the commit where the sources are not in a repository of their own.
const COMMIT: &str = "FERROFLOW_COMMIT";

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed={COMMIT}");
    let rustc = env::var("RUSTC").unwrap_or_default();
    for (name, value) in [
        ("FERROFLOW_BUILD_COMMIT", commit().unwrap_or_default()),
        (
            "FERROFLOW_BUILD_TARGET",
            env::var("TARGET").unwrap_or_default(),
        ),
        (
            "FERROFLOW_BUILD_PROFILE",
            env::var("PROFILE").unwrap_or_default(),
        ),
        (
            "FERROFLOW_BUILD_RUSTC",
            said(&rustc, &["--version"]).unwrap_or_default(),
        ),
    ] {
        println!("cargo:rustc-env={name}={value}");
    }
}

fn commit() -> Option<String> {
    if let Ok(named) = env::var(COMMIT) {
        return Some(named);
    }
    // Unpacked sources may lie in somebody else's repository.
    let folder = env::var("CARGO_MANIFEST_DIR").ok()?;
    let top = said("git", &["rev-parse", "--show-toplevel"])?;
    if Path::new(&top).canonicalize().ok()? != Path::new(&folder).canonicalize().ok()? {
        return None;
    }
    let log = said("git", &["rev-parse", "--git-path", "logs/HEAD"])?;
    println!("cargo:rerun-if-changed={log}");
    said("git", &["rev-parse", "--short=12", "HEAD"])
}

/// What a program prints; none if it is not there or fails.
fn said(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
