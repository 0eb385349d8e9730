//! Bad inputs and broken environments, as users meet them: each row of the tables in docs/errors.md is a test here of the same
//! name. The test makes the situation, a shell runs the row's command, and exit code and text must be the row's. Whatever
//! happens, nothing is left running, and no traceback or panic of ours is shown.

#[path = "../harness/mod.rs"]
mod harness;

mod aws;
mod disks;
mod engine;
mod flow;
mod ground;
mod settings;
mod stack;
mod table;
mod text;

use std::collections::BTreeSet;

/// A test for each name: makes the situation, then checks the row.
macro_rules! rows {
    ($($name:ident: $prepare:expr;)*) => {
        pub(crate) const NAMES: &[&str] = &[$(stringify!($name)),*];

        $(
            #[test]
            fn $name() {
                let mut ground = crate::ground::Ground::new();
                let prepare: fn(&mut crate::ground::Ground) = $prepare;
                prepare(&mut ground);
                ground.check(stringify!($name));
            }
        )*
    };
}
pub(crate) use rows;

#[test]
fn each_row_has_a_test_and_each_test_a_row() {
    let tests = [
        aws::NAMES,
        disks::NAMES,
        engine::NAMES,
        flow::NAMES,
        settings::NAMES,
        stack::NAMES,
    ];
    let tests: BTreeSet<_> = tests.concat().into_iter().map(str::to_owned).collect();
    let rows: Vec<_> = table::rows().into_iter().map(|row| row.name).collect();
    let different: BTreeSet<_> = rows.iter().cloned().collect();
    assert_eq!(rows.len(), different.len(), "a name is there twice");
    assert_eq!(tests, different);
    assert!(rows.len() >= 40);
}
