//! The bootstrap of this source tree, built once per test process: an unchanged one costs cargo a look.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// The folder that `FERROFLOW_BOOTSTRAP_DIR` names.
pub(crate) fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(build)
}

fn build() -> PathBuf {
    let temporary = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let folder = temporary.join("bootstraps");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/build_bootstrap.py");
    let target = temporary.parent().expect("the folder of build output");
    let built = Command::new("python3")
        .arg(script)
        .arg(&folder)
        .env("CARGO_TARGET_DIR", target)
        .status()
        .expect("python3 starts");
    assert!(built.success(), "the bootstrap could not be built");
    folder
}
