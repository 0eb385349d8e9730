//! `--with batch` on the embedded stack: each Batch case of `compare/cases.py` by upstream and by Ferroflow, which must be
//! the same in all that upstream's Client sees and in what the launchers print. Upstream's side is stock upstream
//! submitting its own jobs to the same stack.

mod harness;

use std::{collections::BTreeSet, process::Command};

use harness::{python, stack::Stack};

macro_rules! cases {
    ($($name:ident)*) => {
        const NAMES: &[&str] = &[$(stringify!($name)),*];

        $(
            #[test]
            fn $name() {
                let (same, output) = run_pair(&["--batch", stringify!($name)]);
                assert!(same, "upstream and Ferroflow differ in {}\n{output}", stringify!($name));
            }
        )*
    };
}

cases! {
    linear tags namespace branch3 foreach100 foreach_wide foreach_values nested5x5 foreach_after_join
    switch switch_in_split switch_in_foreach recursion recursion_in_foreach
    custom_ends single_step start_foreach start_split retry catch timeout includefile config environment environment_long
    project project_branch parameters mutators decospecs loglines isolation import_thread at_exit card
    unpicklable next_mismatch dies_by_sigkill maxsplits resources
}

fn run_pair(args: &[&str]) -> (bool, String) {
    let output = Command::new(python::with_metaflow())
        .arg(harness::tests_folder().join("compare/run_pair.py"))
        .args(args)
        .envs(Stack::shared().environment())
        .env("FERROFLOW_TEST_PLACE", "stack")
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
    assert_eq!(listed, NAMES.iter().copied().collect());
}
