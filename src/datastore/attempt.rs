//! The files with which the launcher marks the begin and the end of an attempt.

use bytes::Bytes;
use model::{Attempt, FlowName, TaskPath, Timestamp, layout};
use serde::Serialize;

use crate::{ObjectStore, PutOptions, StoreError, json};

/// One attempt of a task of a flow: what the keys of its files are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AttemptRef<'a> {
    /// The flow.
    pub flow: &'a FlowName,
    /// The task.
    pub task: &'a TaskPath,
    /// The attempt.
    pub attempt: Attempt,
}

/// How the process of an attempt ended: the file `<attempt>.runtime`
/// (metaflow/runtime.py, `Worker.terminate`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct RuntimeRecord {
    /// Exit code, or minus the signal.
    pub return_code: i32,
    /// Whether the launcher killed the process.
    pub killed: bool,
    /// Whether the exit code is 0.
    pub success: bool,
}

impl RuntimeRecord {
    /// The record of a process with this exit code, or minus its signal.
    pub fn new(return_code: i32, killed: bool) -> Self {
        Self {
            return_code,
            killed,
            success: return_code == 0,
        }
    }
}

#[derive(Serialize)]
struct AttemptRecord {
    /// Seconds since the Unix epoch.
    time: f64,
}

/// Writes `<attempt>.attempt.json` as of `at`. It hides all earlier attempts from Metaflow's
/// readers, so it is written only for an attempt that runs
/// (metaflow/datastore/task_datastore.py, `init_task`).
pub async fn write_begun<S: ObjectStore>(
    store: &S,
    attempt: AttemptRef<'_>,
    at: Timestamp,
) -> Result<(), StoreError> {
    let key = layout::attempt_json(attempt.flow, attempt.task, attempt.attempt);
    let record = AttemptRecord {
        time: at.0 as f64 / 1000.0,
    };
    write(store, &key, &record).await
}

/// Writes `<attempt>.runtime`.
pub async fn write_runtime<S: ObjectStore>(
    store: &S,
    attempt: AttemptRef<'_>,
    record: RuntimeRecord,
) -> Result<(), StoreError> {
    let key = layout::runtime_json(attempt.flow, attempt.task, attempt.attempt);
    write(store, &key, &record).await
}

async fn write<S: ObjectStore, T: Serialize + Sync>(
    store: &S,
    key: &str,
    record: &T,
) -> Result<(), StoreError> {
    let body = Bytes::from(json::dumps(record));
    store.put(key, body, PutOptions::default()).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::LocalStore;

    const UPSTREAM: &str = "testdata/upstream-2.19.39/FixtureFlow/1795474309902956";

    #[tokio::test]
    async fn files_are_upstreams() {
        let folder = tempfile::tempdir().unwrap();
        let store = LocalStore::new(folder.path());
        let (flow, task): (FlowName, TaskPath) =
            ("F".parse().unwrap(), "1/start/1".parse().unwrap());
        let attempt = AttemptRef {
            flow: &flow,
            task: &task,
            attempt: Attempt(1),
        };
        write_begun(&store, attempt, Timestamp(1_795_474_310_107))
            .await
            .unwrap();

        let written = |name: &str| {
            std::fs::read_to_string(folder.path().join("F/1/start/1").join(name)).unwrap()
        };
        let upstream = |name: &str| {
            std::fs::read_to_string(
                std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
                    .join(UPSTREAM)
                    .join(name),
            )
            .unwrap()
        };
        assert_eq!(
            upstream("start/1/0.attempt.json"),
            "{\"time\": 1795474310.1079574}"
        );
        assert_eq!(written("1.attempt.json"), "{\"time\": 1795474310.107}");
        write_runtime(&store, attempt, RuntimeRecord::new(0, false))
            .await
            .unwrap();
        assert_eq!(written("1.runtime"), upstream("start/1/0.runtime"));
        write_runtime(&store, attempt, RuntimeRecord::new(1, false))
            .await
            .unwrap();
        assert_eq!(written("1.runtime"), upstream("flaky/18/0.runtime"));
    }
}
