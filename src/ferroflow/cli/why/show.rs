//! What was found, as text.

use std::{collections::BTreeMap, fmt::Write as _};

use anyhow::Result;
use model::{
    FlowName, RunId, StepName,
    run_record::{RunRecord, RunState},
    waiting::{Outlook, Unseen},
};
use serde_json::{Value, json};

use crate::why::Paragraph;

/// What is told of a run before its jobs.
#[derive(Debug)]
pub(super) struct Head<'a> {
    pub(super) flow: &'a FlowName,
    pub(super) run: &'a RunId,
    pub(super) record: Option<&'a RunRecord>,
    /// Tasks that were submitted.
    pub(super) submitted: usize,
    pub(super) begun: usize,
    /// Jobs that may be looked at, and those that were.
    pub(super) open: usize,
    pub(super) looked_at: usize,
    pub(super) not_found: &'a BTreeMap<StepName, usize>,
    pub(super) cannot_list: Option<&'a Unseen>,
}

impl Head<'_> {
    pub(super) fn text(&self) -> String {
        let Self { flow, run, .. } = self;
        let tasks = |count: usize| match count {
            1 => "1 task".to_owned(),
            count => format!("{count} tasks"),
        };
        let waiting = self.submitted.saturating_sub(self.begun);
        let mut text = match (self.submitted, waiting) {
            (0, _) => format!("{flow}/{run}: no task of it was submitted to AWS Batch"),
            (all, 0) => format!(
                "{flow}/{run}: nothing waits; {} on AWS Batch began",
                tasks(all)
            ),
            (all, waiting) => format!(
                "{flow}/{run}: {waiting} of {} on AWS Batch {} not begun",
                tasks(all),
                if waiting == 1 { "has" } else { "have" }
            ),
        };
        text.push_str(match self.record.map(|record| record.state) {
            Some(RunState::Done) => "; the run is done",
            Some(RunState::Failed) => "; the run has failed",
            Some(RunState::Interrupted) => "; the run was interrupted",
            Some(RunState::Running) | None => "",
        });
        text.push('\n');
        if self.looked_at < self.open {
            let _ = writeln!(
                text,
                "of these, {} jobs were looked at, the first ones",
                self.looked_at
            );
        }
        for (step, count) in self.not_found {
            let _ = writeln!(
                text,
                "{} of step {step}: AWS Batch lists no such job. It is being submitted, was refused, or has ended long ago",
                tasks(*count)
            );
        }
        if let Some(unseen) = self.cannot_list {
            let _ = writeln!(
                text,
                "their jobs cannot be looked for by name: {unseen}; what is told below is of their queue alone. `ferroflow why JOB` with an id from the run's log tells more"
            );
        }
        text
    }
}

/// The run, if one was asked about, and what its jobs wait for.
pub(super) fn json(head: Option<&Head<'_>>, all: &[Paragraph]) -> Result<String> {
    let run = head.map(|head| {
        json!({
            "run": format!("{}/{}", head.flow, head.run),
            "state": head.record.map(|record| record.state.as_str()),
            "submitted": head.submitted,
            "not_begun": head.submitted.saturating_sub(head.begun),
            "jobs": head.open,
            "looked_at": head.looked_at,
            "not_found": head.not_found,
            "cannot_list": head.cannot_list.map(ToString::to_string),
        })
    });
    let causes: Vec<_> = all.iter().map(cause).collect();
    let document = json!({"run": run, "causes": causes});
    Ok(format!("{}\n", serde_json::to_string_pretty(&document)?))
}

fn cause(paragraph: &Paragraph) -> Value {
    let seen = paragraph.jobs.iter().filter(|job| !job.is_unseen());
    let job = &paragraph.jobs[0];
    json!({
        "jobs": seen.map(|job| job.detail.id.as_str()).collect::<Vec<_>>(),
        "state": (!job.is_unseen()).then(|| job.detail.status.to_string()),
        "queue": job.queue,
        "waited_seconds": paragraph.waited.map(|waited| waited.as_secs()),
        "outlook": match paragraph.cause.outlook() {
            Outlook::Healthy => "healthy",
            Outlook::Doubtful => "doubtful",
            Outlook::Stuck => "stuck",
            Outlook::Over => "over",
        },
        "why": paragraph.told.what,
        "fix": paragraph.told.fix,
        "seen": paragraph.looked_at,
        "not_seen": paragraph.not_seen,
    })
}

/// One for each cause.
pub(super) fn paragraphs(all: &[Paragraph]) -> String {
    let texts: Vec<_> = all.iter().map(paragraph).collect();
    texts.join("\n")
}

fn paragraph(paragraph: &Paragraph) -> String {
    let mut text = format!("{}\n", paragraph.subject());
    let told = &paragraph.told;
    let _ = writeln!(text, "  why: {}", told.what);
    if let Some(fix) = &told.fix {
        let _ = writeln!(text, "  fix: {fix}");
    }
    for seen in &paragraph.looked_at {
        let _ = writeln!(text, "  seen: {seen}");
    }
    for unseen in &paragraph.not_seen {
        let _ = writeln!(text, "  not seen: {unseen}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_that_not_all_were_looked_at() {
        let (flow, run) = (FlowName::new("F").unwrap(), RunId::new("1").unwrap());
        let none = BTreeMap::new();
        let head = |open| Head {
            flow: &flow,
            run: &run,
            record: None,
            submitted: 900,
            begun: 100,
            open,
            looked_at: 500,
            not_found: &none,
            cannot_list: None,
        };
        let first = "F/1: 800 of 900 tasks on AWS Batch have not begun\n";
        assert_eq!(head(500).text(), first);
        let second = "of these, 500 jobs were looked at, the first ones\n";
        assert_eq!(head(800).text(), format!("{first}{second}"));
    }
}
