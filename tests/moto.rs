//! `--with batch` against moto: jobs in containers of this machine's Docker engine, signatures and the policies of
//! upstream's reference template enforced. A second opinion on the embedded stack, by an emulator that is not ours.
//!
//! Upstream needs a multiple of Ferroflow's time here, so it runs the cases in which the way to Batch shows most. The
//! others run by Ferroflow and are compared with upstream's run of the same command line on this machine, in all that does
//! not depend on the place (`compare/anywhere.py`). Without an engine each test says SKIPPED, loudly.

mod harness;

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::LazyLock,
};

use harness::{bootstraps, python, tests_folder};

macro_rules! cases {
    ($compare:ident: $($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                $compare(stringify!($name));
            }
        )*
    };
}

cases! { by_both: catch environment dies_by_sigkill }

cases! { by_ferroflow: branch3 config environment_long tags loglines }

/// What a normal run of the tests has no time for: with `FERROFLOW_TEST_MOTO=all`.
mod when_asked_for {
    use super::{by_both, by_ferroflow, is_asked_for_all};

    // A task that cannot store its artifacts sends no metadata home, whoever launched it.
    cases! { both: linear retry unpicklable }

    cases! { ferroflow: foreach100 nested5x5 switch recursion timeout includefile namespace project mutators }

    fn both(case: &str) {
        if is_asked_for_all(case) {
            by_both(case);
        }
    }

    fn ferroflow(case: &str) {
        if is_asked_for_all(case) {
            by_ferroflow(case);
        }
    }
}

fn is_asked_for_all(case: &str) -> bool {
    let asked = std::env::var_os("FERROFLOW_TEST_MOTO").is_some_and(|value| value == "all");
    if !asked {
        skipped(case, "FERROFLOW_TEST_MOTO is not `all`");
    }
    asked
}

const NO_ENGINE: &str = "no Docker engine answers";

fn by_both(case: &str) {
    compare(case, &[], BTreeMap::new());
}

fn by_ferroflow(case: &str) {
    compare(case, &["--against", "local"], BTreeMap::new());
}

/// The image of `images/`, whose entrypoint is the bootstrap.
#[test]
fn the_image_with_the_bootstrap() {
    let Some(lab) = LAB.as_ref() else {
        return skipped("the image with the bootstrap", NO_ENGINE);
    };
    let image = lab.environment["TEST_IMAGE_WITH_BOOTSTRAP"].as_str();
    let settings = BTreeMap::from([("METAFLOW_BATCH_CONTAINER_IMAGE", image)]);
    compare("custom_ends", &["--against", "local"], settings);
}

fn compare(case: &str, how: &[&str], settings: BTreeMap<&str, &str>) {
    let Some(lab) = LAB.as_ref() else {
        return skipped(case, NO_ENGINE);
    };
    let output = Command::new(python::with_metaflow())
        .arg(tests_folder().join("compare/run_pair.py"))
        .arg("--batch")
        .args(how)
        .arg(case)
        .envs(&lab.environment)
        .envs(settings)
        .env("FERROFLOW_BIN", harness::FERROFLOW)
        .env("TMPDIR", harness::temporary::base())
        .env("FERROFLOW_BOOTSTRAP_DIR", bootstraps::folder())
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

fn skipped(case: &str, why: &str) {
    harness::skipped(&format!("{case} on moto (tests/moto.rs)"), why);
}

/// One for all tests of this process. It is never dropped, and ends when its standard input does, with this process.
static LAB: LazyLock<Option<Lab>> = LazyLock::new(|| docker_answers().then(Lab::start));

/// A running laboratory, `moto/lab.py`.
struct Lab {
    _process: Child,
    /// Of a launcher.
    environment: BTreeMap<String, String>,
}

impl Lab {
    fn start() -> Self {
        let mut process = Command::new(python::with_moto())
            .arg(tests_folder().join("moto/lab.py"))
            .arg(bootstraps::folder())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the laboratory starts");
        let stdout = process.stdout.take().expect("its output is piped");
        let mut line = String::new();
        BufReader::new(stdout)
            .read_line(&mut line)
            .expect("its output can be read");
        let environment = serde_json::from_str(&line).expect("it tells its environment");
        Self {
            _process: process,
            environment,
        }
    }
}

fn docker_answers() -> bool {
    Command::new("docker")
        .args(["version", "--format", "{{.Server.Version}}"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
