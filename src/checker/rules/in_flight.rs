//! There are never more jobs at a time than `--max-workers`. A job takes its place from its submission until it is terminal,
//! or until its success is in the datastore; of twins each takes one.

use std::collections::BTreeSet;

use crate::{
    Expectations, Finding, Promise,
    history::{JobEnded, Line, Submitted, What},
    picture::{Picture, Run},
};

pub(super) fn check(picture: &Picture<'_>, expectations: &Expectations) -> Vec<Finding> {
    let Some(most) = expectations.max_workers else {
        return Vec::new();
    };
    let runs = picture.runs.iter();
    runs.filter_map(|(place, run)| {
        let (count, line) = exceeded(picture.lines, run, most)?;
        Some(Finding {
            promise: Promise::InFlight,
            text: format!("{count} jobs of {place} at the same time, and {most} workers"),
            lines: vec![line],
        })
    })
    .collect()
}

fn exceeded(lines: &[Line], run: &Run<'_>, most: usize) -> Option<(usize, usize)> {
    let names: BTreeSet<_> = run.names().map(|(_, name)| name).collect();
    let successes = run.outcomes.iter().filter(|outcome| outcome.is_success());
    let successes: BTreeSet<_> = successes.map(|outcome| outcome.line.number).collect();
    let mut live: BTreeSet<String> = BTreeSet::new();
    for line in lines {
        match &line.what {
            What::Submitted(submitted) if names.contains(submitted.job_name.as_str()) => {
                live.extend(ids(submitted));
            }
            What::JobEnded(JobEnded { job_id }) => {
                live.remove(job_id);
            }
            What::Written(object) if successes.contains(&line.number) => {
                if let Some(job) = &object.by.job {
                    live.remove(job);
                }
            }
            _ => {}
        }
        if live.len() > most {
            return Some((live.len(), line.number));
        }
    }
    None
}

/// Of the job, or of each child of an array.
fn ids(submitted: &Submitted) -> Vec<String> {
    let id = &submitted.job_id;
    match submitted.size {
        None => vec![id.clone()],
        Some(size) => (0..size).map(|index| format!("{id}:{index}")).collect(),
    }
}
