//! Python programs that tests need: each is named by a variable, or comes from a virtual environment that is made once.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

const PACKAGES: &[&str] = &["metaflow==2.19.39", "boto3", "requests", "psutil", "numpy"];

/// For notebooks, and to make what Argo Workflows would run.
const WITH_JUPYTER: &[&str] = &[
    "metaflow==2.19.39",
    "boto3",
    "requests",
    "ipykernel",
    "jupyter_client",
    "kubernetes",
];

/// What serves as AWS in tests that need one which is not ours.
const WITH_MOTO: &[&str] = &["moto[server,all]==5.2.5", "boto3", "docker"];

const AWS_CLI: &[&str] = &["awscli"];

/// Path of an interpreter that can import the pinned Metaflow, and boto3.
pub(crate) fn with_metaflow() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| match std::env::var_os("FERROFLOW_TEST_PYTHON") {
        Some(path) => PathBuf::from(path),
        None => environment_in(&cache_folder(), "test-venv", PACKAGES),
    })
}

/// Path of an interpreter with Metaflow and Jupyter's kernel: `FERROFLOW_TEST_JUPYTER_PYTHON`, or an environment that is made once.
pub(crate) fn with_jupyter() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| match std::env::var_os("FERROFLOW_TEST_JUPYTER_PYTHON") {
        Some(path) => PathBuf::from(path),
        None => environment_in(&cache_folder(), "jupyter-venv", WITH_JUPYTER),
    })
}

/// Path of an interpreter that can import moto: `FERROFLOW_TEST_MOTO_PYTHON`, or an environment that is made once.
pub(crate) fn with_moto() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| match std::env::var_os("FERROFLOW_TEST_MOTO_PYTHON") {
        Some(path) => PathBuf::from(path),
        None => environment_in(&cache_folder(), "moto-venv", WITH_MOTO),
    })
}

/// Path of the AWS CLI: `FERROFLOW_TEST_AWS_CLI`, or that of an environment that is made once.
pub(crate) fn aws_cli() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| match std::env::var_os("FERROFLOW_TEST_AWS_CLI") {
        Some(path) => PathBuf::from(path),
        None => environment_in(&cache_folder(), "aws-cli-venv", AWS_CLI).with_file_name("aws"),
    })
}

fn cache_folder() -> PathBuf {
    let base = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let base = base.or_else(|| Some(std::env::home_dir()?.join(".cache")));
    base.expect("XDG_CACHE_HOME or a home folder")
        .join("ferroflow")
}

/// Makes the environment unless it is there; test processes that start together wait for the first.
fn environment_in(cache: &Path, name: &str, packages: &[&str]) -> PathBuf {
    let folder = cache.join(name);
    let complete = folder.join("complete");
    let wanted = packages.join(" ");
    fs::create_dir_all(cache).expect("the cache folder can be made");
    let lock = File::create(cache.join(format!("{name}.lock"))).expect("the lock file can be made");
    lock.lock().expect("the lock file can be locked");
    if fs::read_to_string(&complete).is_ok_and(|found| found == wanted) {
        return folder.join("bin/python");
    }
    run(Command::new("python3")
        .args(["-m", "venv", "--clear"])
        .arg(&folder));
    run(Command::new(folder.join("bin/python"))
        .args(["-m", "pip", "install", "--quiet"])
        .args(packages));
    fs::write(&complete, wanted).expect("the environment can be marked as complete");
    folder.join("bin/python")
}

fn run(command: &mut Command) {
    let output = command.output().expect("python3 starts");
    assert!(
        output.status.success(),
        "{command:?} failed:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
