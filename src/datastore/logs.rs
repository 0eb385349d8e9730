//! Logs of attempts (metaflow/datastore/task_datastore.py, `save_logs`).
//!
//! The launcher writes `<attempt>.runtime_{stdout,stderr}.log` once, when the attempt has ended;
//! a task in a container replaces its `<attempt>.task_{stdout,stderr}.log` again and again, each
//! time with a longer one.

use bytes::Bytes;
use model::layout::{self, LogSource, Stream};

use crate::{AttemptRef, ObjectStore, PutOptions, StoreError};

/// Writes the launcher's logs of both streams: lines in Metaflow's format ([`model::mflog`]).
/// An empty log is written, too.
pub async fn save_runtime_logs<S: ObjectStore>(
    store: &S,
    attempt: AttemptRef<'_>,
    stdout: impl Into<Bytes>,
    stderr: impl Into<Bytes>,
) -> Result<(), StoreError> {
    let save = async |stream, lines| {
        let key = key(attempt, LogSource::Runtime, stream);
        store.put(&key, lines, PutOptions::default()).await
    };
    let (stdout, stderr) = tokio::join!(
        save(Stream::Stdout, stdout.into()),
        save(Stream::Stderr, stderr.into())
    );
    stdout.and(stderr).map(drop)
}

/// At most `limit` bytes of the task's own log of one stream from the byte `from` on; `None` if there is no log yet,
/// empty if it has not grown. It may end in the middle of a line.
pub async fn read_task_log<S: ObjectStore>(
    store: &S,
    attempt: AttemptRef<'_>,
    stream: Stream,
    from: u64,
    limit: u64,
) -> Result<Option<Bytes>, StoreError> {
    store
        .get_range(&key(attempt, LogSource::Task, stream), from, limit)
        .await
}

fn key(attempt: AttemptRef<'_>, source: LogSource, stream: Stream) -> String {
    layout::log(attempt.flow, attempt.task, attempt.attempt, source, stream)
}

#[cfg(test)]
mod tests {
    use model::{Attempt, FlowName, TaskPath};

    use super::*;
    use crate::local::LocalStore;

    #[tokio::test]
    async fn logs_are_written_whole_and_read_on() {
        let folder = tempfile::tempdir().unwrap();
        let store = LocalStore::new(folder.path());
        let (flow, task): (FlowName, TaskPath) =
            ("F".parse().unwrap(), "1/start/1".parse().unwrap());
        let attempt = AttemptRef {
            flow: &flow,
            task: &task,
            attempt: Attempt(0),
        };

        save_runtime_logs(&store, attempt, &b"out\n"[..], Bytes::new())
            .await
            .unwrap();
        let written = |name| std::fs::read(folder.path().join("F/1/start/1").join(name)).unwrap();
        assert_eq!(written("0.runtime_stdout.log"), b"out\n");
        assert_eq!(written("0.runtime_stderr.log"), b"");

        let rest = async |from| {
            read_task_log(&store, attempt, Stream::Stdout, from, 100)
                .await
                .unwrap()
        };
        assert_eq!(rest(0).await, None);
        let log = Bytes::from_static(b"one\ntwo\n");
        store
            .put("F/1/start/1/0.task_stdout.log", log, PutOptions::default())
            .await
            .unwrap();
        assert_eq!(rest(4).await.as_deref(), Some(&b"two\n"[..]));
        assert_eq!(rest(8).await.as_deref(), Some(&b""[..]));
    }
}
