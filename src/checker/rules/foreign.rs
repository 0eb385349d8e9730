//! No launcher ends a job that does not stand in a launch chain of its own.

use std::collections::BTreeSet;

use crate::{
    Expectations, Finding, Promise,
    history::{Call, What},
    picture::Picture,
};

const ENDS: [&str; 4] = ["TerminateJob", "TerminateJobs", "CancelJob", "CancelJobs"];

pub(super) fn check(picture: &Picture<'_>, _: &Expectations) -> Vec<Finding> {
    let launchers = picture.launchers();
    let calls = picture.lines.iter().filter_map(|line| match &line.what {
        What::Call(call) if ENDS.contains(&call.operation.as_str()) => Some((line, call)),
        _ => None,
    });
    let of_launchers = calls.filter(|(_, call)| {
        let mut launchers = launchers.iter();
        launchers.any(|launcher| launcher.is_same_program(&call.by))
    });
    of_launchers
        .flat_map(|(line, call)| {
            foreign(picture, call).into_iter().map(|id| Finding {
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

fn foreign<'a>(picture: &Picture<'_>, call: &'a Call) -> Vec<&'a str> {
    let own = picture.runs.values().filter(|run| {
        let mut records = run.records.iter();
        records.any(|record| record.by.is_same_program(&call.by))
    });
    let own: BTreeSet<_> = own
        .flat_map(|run| run.names().map(|(_, name)| name))
        .collect();
    let ids = call.subject.split(',').filter(|id| !id.is_empty());
    ids.filter(|id| {
        let job = picture.jobs.get(id.split(':').next().unwrap_or_default());
        job.is_none_or(|job| !own.contains(job.submitted.job_name.as_str()))
    })
    .collect()
}
