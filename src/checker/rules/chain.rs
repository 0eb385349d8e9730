//! What is submitted stands in the launch chain before, and the chain has no gaps.

use std::collections::BTreeMap;

use model::batch::is_job_name;

use crate::{
    Expectations, Finding, Promise,
    picture::{Picture, Run},
};

pub(super) fn check(picture: &Picture<'_>, _: &Expectations) -> Vec<Finding> {
    let mut findings: Vec<_> = picture.runs.values().flat_map(gaps).collect();
    let mut recorded: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for run in picture.runs.values() {
        for (record, name) in run.names() {
            recorded.entry(name).or_default().push(record.line.number);
        }
    }
    for (name, lines) in &recorded {
        if lines.len() > 1 {
            findings.push(finding(
                format!("`{name}` was recorded twice"),
                lines.clone(),
            ));
        }
    }
    for job in picture.jobs.values() {
        let name = job.submitted.job_name.as_str();
        let line = job.line.number;
        let record = recorded.get(name).and_then(|lines| lines.first());
        match record {
            Some(record) if *record > line => {
                let text = format!("`{name}` was submitted before it was recorded");
                findings.push(finding(text, vec![line, *record]));
            }
            None if is_job_name(name) => {
                findings.push(finding(
                    format!("`{name}` was submitted unrecorded"),
                    vec![line],
                ));
            }
            _ => {}
        }
    }
    findings
}

fn finding(text: String, lines: Vec<usize>) -> Finding {
    Finding {
        promise: Promise::Chain,
        text,
        lines,
    }
}

fn gaps(run: &Run<'_>) -> Vec<Finding> {
    let in_order = run.records.iter().zip(0_u64..);
    let strangers = in_order.filter(|(record, seq)| record.header.seq != *seq);
    let first = strangers.map(|(record, seq)| {
        let text = format!(
            "the record {} of the chain comes where {seq} should be",
            record.header.seq
        );
        finding(text, vec![record.line.number])
    });
    // The rest follows from the first.
    first.take(1).collect()
}
