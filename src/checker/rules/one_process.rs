//! User code starts at most once per attempt, and only the container that holds the claim writes results.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    Expectations, Finding, Promise,
    history::Line,
    picture::{Picture, Run, TaskResult},
};

pub(super) fn check(picture: &Picture<'_>, _: &Expectations) -> Vec<Finding> {
    let runs = picture.runs.values();
    runs.flat_map(|run| {
        let mut findings = several(run);
        findings.extend(strangers(run));
        findings
    })
    .collect()
}

fn several(run: &Run<'_>) -> Vec<Finding> {
    let mut starts: BTreeMap<String, Vec<&Line>> = BTreeMap::new();
    for user in run.users() {
        let of = starts.entry(user.place.attempt_path()).or_default();
        of.push(user.begun);
    }
    let several = starts.into_iter().filter(|(_, starts)| starts.len() > 1);
    let finding = |(attempt, starts): (String, Vec<&Line>)| Finding {
        promise: Promise::OneProcess,
        text: format!("the attempt {attempt} was started {} times", starts.len()),
        lines: starts.iter().map(|line| line.number).collect(),
    };
    several.map(finding).collect()
}

/// Containers that wrote a result of an attempt that was launched, and had not claimed it.
fn strangers(run: &Run<'_>) -> Vec<Finding> {
    let launched: BTreeSet<_> = run
        .members()
        .map(|(.., member)| (&member.task, member.attempt))
        .collect();
    let holders: BTreeSet<_> = run
        .users()
        .map(|user| {
            let place = &user.place;
            (&place.task, place.attempt, user.by.task.as_deref())
        })
        .collect();
    let is_strange = |result: &&TaskResult<'_>| {
        let (task, attempt, writer) = (
            &result.task,
            result.attempt,
            result.object.by.task.as_deref(),
        );
        writer.is_some()
            && launched.contains(&(task, attempt))
            && !holders.contains(&(task, attempt, writer))
    };
    let finding = |result: &TaskResult<'_>| Finding {
        promise: Promise::OneProcess,
        text: format!(
            "a container without the claim wrote `{}` of {}/{}",
            result.object.key, result.task, result.attempt
        ),
        lines: vec![result.line.number],
    };
    run.results.iter().filter(is_strange).map(finding).collect()
}
