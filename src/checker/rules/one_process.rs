//! User code starts at most once per attempt, and only the container that holds the claim writes results.

use std::collections::BTreeMap;

use model::{Attempt, TaskPath};

use crate::{
    Expectations, Finding, Promise,
    history::Line,
    picture::{Picture, Run, TaskResult},
};

pub(super) fn check(picture: &Picture<'_>, _: &Expectations) -> Vec<Finding> {
    let runs = picture.runs.values();
    runs.flat_map(|run| {
        let mut findings = several(run);
        findings.extend(
            run.results
                .iter()
                .filter_map(|result| stranger(run, result)),
        );
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

/// A container that wrote a result of an attempt that was launched, and had not claimed it.
fn stranger(run: &Run<'_>, result: &TaskResult<'_>) -> Option<Finding> {
    let writer = result.object.by.task.as_deref()?;
    let is_of =
        |task: &TaskPath, attempt: Attempt| *task == result.task && attempt == result.attempt;
    let mut members = run.members();
    if !members.any(|(.., member)| is_of(&member.task, member.attempt)) {
        return None;
    }
    let mut users = run.users();
    let holds = users.any(|user| {
        is_of(&user.place.task, user.place.attempt) && user.by.task.as_deref() == Some(writer)
    });
    (!holds).then(|| Finding {
        promise: Promise::OneProcess,
        text: format!(
            "a container without the claim wrote `{}` of {}/{}",
            result.object.key, result.task, result.attempt
        ),
        lines: vec![result.line.number],
    })
}
