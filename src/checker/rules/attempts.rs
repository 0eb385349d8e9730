//! Attempts are numbered from 0 without gaps, up to 5, and the one that succeeds is the last. So are the launches of each.

use std::collections::{BTreeMap, BTreeSet};

use model::{Attempt, TaskPath, launch_record::Member};

use crate::{
    Expectations, Finding, Promise,
    picture::{Picture, Record, Run},
};

/// `task.py` refuses the seventh.
const LAST: u32 = 5;

pub(super) fn check(picture: &Picture<'_>, _: &Expectations) -> Vec<Finding> {
    let runs = picture.runs.values();
    runs.flat_map(|run| {
        let mut findings = numbers(run);
        findings.extend(winners(run));
        findings
    })
    .collect()
}

fn finding(text: String, lines: Vec<usize>) -> Finding {
    Finding {
        promise: Promise::Attempts,
        text,
        lines,
    }
}

fn numbers(run: &Run<'_>) -> Vec<Finding> {
    let mut seen: BTreeSet<(&TaskPath, u32, u32)> = BTreeSet::new();
    let mut findings = Vec::new();
    for (record, _, member) in run.members() {
        let (task, Attempt(attempt)) = (&member.task, member.attempt);
        let is_known = |attempt| {
            let mut launches = seen.range((task, attempt, 0)..=(task, attempt, u32::MAX));
            launches.next().is_some()
        };
        let mut complain = |text: String| findings.push(finding(text, vec![record.line.number]));
        if attempt > LAST {
            complain(format!("{task} has an attempt {attempt}"));
        }
        if attempt > 0 && !is_known(attempt - 1) {
            complain(format!(
                "attempt {attempt} of {task} comes before attempt {}",
                attempt - 1
            ));
        }
        if member.launch > 0 && !seen.contains(&(task, attempt, member.launch - 1)) {
            complain(format!(
                "launch {} of attempt {attempt} of {task} comes before launch {}",
                member.launch,
                member.launch - 1
            ));
        }
        if is_known(attempt + 1) {
            complain(format!(
                "attempt {attempt} of {task} comes after attempt {}",
                attempt + 1
            ));
        }
        if !seen.insert((task, attempt, member.launch)) {
            complain(format!(
                "launch {} of attempt {attempt} of {task} is recorded again",
                member.launch
            ));
        }
    }
    findings
}

/// An attempt that says it went well, and has left a result.
fn winners(run: &Run<'_>) -> Vec<Finding> {
    let done = run.results.iter();
    let done = done.filter(|result| result.object.key.ends_with("DONE.lock"));
    let done: BTreeSet<_> = done.map(|result| (&result.task, result.attempt)).collect();
    let mut winners: BTreeMap<&TaskPath, Vec<(u32, usize)>> = BTreeMap::new();
    for outcome in run.outcomes.iter().filter(|outcome| outcome.is_success()) {
        let Some(of) = &outcome.of else { continue };
        let is_done = done.contains(&(&of.task, of.attempt));
        let of_task = winners.entry(&of.task).or_default();
        let Attempt(attempt) = of.attempt;
        // An outcome can be written twice.
        if is_done && of_task.iter().all(|(known, _)| *known != attempt) {
            of_task.push((attempt, outcome.line.number));
        }
    }
    let mut launched: BTreeMap<&TaskPath, Vec<(&Record<'_>, &Member)>> = BTreeMap::new();
    for (record, _, member) in run.members() {
        let of_task = launched.entry(&member.task).or_default();
        of_task.push((record, member));
    }
    let mut findings = Vec::new();
    for (task, winners) in winners {
        let Some((first, line)) = winners.first().copied() else {
            continue;
        };
        if winners.len() > 1 {
            let lines = winners.iter().map(|(_, line)| *line).collect();
            findings.push(finding(
                format!("{task} has succeeded {} times", winners.len()),
                lines,
            ));
        }
        let mut launched = launched.get(task).into_iter().flatten();
        let later = launched
            .find(|(record, member)| member.attempt > Attempt(first) && record.line.number > line);
        if let Some((record, member)) = later {
            let text = format!(
                "attempt {} of {task} was launched though attempt {first} had succeeded",
                member.attempt
            );
            findings.push(finding(text, vec![line, record.line.number]));
        }
    }
    findings
}
