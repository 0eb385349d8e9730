//! `--with batch` on the embedded stack: each Batch case of `compare/cases.py` by Ferroflow, compared in all that
//! upstream's Client sees and in what the launchers print. Some are compared with stock upstream's own jobs on the same
//! stack, which cost some seven CPU-seconds a task; all others with upstream's run of the same command line on this machine,
//! in all that does not depend on the place (`compare/anywhere.py`).

mod harness;

use std::{collections::BTreeSet, process::Command};

use harness::{python, stack::Stack};

macro_rules! cases {
    ($against:ident: $($name:ident)*) => {
        mod $against {
            pub(super) const NAMES: &[&str] = &[$(stringify!($name)),*];

            $(
                #[test]
                fn $name() {
                    super::compare(stringify!($against), stringify!($name));
                }
            )*
        }
    };
}

cases! {
    upstream: linear branch3 foreach_values switch retry catch config environment parameters mutators decospecs resources
    card project unpicklable dies_by_sigkill
}

cases! {
    local: tags namespace foreach100 nested5x5 foreach_after_join switch_in_split switch_in_foreach recursion
    recursion_in_foreach custom_ends single_step start_foreach start_split timeout includefile environment_long project_branch loglines
    import_thread at_exit next_mismatch maxsplits resume_after_foreach
}

/// These fill the queue, which is first in, first out: on the others' stack each of their jobs would wait for all.
const WIDE: [&str; 2] = ["foreach100", "nested5x5"];

/// Upstream's own jobs are slow: a normal run compares these with upstream's run on this machine instead, and with its
/// jobs only with `FERROFLOW_TEST_BATCH=all`.
const LOCAL_WILL_DO: &[&str] = &[
    "branch3",
    "foreach_values",
    "switch",
    "config",
    "parameters",
    "mutators",
    "project",
];

fn compare(against: &str, case: &str) {
    let asked = std::env::var_os("FERROFLOW_TEST_BATCH").is_some_and(|value| value == "all");
    let against = if LOCAL_WILL_DO.contains(&case) && !asked {
        "local"
    } else {
        against
    };
    let stack = if WIDE.contains(&case) {
        Stack::for_wide_flows()
    } else {
        Stack::shared()
    };
    let (same, output) = run_pair(stack, &["--batch", "--against", against, case]);
    assert!(same, "upstream and Ferroflow differ in {case}\n{output}");
}

fn run_pair(stack: &Stack, args: &[&str]) -> (bool, String) {
    let output = Command::new(python::with_metaflow())
        .arg(harness::tests_folder().join("compare/run_pair.py"))
        .args(args)
        .envs(stack.environment())
        .env("FERROFLOW_TEST_PLACE", "stack")
        .env("FERROFLOW_TEST_STACK", stack.folder())
        .env("FERROFLOW_BIN", harness::FERROFLOW)
        .stdin(std::process::Stdio::null())
        .output()
        .expect("the comparison tool starts");
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    (output.status.success(), text)
}

#[test]
fn each_batch_case_of_the_tool_is_a_test() {
    let output = Command::new(python::with_metaflow())
        .arg(harness::tests_folder().join("compare/run_pair.py"))
        .args(["--batch", "--list"])
        .output()
        .expect("the comparison tool starts");
    let listed = String::from_utf8_lossy(&output.stdout).into_owned();
    let listed: BTreeSet<&str> = listed.lines().collect();
    let tested = upstream::NAMES.iter().chain(local::NAMES).copied();
    assert_eq!(listed, tested.collect());
}
