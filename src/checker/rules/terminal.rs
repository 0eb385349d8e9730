//! In the end, all jobs of the runs are terminal, and no process is left.

use std::collections::BTreeSet;

use model::batch::is_job_name;

use crate::{Expectations, Finding, Promise, picture::Picture};

pub(super) fn check(picture: &Picture<'_>, _: &Expectations) -> Vec<Finding> {
    let runs = picture.runs.values();
    let names: BTreeSet<_> = runs
        .flat_map(|run| run.names().map(|(_, name)| name))
        .collect();
    let is_ours = |name: &str| names.contains(name) || is_job_name(name);
    let finding = |text, line| Finding {
        promise: Promise::Terminal,
        text,
        lines: vec![line],
    };
    let jobs = picture.jobs.values();
    let open = jobs.filter(|job| job.ended.is_none() && is_ours(&job.submitted.job_name));
    let open = open.map(|job| {
        let text = format!("the job `{}` has not ended", job.submitted.job_name);
        finding(text, job.line.number)
    });
    let alive = picture.processes.iter().filter(|container| {
        let id = container
            .process
            .job_id
            .split(':')
            .next()
            .unwrap_or_default();
        let job = picture.jobs.get(id);
        container.ended.is_none() && job.is_some_and(|job| is_ours(&job.submitted.job_name))
    });
    let alive = alive.map(|container| {
        let text = format!(
            "a process of the job {} has not ended",
            container.process.job_id
        );
        finding(text, container.started.number)
    });
    open.chain(alive).collect()
}
