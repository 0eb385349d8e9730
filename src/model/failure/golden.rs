//! The golden rows: payloads of DescribeJobs and outcomes, most of them with texts that people
//! have met, and what is made of them. A row with `not` looks like a class that it is not.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Class, Evidence};
use crate::{
    Timestamp,
    batch::{JobDetail, JobId, TimeLimit},
    spec::TaskOutcome,
};

const FILES: [&str; 10] = [
    include_str!("golden/user_error.json"),
    include_str!("golden/out_of_memory.json"),
    include_str!("golden/timeout.json"),
    include_str!("golden/host.json"),
    include_str!("golden/image.json"),
    include_str!("golden/container_runtime.json"),
    include_str!("golden/configuration.json"),
    include_str!("golden/cancelled.json"),
    include_str!("golden/bootstrap.json"),
    include_str!("golden/unknown.json"),
];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    name: String,
    /// Where the texts were found, or `constructed`.
    source: String,
    /// What DescribeJobs says, as far as it matters.
    job: Option<Job>,
    /// What the bootstrap wrote, as far as it matters.
    outcome: Option<Value>,
    claimed: bool,
    #[serde(default)]
    ended_by_us: bool,
    memory: Option<u64>,
    time_limit: Option<Limit>,
    class: String,
    not: Option<String>,
    text: String,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Limit {
    Decorator(u64),
    Default(u64),
}

/// A JobDetail of the Batch API reference.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Job {
    status: String,
    status_reason: Option<String>,
    #[serde(default)]
    container: Container,
    #[serde(default)]
    is_terminated: bool,
    #[serde(default)]
    is_cancelled: bool,
    started_at: Option<i64>,
    stopped_at: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Container {
    exit_code: Option<i32>,
    reason: Option<String>,
    log_stream_name: Option<String>,
}

impl Job {
    fn detail(&self) -> JobDetail {
        JobDetail {
            id: JobId::new("id"),
            name: "name".to_owned(),
            status: self.status.parse().unwrap(),
            status_reason: self.status_reason.clone(),
            container_reason: self.container.reason.clone(),
            exit_code: self.container.exit_code,
            log_stream: self.container.log_stream_name.clone(),
            is_terminated: self.is_terminated,
            is_cancelled: self.is_cancelled,
            created_at: None,
            started_at: self.started_at.map(Timestamp),
            stopped_at: self.stopped_at.map(Timestamp),
        }
    }
}

/// A whole outcome around what a row says of it.
fn outcome(part: &Value) -> TaskOutcome {
    let mut whole = json!({
        "version": 1, "attempt": 0, "launch": 0, "nonce": "n", "job": "id", "oom_kills": 0,
        "usage": {"peak_memory": 0, "cpu_seconds": 0.0, "claimed_at": 0, "started_at": 0,
                  "ended_at": 0},
        "data_json_sha256": null,
    });
    for (name, value) in part.as_object().unwrap() {
        match (name.as_str(), value) {
            ("usage", Value::Object(used)) => {
                let usage = whole["usage"].as_object_mut().unwrap();
                usage.extend(used.clone());
            }
            _ => whole[name] = value.clone(),
        }
    }
    serde_json::from_value(whole).unwrap()
}

fn rows() -> Vec<Row> {
    let rows = |file: &&str| serde_json::from_str::<Vec<Row>>(file).unwrap();
    FILES.iter().flat_map(rows).collect()
}

fn judged(row: &Row) -> (Class, String) {
    let outcome = row.outcome.as_ref().map(outcome);
    let job = row.job.as_ref().map(Job::detail);
    let evidence = Evidence {
        outcome: outcome.as_ref(),
        job: job.as_ref(),
        claimed: row.claimed,
        ended_by_us: row.ended_by_us,
        memory: row.memory,
        time_limit: row.time_limit.map(|limit| match limit {
            Limit::Decorator(seconds) => TimeLimit::Decorator(seconds),
            Limit::Default(seconds) => TimeLimit::Default(seconds),
        }),
    };
    (evidence.class(), evidence.explanation().to_string())
}

#[test]
fn each_row_has_its_class_and_its_text() {
    let mut wrong = Vec::new();
    for row in rows() {
        let (class, text) = judged(&row);
        if class.to_string() != row.class || text != row.text {
            wrong.push(json!({"name": row.name, "class": class.to_string(), "text": text}));
        }
    }
    let wrong: Vec<_> = wrong.iter().map(Value::to_string).collect();
    assert!(wrong.is_empty(), "instead:\n{}", wrong.join("\n"));
}

#[test]
fn texts_are_one_line_and_end_like_a_sentence() {
    for row in rows() {
        let text = &row.text;
        assert!(
            !text.contains('\n') && text.ends_with('.') && !text.ends_with(".."),
            "{text}"
        );
        assert!(!text.contains("Traceback"), "{text}");
    }
}

#[test]
fn there_are_enough_rows_and_each_class_has_one_and_one_that_looks_like_it() {
    let rows = rows();
    assert!(rows.len() >= 60, "{} rows", rows.len());
    let found = rows.iter().filter(|row| row.source != "constructed");
    assert!(found.clone().count() >= 30, "{} sources", found.count());
    for row in found {
        assert!(row.source.starts_with("https://"), "{}", row.source);
    }
    let all: BTreeSet<_> = Class::ALL.iter().map(Class::to_string).collect();
    assert_eq!(all.len(), Class::ALL.len());
    let have: BTreeSet<_> = rows.iter().map(|row| row.class.clone()).collect();
    assert_eq!(have, all);
    let look_alike: BTreeSet<_> = rows.iter().filter_map(|row| row.not.clone()).collect();
    assert_eq!(look_alike, all);
    for row in &rows {
        assert_ne!(row.not.as_ref(), Some(&row.class), "{}", row.name);
    }
}
