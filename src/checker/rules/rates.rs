//! Calls of a launcher stay within their rates.

use crate::{
    Expectations, Finding, Promise, Rates,
    history::{By, Call, Line, What},
    picture::Picture,
};

pub(super) fn check(picture: &Picture<'_>, expectations: &Expectations) -> Vec<Finding> {
    let rates = &expectations.rates;
    let mut programs: Vec<&By> = Vec::new();
    for launcher in picture.launchers() {
        if !programs.iter().any(|known| known.is_same_program(launcher)) {
            programs.push(launcher);
        }
    }
    let mut findings = Vec::new();
    for program in programs {
        let mut calls: Vec<_> = picture
            .lines
            .iter()
            .filter_map(|line| match &line.what {
                What::Call(call) if call.service == "batch" && call.by.is_same_program(program) => {
                    Some((line, call))
                }
                _ => None,
            })
            .collect();
        calls.sort_by_key(|(_, call)| call.began);
        for (name, rate, is_of) in classes(rates) {
            let of_class = calls.iter().filter(|(_, call)| is_of(&call.operation));
            findings.extend(
                exceeded(of_class, rate, rates.slack).map(|(calls, lines)| Finding {
                    promise: Promise::Rates,
                    text: format!(
                        "{calls} calls of {name} at once, where {rate} in a second are allowed"
                    ),
                    lines,
                }),
            );
        }
    }
    findings
}

type IsOf = fn(&str) -> bool;

fn classes(rates: &Rates) -> [(&'static str, f64, IsOf); 6] {
    const TERMINATE: [&str; 4] = ["TerminateJob", "TerminateJobs", "CancelJob", "CancelJobs"];
    [
        ("SubmitJob", rates.submit, |name| name == "SubmitJob"),
        ("DescribeJobs", rates.describe, |name| {
            name == "DescribeJobs"
        }),
        ("ListJobs", rates.list, |name| name == "ListJobs"),
        ("TerminateJob", rates.terminate, |name| {
            TERMINATE.contains(&name)
        }),
        ("others", rates.setup, |name| {
            !["SubmitJob", "DescribeJobs", "ListJobs"].contains(&name) && !TERMINATE.contains(&name)
        }),
        ("AWS Batch", rates.all, |_| true),
    ]
}

/// The first heap of calls that is too high: a bucket that holds what may be saved up, and what may arrive late.
fn exceeded<'a>(
    calls: impl Iterator<Item = &'a (&'a Line, &'a Call)>,
    rate: f64,
    slack: f64,
) -> Option<(usize, Vec<usize>)> {
    let most = rate.max(1.0) + rate * slack;
    let (mut level, mut last) = (0.0_f64, i64::MIN);
    let mut heap: Vec<usize> = Vec::new();
    for (line, call) in calls {
        let passed = call.began.saturating_sub(last).max(0) as f64 / 1000.0;
        level = (level - rate * passed).max(0.0);
        if level == 0.0 {
            heap.clear();
        }
        level += 1.0;
        last = call.began;
        heap.push(line.number);
        if level > most {
            return Some((heap.len(), heap));
        }
    }
    None
}
