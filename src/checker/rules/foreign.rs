//! No launcher ends a job that does not stand in a launch chain of its own.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    Expectations, Finding, Promise,
    history::{Call, Program, What},
    picture::Picture,
};

const ENDS: [&str; 4] = ["TerminateJob", "TerminateJobs", "CancelJob", "CancelJobs"];

/// Names of the jobs in the chains of a program, by that.
type Own<'a> = BTreeMap<Program<'a>, BTreeSet<&'a str>>;

pub(super) fn check(picture: &Picture<'_>, _: &Expectations) -> Vec<Finding> {
    let mut own = Own::new();
    for run in picture.runs.values() {
        let writers: BTreeSet<_> = run
            .records
            .iter()
            .map(|record| record.by.program())
            .collect();
        for writer in writers {
            let names = own.entry(writer).or_default();
            names.extend(run.names().map(|(_, name)| name));
        }
    }
    let calls = picture.lines.iter().filter_map(|line| match &line.what {
        What::Call(call) if ENDS.contains(&call.operation.as_str()) => Some((line, call)),
        _ => None,
    });
    let of_launchers = calls.filter_map(|(line, call)| {
        let own = own.get(&call.by.program())?;
        Some((line, call, own))
    });
    of_launchers
        .flat_map(|(line, call, own)| {
            foreign(picture, call, own).map(|id| Finding {
                promise: Promise::Foreign,
                text: format!(
                    "{} of the job {id}, which stands in no chain of the caller",
                    call.operation
                ),
                lines: vec![line.number],
            })
        })
        .collect()
}

fn foreign<'a>(
    picture: &'a Picture<'_>,
    call: &'a Call,
    own: &'a BTreeSet<&str>,
) -> impl Iterator<Item = &'a str> {
    let ids = call.subject.split(',').filter(|id| !id.is_empty());
    ids.filter(|id| {
        let job = picture.jobs.get(id.split(':').next().unwrap_or_default());
        job.is_none_or(|job| !own.contains(job.submitted.job_name.as_str()))
    })
}
