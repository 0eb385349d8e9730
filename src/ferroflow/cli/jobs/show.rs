//! Jobs as text, and as JSON.

use anyhow::Result;
use jiff::tz::TimeZone;
use model::Timestamp;
use serde_json::{Value, json};

use super::runs::OpenJob;
use crate::cli::say::columns;

/// One line for each job, and one for none.
pub(super) fn table(jobs: &[OpenJob]) -> String {
    if jobs.is_empty() {
        return "no jobs\n".to_owned();
    }
    let head = ["RUN", "TASK", "ATTEMPT", "JOB", "STATE", "SINCE", "QUEUE"].map(str::to_owned);
    let rows = jobs.iter().map(|job| {
        [
            job.run.clone(),
            tasks(job),
            job.attempt.to_string(),
            job.id.as_ref().map_or("-", |id| id.as_str()).to_owned(),
            job.state.clone(),
            time(job.since),
            job.queue.clone(),
        ]
    });
    columns(&[head].into_iter().chain(rows).collect::<Vec<_>>(), "")
}

/// Each with its tasks, and why nobody waits for it, if that is so.
pub(super) fn json(jobs: &[OpenJob]) -> Result<String> {
    let value = |job: &OpenJob| {
        json!({
            "run": job.run,
            "tasks": job.tasks,
            "attempt": job.attempt,
            "job": job.id,
            "name": job.name,
            "state": job.state,
            "since": job.since,
            "queue": job.queue,
            "is_array": job.is_array,
            "ended_children": job.ended,
            "orphan": job.orphan.map(|orphan| orphan.to_string()),
        })
    };
    let values: Vec<Value> = jobs.iter().map(value).collect();
    Ok(serde_json::to_string_pretty(&values)?)
}

/// `train/3`; of an array `train/3… (8 tasks, 2 ended)`.
fn tasks(job: &OpenJob) -> String {
    let first = job.tasks.first().map(String::as_str).unwrap_or_default();
    match (job.is_array, job.ended) {
        (false, _) => first.to_owned(),
        (true, 0) => format!("{first}… ({} tasks)", job.tasks.len()),
        (true, ended) => format!("{first}… ({} tasks, {ended} ended)", job.tasks.len()),
    }
}

fn time(at: Timestamp) -> String {
    let at = jiff::Timestamp::from_millisecond(at.0).unwrap_or_default();
    let at = at.to_zoned_datetime(TimeZone::system());
    at.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(is_array: bool, ended: u32) -> OpenJob {
        OpenJob {
            run: "F/1".to_owned(),
            tasks: vec!["train/2".to_owned(), "train/3".to_owned()],
            attempt: 0,
            id: None,
            name: "name".to_owned(),
            queue: "queue".to_owned(),
            state: "RUNNING".to_owned(),
            since: Timestamp(0),
            is_array,
            ended,
            orphan: None,
        }
    }

    #[test]
    fn tasks_of_an_array_are_counted() {
        assert_eq!(tasks(&job(false, 0)), "train/2");
        assert_eq!(tasks(&job(true, 0)), "train/2… (2 tasks)");
        assert_eq!(tasks(&job(true, 1)), "train/2… (2 tasks, 1 ended)");
    }
}
