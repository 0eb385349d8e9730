//! A launcher whose run was taken over does nothing more: it writes no record, and calls Batch no more once it has met the
//! other's record. Two launchers of the same kind and key are told apart by their application ids only.

use crate::{
    Expectations, Finding, Promise,
    history::{By, Line, S3Call, What},
    objects::{Own, own},
    picture::{Picture, Record, Run},
};

/// `If-None-Match` found something.
const PRECONDITION_FAILED: u16 = 412;

/// A launcher has met what it has read: on a busy machine that is a while after the store has answered.
const TO_READ_IT_MS: i64 = 500;

pub(super) fn check(picture: &Picture<'_>, _: &Expectations) -> Vec<Finding> {
    let runs = picture.runs.values();
    runs.flat_map(|run| {
        let mut findings = records(run);
        findings.extend(calls(picture, run));
        findings
    })
    .collect()
}

fn records(run: &Run<'_>) -> Vec<Finding> {
    let mut holders: Vec<&str> = Vec::new();
    let mut findings = Vec::new();
    for record in &run.records {
        let holder = record.header.holder.as_str();
        match holders.iter().position(|known| *known == holder) {
            Some(place) if place + 1 < holders.len() => findings.push(Finding {
                promise: Promise::Fence,
                text: format!(
                    "the launcher {holder} wrote the record {} after a takeover",
                    record.header.seq
                ),
                lines: vec![record.line.number],
            }),
            Some(_) => {}
            None => holders.push(holder),
        }
    }
    findings
}

fn calls(picture: &Picture<'_>, run: &Run<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for pair in run.records.windows(2) {
        let [before, after] = pair else { continue };
        if before.header.holder == after.header.holder || before.by.is_same_program(after.by) {
            continue;
        }
        let Some(met) = meets(picture.lines, run, before.by, after) else {
            continue;
        };
        let late = picture.lines.iter().filter(|line| match &line.what {
            What::Call(call) => {
                line.number > met.number
                    && call.began > met.at + TO_READ_IT_MS
                    && call.service == "batch"
                    && call.by.is_same_program(before.by)
            }
            _ => false,
        });
        let late: Vec<_> = late.map(|line| line.number).collect();
        if !late.is_empty() {
            findings.push(Finding {
                promise: Promise::Fence,
                text: format!(
                    "the launcher {} went on calling AWS Batch after it had met the record {} of another, or its lease",
                    before.header.holder, after.header.seq
                ),
                lines: [vec![after.line.number, met.number], late].concat(),
            });
        }
    }
    findings
}

/// When a launcher has met a record, or the lease, of the one that took its run over: its own write was refused.
fn meets<'a>(
    lines: &'a [Line],
    run: &Run<'_>,
    launcher: &By,
    takeover: &Record<'_>,
) -> Option<&'a Line> {
    let mut leases = run.leases.iter();
    let lease = leases.find(|(line, _, by)| {
        line.number > takeover.line.number && by.is_same_program(takeover.by)
    });
    let lease = lease.map_or(usize::MAX, |(line, ..)| line.number);
    let mut later = lines
        .iter()
        .filter(|line| line.number > takeover.line.number);
    later.find(|line| match &line.what {
        What::S3Call(call) => {
            call.status == PRECONDITION_FAILED
                && call.by.is_same_program(launcher)
                && match write_of(call) {
                    // One of its own, which it writes again, tells nothing.
                    Some(Own::Launch { seq }) => seq >= takeover.header.seq,
                    Some(Own::Lease) => line.number > lease,
                    _ => false,
                }
        }
        _ => false,
    })
}

fn write_of(call: &S3Call) -> Option<Own> {
    let (bucket, key) = (call.bucket.as_ref()?, call.key.as_ref()?);
    let is_write = call.operation.as_deref() == Some("PutObject");
    is_write.then(|| own(bucket, key).map(|(_, own)| own))?
}
