//! User code that fails runs as often as its retries say.

use std::collections::{BTreeMap, BTreeSet};

use model::{Attempt, TaskPath};

use crate::{
    Expectations, Finding, Promise,
    picture::{Picture, Run},
};

pub(super) fn check(picture: &Picture<'_>, expectations: &Expectations) -> Vec<Finding> {
    let runs = picture.runs.values();
    runs.flat_map(|run| of_run(run, &expectations.failures))
        .collect()
}

fn of_run(run: &Run<'_>, expected: &BTreeMap<String, usize>) -> Vec<Finding> {
    let tasks: BTreeSet<&TaskPath> = run.members().map(|(.., member)| &member.task).collect();
    let with_bug = tasks
        .into_iter()
        .filter_map(|task| Some((task, *expected.get(task.step.as_str())?)));
    let mut failed: BTreeMap<&TaskPath, BTreeMap<Attempt, usize>> = BTreeMap::new();
    for failure in run
        .outcomes
        .iter()
        .filter(|outcome| outcome.is_own_failure())
    {
        if let Some(of) = &failure.of {
            let of_task = failed.entry(&of.task).or_default();
            of_task.insert(of.attempt, failure.line.number);
        }
    }
    let finding = |(task, expected): (&TaskPath, usize)| {
        let by_attempt = failed.get(task).cloned().unwrap_or_default();
        let count = by_attempt.len();
        (count != expected).then(|| Finding {
            promise: Promise::Failures,
            text: format!("{task} has failed by itself {count} times instead of {expected}"),
            lines: by_attempt.into_values().collect(),
        })
    };
    with_bug.filter_map(finding).collect()
}
