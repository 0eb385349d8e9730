//! What was found, as text.

use std::{collections::BTreeMap, fmt::Write as _};

use model::{
    FlowName, RunId, StepName,
    run_record::{RunRecord, RunState},
    waiting::Unseen,
};

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
