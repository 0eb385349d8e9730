//! `--with batch` on the embedded stack: Batch cases of `compare/cases.py` by Ferroflow, compared in all that upstream's
//! Client sees and in what the launchers print. Some are compared with stock upstream's own jobs on the same stack, which
//! cost some eight CPU-seconds a task; the others with upstream's run of the same command line on this machine, in all that
//! does not depend on the place (`compare/anywhere.py`).
//!
//! A job costs three CPU-seconds, nearly all of them upstream's. So a normal run has of each way to start, to follow and to
//! end jobs the case that shows most; cases whose point is the scheduler's or the flow host's are in `local.rs`, and here
//! only with `FERROFLOW_TEST_BATCH=all`.

mod harness;

use std::{collections::BTreeSet, process::Command};

use harness::{
    lab::{Lab, Launcher},
    python,
    stack::Stack,
};

macro_rules! cases {
    ($compare:ident: $($name:ident)*) => {
        pub(super) const NAMES: &[&str] = &[$(stringify!($name)),*];

        $(
            #[test]
            fn $name() {
                super::$compare(stringify!($name));
            }
        )*
    };
}

/// Where only upstream's jobs tell what a job must be asked for, say and leave behind.
mod upstream {
    cases! { by_both: linear retry catch environment decospecs resources card unpicklable dies_by_sigkill }
}

mod local {
    cases! {
        by_ferroflow: branch3 config parameters mutators tags foreach100 nested5x5 switch_in_foreach recursion single_step
        timeout includefile environment_long project_branch loglines at_exit next_mismatch maxsplits resume_after_foreach
    }
}

/// Those of `local` of which also the jobs are compared, when asked for.
mod upstream_when_asked_for {
    cases! { by_both_when_asked_for: branch3 config parameters mutators }
}

mod when_asked_for {
    cases! {
        by_ferroflow_when_asked_for: namespace foreach_values foreach_after_join switch switch_in_split
        recursion_in_foreach custom_ends start_foreach start_split project import_thread
    }
}

/// These fill the queue, which is first in, first out: on the others' stack each of their jobs would wait for all.
const WIDE: [&str; 4] = [
    "foreach100",
    "nested5x5",
    "switch_in_foreach",
    "foreach_values",
];

fn by_both(case: &str) {
    compare("upstream", case);
}

fn by_ferroflow(case: &str) {
    compare("local", case);
}

fn by_both_when_asked_for(case: &str) {
    if is_asked_for_all(case) {
        by_both(case);
    }
}

fn by_ferroflow_when_asked_for(case: &str) {
    if is_asked_for_all(case) {
        by_ferroflow(case);
    }
}

fn is_asked_for_all(case: &str) -> bool {
    let asked = std::env::var_os("FERROFLOW_TEST_BATCH").is_some_and(|value| value == "all");
    if !asked {
        let what = format!("{case} on Batch (tests/batch.rs)");
        harness::skipped(&what, "FERROFLOW_TEST_BATCH is not `all`");
    }
    asked
}

fn compare(against: &str, case: &str) {
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
        .env("TMPDIR", harness::temporary::base())
        .stdin(std::process::Stdio::null())
        .output()
        .expect("the comparison tool starts");
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    (output.status.success(), text)
}

/// Each with its off switch.
#[test]
fn a_step_finds_bytecode_and_no_process_that_uploads_its_logs() {
    for (switches, bytecode, sidecars) in [
        (["on", "off"], "True", "spot_termination_monitor"),
        (
            ["off", "on"],
            "False",
            "save_logs_periodically spot_termination_monitor",
        ),
    ] {
        let [of_bytecode, of_sidecar] = switches;
        let lab = Lab::new("beside.py");
        let vars = serde_json::json!({
            "PYTHONDONTWRITEBYTECODE": "1",
            "FERROFLOW_LOG_SIDECAR": of_sidecar,
        });
        let vars = format!("environment:vars={vars}");
        let args = ["run", "--with", "batch", "--with", &vars];
        let mut command = lab.command(Launcher::Ferroflow, &args);
        command
            .envs(Stack::shared().environment())
            .env("FERROFLOW_BYTECODE", of_bytecode);
        let finished = lab.start(command).wait();
        finished
            .exited(0)
            .says(&format!("] bytecode: {bytecode}\n"))
            .says(&format!("] sidecars: {sidecars}\n"));
    }
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
    let tested = [upstream::NAMES, local::NAMES, when_asked_for::NAMES].concat();
    assert_eq!(listed, tested.into_iter().collect());
    let twice = upstream_when_asked_for::NAMES;
    assert!(twice.iter().all(|name| local::NAMES.contains(name)));
}
