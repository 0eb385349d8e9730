//! Metadata that Ferroflow registers of a task: what it used, which Metaflow's Client shows in `task.metadata_dict`, and
//! where the logs of an attempt are whose container could not say so.

use serde::Serialize;

use crate::{
    Attempt, FlowName, TaskPath, Timestamp,
    spec::{Ended, TaskOutcome, Usage},
};

/// Names of the metadata that is registered, which are their types, too.
pub mod field {
    /// Highest memory use in MiB, which Metaflow calls MB.
    pub const PEAK_MEMORY: &str = "ferroflow-peak-memory-mb";
    /// The container's memory limit in MiB.
    pub const MEMORY_LIMIT: &str = "ferroflow-memory-limit-mb";
    /// CPU seconds, user and system.
    pub const CPU_SECONDS: &str = "ferroflow-cpu-seconds";
    /// Seconds from the step's start to its end.
    pub const WALL_SECONDS: &str = "ferroflow-wall-seconds";
    /// Highest use of GPU memory in MiB.
    pub const GPU_MEMORY: &str = "ferroflow-gpu-memory-mb";
}

/// A record of metadata as both providers take it (metaflow/metadata_provider/metadata.py, `_metadata_to_json`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TaskMetadatum {
    flow_id: String,
    run_number: String,
    step_name: String,
    task_id: String,
    /// Its name.
    pub field_name: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
    value: String,
    tags: Vec<String>,
    user_name: String,
    ts_epoch: i64,
}

/// Whose metadata it is.
#[derive(Debug, Clone, Copy)]
pub struct Owner<'a> {
    /// The flow.
    pub flow: &'a FlowName,
    /// The task.
    pub task: &'a TaskPath,
    /// The attempt.
    pub attempt: Attempt,
    /// `METAFLOW_USER`.
    pub user: &'a str,
}

/// What an attempt used. Nothing for one whose user code never started.
pub fn of_usage(outcome: &TaskOutcome, owner: Owner<'_>, at: Timestamp) -> Vec<TaskMetadatum> {
    if matches!(outcome.ended, Ended::NotStarted { .. }) {
        return Vec::new();
    }
    let values = values(&outcome.usage).into_iter();
    values
        .map(|(name, value)| owner.record(name, value, at))
        .collect()
}

/// Where the logs of an attempt are: what a step registers when it starts (metaflow/task.py, `run_step`), and without
/// which the Client shows none.
pub fn of_place(
    ds_type: &str,
    ds_root: &str,
    owner: Owner<'_>,
    at: Timestamp,
) -> Vec<TaskMetadatum> {
    vec![
        owner.record("attempt", owner.attempt.to_string(), at),
        owner.record("ds-type", ds_type.to_owned(), at),
        owner.record("ds-root", ds_root.to_owned(), at),
    ]
}

impl Owner<'_> {
    fn record(&self, name: &'static str, value: String, at: Timestamp) -> TaskMetadatum {
        TaskMetadatum {
            flow_id: self.flow.to_string(),
            run_number: self.task.run.to_string(),
            step_name: self.task.step.to_string(),
            task_id: self.task.task.to_string(),
            field_name: name,
            kind: name,
            value,
            tags: vec![format!("attempt_id:{}", self.attempt)],
            user_name: self.user.to_owned(),
            ts_epoch: at.0,
        }
    }
}

/// What is known, in texts.
fn values(usage: &Usage) -> Vec<(&'static str, String)> {
    let megabytes = |bytes: u64| (bytes > 0).then(|| (bytes >> 20).to_string());
    let wall = (usage.started_at > 0).then(|| usage.ended_at.saturating_sub(usage.started_at));
    [
        (field::PEAK_MEMORY, megabytes(usage.peak_memory)),
        (field::MEMORY_LIMIT, megabytes(usage.memory_limit)),
        (
            field::CPU_SECONDS,
            Some(format!("{:.2}", usage.cpu_seconds)),
        ),
        (
            field::WALL_SECONDS,
            wall.map(|ms| format!("{:.2}", ms.max(0) as f64 / 1_000.0)),
        ),
        (
            field::GPU_MEMORY,
            usage.gpu.map(|gpu| (gpu.peak_memory >> 20).to_string()),
        ),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value?)))
    .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::spec::{GpuUsage, SPEC_VERSION};

    fn outcome(ended: Ended, usage: Usage) -> TaskOutcome {
        TaskOutcome {
            version: SPEC_VERSION,
            attempt: Attempt(1),
            launch: 0,
            nonce: String::new(),
            job: String::new(),
            ended,
            oom_kills: 0,
            usage,
            data_json_sha256: None,
            logs: None,
        }
    }

    fn told(ended: Ended, usage: Usage) -> Vec<TaskMetadatum> {
        let owner = Owner {
            flow: &"F".parse().unwrap(),
            task: &"7/work/3".parse().unwrap(),
            attempt: Attempt(1),
            user: "ada",
        };
        of_usage(&outcome(ended, usage), owner, Timestamp(5))
    }

    fn exited() -> Ended {
        Ended::Exited {
            code: 1,
            stopped: None,
        }
    }

    #[test]
    fn records_are_metaflows() {
        let usage = Usage {
            peak_memory: (210 << 20) + 1,
            memory_limit: 4096 << 20,
            cpu_seconds: 1.234,
            gpu: Some(GpuUsage {
                peak_memory: 3 << 30,
                memory: 16 << 30,
            }),
            claimed_at: 900,
            started_at: 1_000,
            ended_at: 3_500,
        };
        let records = told(exited(), usage);
        assert_eq!(
            serde_json::to_value(&records[0]).unwrap(),
            json!({"flow_id": "F", "run_number": "7", "step_name": "work", "task_id": "3",
                   "field_name": "ferroflow-peak-memory-mb", "type": "ferroflow-peak-memory-mb", "value": "210",
                   "tags": ["attempt_id:1"], "user_name": "ada", "ts_epoch": 5})
        );
        let values: Vec<_> = records.iter().map(|r| (r.field_name, &*r.value)).collect();
        assert_eq!(
            values,
            [
                (field::PEAK_MEMORY, "210"),
                (field::MEMORY_LIMIT, "4096"),
                (field::CPU_SECONDS, "1.23"),
                (field::WALL_SECONDS, "2.50"),
                (field::GPU_MEMORY, "3072"),
            ]
        );
    }

    #[test]
    fn what_is_not_known_is_not_told() {
        let names = |records: Vec<TaskMetadatum>| {
            let names = records.iter().map(|record| record.field_name);
            names.collect::<Vec<_>>()
        };
        let nothing = names(told(exited(), Usage::default()));
        assert_eq!(nothing, [field::CPU_SECONDS]);
        let not_started = Ended::NotStarted {
            message: String::new(),
            passing: false,
            stopped: None,
        };
        assert_eq!(told(not_started, Usage::default()), []);
    }
}
