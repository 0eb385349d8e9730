//! Local runs: each flow of `tests/flows` by upstream and by Ferroflow, which must be the same in all that upstream's
//! Client sees and in what the launchers print. The cases, with their command lines, stand in `compare/cases.py`; what
//! upstream produced is kept between test runs (`compare/run_pair.py` says where and under which key).

mod harness;

use std::{collections::BTreeSet, fs, os::unix::fs::PermissionsExt};

use harness::{python, run_pair};

macro_rules! cases {
    ($($name:ident)*) => {
        const NAMES: &[&str] = &[$(stringify!($name)),*];

        $(
            #[test]
            fn $name() {
                harness::compare(stringify!($name));
            }
        )*
    };
}

cases! {
    linear tags namespace global_namespace no_pylint_quiet below_the_root
    branch3 one_worker one_worker_in_foreach foreach100 foreach_values foreach_wide nested5x5 foreach_after_join
    switch switch_small switch_nowhere switch_in_split switch_in_foreach recursion recursion_in_foreach
    custom_ends single_step start_foreach start_split
    retry catch catch_fresh timeout exit202 maxsplits nosplits workers
    includefile config config_value parameters parameters_given parameter_missing parameter_wrong option_unknown
    environment environment_long project project_branch project_production
    mutators decospecs default_decospecs top_level_decospecs resources card exit_hooks exit_hooks_of_failure
    loglines log_is_cut process process_fresh isolation at_exit last_words temporary_at_import exits leftover_child nested_run
    import_thread import_socket import_child boto3_at_import unseeded seeded generator_at_import
    logging_setup logging_to_file signals_at_import workers_in_step deep_recursion writes_at_import writes_before_metaflow
    terminal terminal_of_failure step_commands step_commands_of_config
    foreign_decorator foreign_decorator_retried hook_raises hook_raises_late
    unpicklable next_mismatch dies_by_sigkill dies_by_sigsegv dies_by_sigterm fails
    resume_after_branch resume_after_foreach resume_in_recursion
}

#[test]
fn each_case_of_the_tool_is_a_test() {
    let (success, listed) = run_pair(harness::FERROFLOW.as_ref(), &["--list"]);
    assert!(success, "{listed}");
    let listed: BTreeSet<&str> = listed.lines().collect();
    assert_eq!(listed, NAMES.iter().copied().collect());
}

/// `README.md` says which tests guard against which trap; a test that is named there must be one.
#[test]
fn the_tests_named_in_the_readme_exist() {
    let folder = harness::tests_folder();
    let read = |name: &str| fs::read_to_string(folder.join(name)).expect("a file of the tests");
    let sources = ["commands.rs", "endings.rs"].map(read).concat();
    let readme = read("README.md");
    let (_, table) = readme
        .split_once("## Which test guards against which trap")
        .expect("the table of traps");
    let mut checked = 0;
    for row in table.lines().filter(|line| line.starts_with("| ")) {
        let last = row.trim_end_matches([' ', '|']).rsplit('|').next();
        for name in last.expect("a cell").split('`').skip(1).step_by(2) {
            let exists = NAMES.contains(&name) || sources.contains(&format!("fn {name}("));
            assert!(exists, "no test is named {name}");
            checked += 1;
        }
    }
    assert!(checked >= 25, "only {checked} names found");
}

/// A launcher that is upstream with one tag more: a comparison that finds nothing there is worth nothing.
#[test]
fn the_comparison_notices_a_difference() {
    let folder = harness::temporary::folder();
    let launcher = folder.path().join("launcher");
    let script = format!(
        "#!/bin/sh\nFERROFLOW=off exec '{}' \"$@\" --tag one_more\n",
        python::with_metaflow().display()
    );
    fs::write(&launcher, script).expect("the script is written");
    fs::set_permissions(&launcher, fs::Permissions::from_mode(0o755))
        .expect("it is made executable");
    let (same, output) = run_pair(&launcher, &["custom_ends"]);
    assert!(!same, "{output}");
    assert!(output.contains("/run/tags"), "{output}");
    assert!(output.contains("one_more"), "{output}");
}
