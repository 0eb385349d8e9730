//! Random flows, run in a random order with random trouble, against a simple model of what has to
//! happen.

mod chance;
mod driver;
mod reference;
mod shape;

use std::collections::BTreeMap;

use proptest::prelude::*;
use scheduler::{RunFailure, RunOutcome};

use crate::property::{
    chance::{Chance, Trouble},
    driver::{Driver, Seen},
    reference::{Expected, Verdict, expected},
    shape::{Shape, block},
};

fn trouble() -> impl Strategy<Value = Trouble> {
    prop_oneof![
        Just(Trouble::None),
        Just(Trouble::Survivable),
        Just(Trouble::Drops),
        Just(Trouble::Fatal),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn runs_follow_the_model(
        block in block(),
        trouble in trouble(),
        seed in any::<u64>(),
        max_workers in 1..8_u32,
        interrupted in prop::bool::weighted(0.1),
    ) {
        let shape = Shape::of(&block);
        let chance = Chance { seed, trouble };
        let expected = expected(&shape, chance);
        let seen = Driver::new(&shape, chance, max_workers, interrupted).drive();
        check(&expected, &seen);
    }
}

fn check(expected: &Expected, seen: &Seen) {
    let launched = |label: &String| seen.tasks.contains_key(label);
    for (label, task) in &seen.tasks {
        let model = expected
            .tasks
            .get(label)
            .unwrap_or_else(|| panic!("{label} should not run"));
        assert_eq!(task.inputs, model.inputs, "inputs of {label}");
        assert_eq!(task.split_index, model.split_index, "split of {label}");
        assert!(
            model.attempts.starts_with(&task.attempts),
            "{label}: {:?} are not the first of {:?}",
            task.attempts,
            model.attempts
        );
        assert!(model.inputs.iter().all(launched), "{label} ran too early");
    }
    let failing: BTreeMap<_, _> = expected
        .tasks
        .iter()
        .filter(|(_, task)| task.verdict == Verdict::Fails)
        .collect();
    match &seen.outcome {
        RunOutcome::Interrupted => return assert!(seen.interrupted),
        RunOutcome::Failed(failure) => {
            let (RunFailure::TaskFailed { task, .. } | RunFailure::TooManyAttempts { task, .. }) =
                failure
            else {
                panic!("{failure}");
            };
            let label = &seen.labels[task];
            assert!(failing.contains_key(label), "{label} should not fail");
            let all = &expected.tasks[label].attempts;
            return assert_eq!(&seen.tasks[label].attempts, all);
        }
        RunOutcome::Done => assert!(expected.reaches_end),
        RunOutcome::EndNotReached => assert!(!expected.reaches_end),
    }
    assert!(failing.is_empty(), "{failing:?} should fail");
    for (label, model) in &expected.tasks {
        let task = seen
            .tasks
            .get(label)
            .unwrap_or_else(|| panic!("{label} did not run"));
        assert_eq!(task.attempts, model.attempts, "attempts of {label}");
    }
}
