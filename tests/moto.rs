//! `--with batch` against moto: jobs in containers of this machine's Docker engine, signatures and IAM policies enforced.
//! Each case runs by upstream and by Ferroflow and must be the same. Without an engine, or when FERROFLOW_TEST_MOTO is not
//! 1, this says SKIPPED, loudly.

mod harness;

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    path::PathBuf,
    process::{Child, ChildStdout, Command, Stdio},
};

use harness::python;

/// What upstream runs in about a minute and a half each on two cores.
const CASES: [&str; 6] = [
    "linear",
    "branch3",
    "catch",
    "config",
    "environment",
    "switch",
];

/// A running laboratory; ends with its standard input.
struct Lab {
    process: Child,
    _stdout: BufReader<ChildStdout>,
    environment: BTreeMap<String, String>,
}

impl Lab {
    fn start() -> Self {
        let mut process = Command::new(python::with_moto())
            .arg(harness::tests_folder().join("moto/lab.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the laboratory starts");
        let mut stdout = BufReader::new(process.stdout.take().expect("its output is piped"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("its output can be read");
        let environment = serde_json::from_str(&line).expect("it tells its environment");
        Self {
            process,
            _stdout: stdout,
            environment,
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

/// The cases take minutes, most of them upstream's: they run where somebody asks for them.
fn is_asked_for() -> bool {
    std::env::var_os("FERROFLOW_TEST_MOTO").is_some_and(|value| value == "1")
}

fn docker_answers() -> bool {
    Command::new("docker")
        .args(["version", "--format", "{{.Server.Version}}"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Past the harness, which keeps what a passing test prints to itself.
fn say_loudly(text: &str) {
    let _ = std::fs::OpenOptions::new()
        .append(true)
        .open("/proc/self/fd/2")
        .and_then(|mut stderr| writeln!(stderr, "{text}"));
}

fn bootstraps() -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("bootstraps");
    let script: PathBuf = [
        env!("CARGO_MANIFEST_DIR"),
        "packaging",
        "build_bootstrap.py",
    ]
    .iter()
    .collect();
    let target = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let target = target.parent().expect("the folder of build output");
    let built = Command::new("python3")
        .arg(script)
        .arg(&folder)
        .env("CARGO_TARGET_DIR", target)
        .status()
        .expect("python3 starts");
    assert!(built.success(), "the bootstrap could not be built");
    folder
}

#[test]
fn flows_on_batch_are_the_same_by_both() {
    if !is_asked_for() {
        say_loudly("SKIPPED: tests/moto.rs: FERROFLOW_TEST_MOTO is not 1");
        return;
    }
    if !docker_answers() {
        say_loudly("SKIPPED: tests/moto.rs: no Docker engine answers");
        return;
    }
    let bootstraps = bootstraps();
    let lab = Lab::start();
    let output = Command::new(python::with_metaflow())
        .arg(harness::tests_folder().join("compare/run_pair.py"))
        .args(["--batch", "--jobs", "2"])
        .args(CASES)
        .envs(&lab.environment)
        .env("FERROFLOW_BIN", harness::FERROFLOW)
        .env("FERROFLOW_BOOTSTRAP_DIR", bootstraps)
        .stdin(Stdio::null())
        .output()
        .expect("the comparison tool starts");
    let text = [output.stdout, output.stderr].concat();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&text)
    );
}
