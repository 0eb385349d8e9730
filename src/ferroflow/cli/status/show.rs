//! Records as text, and as JSON.

use std::{fmt::Write as _, time::Duration};

use anyhow::Result;
use jiff::tz::TimeZone;
use model::{
    Timestamp,
    run_record::{RunRecord, RunState},
};
use serde_json::{Value, json};

use crate::{
    cli::say::columns,
    report::in_words,
    stored_run::alive::{Launched, look},
};

/// One line for each run.
pub(super) fn table(records: &[RunRecord]) -> String {
    let rows = records.iter().map(|record| {
        [
            format!("{}/{}", record.flow, record.run),
            state(record),
            time(record.began_at),
            took(record).map_or_else(|| "-".to_owned(), in_words),
            attempts(record).to_string(),
        ]
    });
    let head = ["RUN", "STATE", "BEGAN", "TOOK", "ATTEMPTS"].map(str::to_owned);
    columns(&[head].into_iter().chain(rows).collect::<Vec<_>>(), "")
}

/// Everything about a run; how attempts were started and versions only if `verbose`.
pub(super) fn block(record: &RunRecord, verbose: bool) -> String {
    let mut rows = vec![
        ["state:", &state(record)].map(str::to_owned),
        ["began:", &time(record.began_at)].map(str::to_owned),
        lasted(record),
        ["launcher:", &launcher(record)].map(str::to_owned),
        ["attempts:".to_owned(), attempts_in_words(record, verbose)],
    ];
    if verbose {
        let who = &record.launcher;
        let versions = format!(
            "ferroflow {}, metaflow {}, Python {}",
            who.ferroflow, who.metaflow, who.python
        );
        rows.push(["versions:".to_owned(), versions]);
    }
    let mut text = format!("{}/{}\n{}", record.flow, record.run, columns(&rows, "  "));
    if verbose {
        text.push_str(&reasons(record));
        text.push_str(&steps(record));
        text.push_str(&batch_calls(record));
    }
    if is_orphan(record) {
        let run = format!("{}/{}", record.flow, record.run);
        let _ = writeln!(
            text,
            "  hint: its tasks on this machine have ended with the launcher; jobs on AWS Batch may go on: `ferroflow jobs {run}` shows them, `ferroflow kill {run}` ends them, `ferroflow attach {run}` goes on with the run"
        );
    }
    text
}

/// The records, each with `launcher_alive` (null on another machine) and `duration_ms` (null where it is not known).
pub(super) fn json(records: &[RunRecord], one: bool) -> Result<String> {
    let mut values = Vec::new();
    for record in records {
        let mut value = serde_json::to_value(record)?;
        if let Value::Object(fields) = &mut value {
            let alive = match look(&record.launcher) {
                Launched::Here => Some(true),
                Launched::Gone => Some(false),
                Launched::Elsewhere => None,
            };
            fields.insert("launcher_alive".to_owned(), json!(alive));
            let duration = took(record).map(|took| took.as_millis() as u64);
            fields.insert("duration_ms".to_owned(), json!(duration));
        }
        values.push(value);
    }
    let value = match values.pop() {
        Some(value) if one => value,
        last => values.into_iter().chain(last).collect(),
    };
    Ok(serde_json::to_string_pretty(&value)?)
}

fn state(record: &RunRecord) -> String {
    match record.state {
        RunState::Running if is_orphan(record) => "running, but its launcher is gone",
        state => state.as_str(),
    }
    .to_owned()
}

fn is_orphan(record: &RunRecord) -> bool {
    record.state == RunState::Running && look(&record.launcher) == Launched::Gone
}

/// How long the run took, or has taken so far; nobody knows that of a run whose launcher is gone.
fn took(record: &RunRecord) -> Option<Duration> {
    let end = match record.state {
        RunState::Running if is_orphan(record) => return None,
        RunState::Running => now(),
        RunState::Done | RunState::Failed | RunState::Interrupted => record.written_at,
    };
    let elapsed = end.0.saturating_sub(record.began_at.0);
    Some(Duration::from_millis(u64::try_from(elapsed).unwrap_or(0)))
}

fn lasted(record: &RunRecord) -> [String; 2] {
    match (took(record), record.state) {
        (Some(took), RunState::Running) => ["so far:".to_owned(), in_words(took)],
        (Some(took), _) => ["took:".to_owned(), in_words(took)],
        (None, _) => ["last word:".to_owned(), time(record.written_at)],
    }
}

fn launcher(record: &RunRecord) -> String {
    let who = &record.launcher;
    let what = match (look(who), record.state) {
        (Launched::Elsewhere, _) => "another machine",
        (Launched::Here, _) => "this machine",
        (Launched::Gone, RunState::Running) => "this machine; it is gone",
        (Launched::Gone, _) => "this machine; it has ended",
    };
    format!("process {} on {} ({what})", who.pid, who.host)
}

fn attempts(record: &RunRecord) -> u64 {
    let counts = record.attempts;
    counts.forked + counts.fresh + counts.foreign + counts.batch
}

fn attempts_in_words(record: &RunRecord, verbose: bool) -> String {
    let total = attempts(record);
    let counts = record.attempts;
    let kinds = [
        (counts.forked, "forked"),
        (counts.fresh, "with fresh interpreters"),
        (counts.foreign, "by commands of other decorators"),
        (counts.batch, "on AWS Batch"),
    ];
    let kinds: Vec<_> = kinds
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, kind)| format!("{count} {kind}"))
        .collect();
    if verbose && !kinds.is_empty() {
        format!("{total}: {}", kinds.join(", "))
    } else {
        total.to_string()
    }
}

fn reasons(record: &RunRecord) -> String {
    if record.fresh_because.is_empty() {
        return String::new();
    }
    let mut reasons: Vec<_> = record.fresh_because.iter().collect();
    reasons.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let mut text = "  fresh interpreters because:\n".to_owned();
    for (reason, count) in reasons {
        let _ = writeln!(text, "  {count:>6}  {reason}");
    }
    text
}

fn steps(record: &RunRecord) -> String {
    if record.steps.is_empty() {
        return String::new();
    }
    let rows = record.steps.iter().map(|step| {
        let numbers = [step.tasks, step.started, step.succeeded, step.failed];
        let [tasks, started, succeeded, failed] = numbers.map(|number| number.to_string());
        [step.step.to_string(), tasks, started, succeeded, failed]
    });
    let head = ["step", "tasks", "attempts", "succeeded", "failed"].map(str::to_owned);
    columns(&[head].into_iter().chain(rows).collect::<Vec<_>>(), "  ")
}

fn batch_calls(record: &RunRecord) -> String {
    if record.batch_calls.is_empty() {
        return String::new();
    }
    let rows = record.batch_calls.iter().map(|(action, calls)| {
        let numbers = [calls.calls, calls.throttled, calls.retried];
        let [made, throttled, retried] = numbers.map(|number| number.to_string());
        let allowed = format!("{} a minute", calls.allowed_per_minute);
        [action.clone(), made, throttled, retried, allowed]
    });
    let head = ["AWS Batch", "calls", "throttled", "retried", "allowed"].map(str::to_owned);
    columns(&[head].into_iter().chain(rows).collect::<Vec<_>>(), "  ")
}

fn time(at: Timestamp) -> String {
    let at = jiff::Timestamp::from_millisecond(at.0).unwrap_or_default();
    let at = at.to_zoned_datetime(TimeZone::system());
    at.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

fn now() -> Timestamp {
    Timestamp(jiff::Timestamp::now().as_millisecond())
}
