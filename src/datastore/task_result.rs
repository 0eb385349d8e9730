//! What an attempt says of itself in the datastore: whether it succeeded, and what comes next.
//!
//! An attempt that failed has a `DONE.lock`, too; one that was killed has none. How the process
//! ended is not looked at here: a success also needs the exit code 0.

use std::fmt;

use model::{
    Fanout, Transition, layout,
    pickle::{self, PickleError},
};
use serde::Deserialize;

use crate::{
    AttemptRef, KnownValues, ObjectStore, StoreError,
    cas::{self, BlobKey, CasError},
    known_values::Known,
};

/// The most bytes of an artifact that the scheduler reads.
const MAX_ARTIFACT_BYTES: u64 = 1 << 20;

/// What an attempt says of itself in the datastore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskResult {
    /// The attempt has not finished, or ended before it could say so.
    NotDone(Missing),
    /// The attempt finished, and its `_task_ok` is not true.
    Failed,
    /// The attempt finished and succeeded. The next steps are not checked against the graph.
    Succeeded(Transition),
}

impl fmt::Display for TaskResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotDone(Missing::DataJson) => "it left no `data.json`",
            Self::NotDone(Missing::DoneLock) => "it left no `DONE.lock`",
            Self::Failed => "its `_task_ok` is not true",
            Self::Succeeded(_) => "it succeeded",
        })
    }
}

/// The file whose absence says that an attempt is not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// `<attempt>.data.json`
    DataJson,
    /// `<attempt>.DONE.lock`
    DoneLock,
}

/// An artifact that says something to the scheduler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchedulerArtifact {
    /// `_task_ok`: a `bool`.
    TaskOk,
    /// `_transition`: `None` or `([next steps], foreach variable or None)`.
    Transition,
    /// `_foreach_num_splits`: an `int`, or `None` without a foreach or with an unbounded one.
    ForeachNumSplits,
    /// `_unbounded_foreach`: `True` or `None`.
    UnboundedForeach,
}

impl fmt::Display for SchedulerArtifact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TaskOk => "_task_ok",
            Self::Transition => "_transition",
            Self::ForeachNumSplits => "_foreach_num_splits",
            Self::UnboundedForeach => "_unbounded_foreach",
        })
    }
}

/// Why the result of an attempt could not be read.
#[derive(Debug, thiserror::Error)]
pub enum TaskResultError {
    /// Reading a file of the attempt failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The index of artifacts is not what Metaflow writes.
    #[error("failed to understand `{key}`")]
    DataJson {
        /// The key of the index.
        key: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// An artifact could not be loaded.
    #[error("failed to load artifact `{artifact}` of task `{task}`")]
    Load {
        /// The artifact.
        artifact: SchedulerArtifact,
        /// The task.
        task: String,
        /// Why.
        #[source]
        source: CasError,
    },
    /// An artifact is not a pickle that can be read.
    #[error("failed to read artifact `{artifact}` of task `{task}`")]
    Pickle {
        /// The artifact.
        artifact: SchedulerArtifact,
        /// The task.
        task: String,
        /// Why.
        #[source]
        source: PickleError,
    },
    /// An artifact has a value that it never has.
    #[error("artifact `{artifact}` of task `{task}` has an unexpected value")]
    Unexpected {
        /// The artifact.
        artifact: SchedulerArtifact,
        /// The task.
        task: String,
    },
}

impl TaskResultError {
    /// Whether reading again a little later may well succeed.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Store(error)
            | Self::Load {
                source: CasError::Store(error),
                ..
            } => error.is_transient(),
            _ => false,
        }
    }
}

#[derive(Deserialize)]
struct DataJson {
    objects: Objects,
}

/// The addresses of the artifacts that matter here; any of them may be absent.
#[derive(Deserialize)]
struct Objects {
    #[serde(rename = "_task_ok")]
    task_ok: Option<BlobKey>,
    #[serde(rename = "_transition")]
    transition: Option<BlobKey>,
    #[serde(rename = "_foreach_num_splits")]
    foreach_num_splits: Option<BlobKey>,
    #[serde(rename = "_unbounded_foreach")]
    unbounded_foreach: Option<BlobKey>,
}

/// Reads what an attempt says of itself, at the cost of one GET and one HEAD at the same time,
/// and one GET for each value that `known` does not recognise.
pub async fn read<S: ObjectStore>(
    store: &S,
    attempt: AttemptRef<'_>,
    known: &KnownValues,
) -> Result<TaskResult, TaskResultError> {
    let key = layout::data_json(attempt.flow, attempt.task, attempt.attempt);
    let done_key = layout::done_lock(attempt.flow, attempt.task, attempt.attempt);
    let (data, done) = tokio::join!(store.get(&key), store.head(&done_key));
    let Some(data) = data? else {
        return Ok(TaskResult::NotDone(Missing::DataJson));
    };
    if done?.is_none() {
        return Ok(TaskResult::NotDone(Missing::DoneLock));
    }
    let data: DataJson = serde_json::from_slice(&data.body)
        .map_err(|source| TaskResultError::DataJson { key, source })?;
    Reader {
        store,
        attempt,
        known,
        objects: data.objects,
    }
    .result()
    .await
}

struct Reader<'a, S> {
    store: &'a S,
    attempt: AttemptRef<'a>,
    known: &'a KnownValues,
    objects: Objects,
}

impl<S: ObjectStore> Reader<'_, S> {
    async fn result(&self) -> Result<TaskResult, TaskResultError> {
        let artifact = SchedulerArtifact::TaskOk;
        if self.value(artifact, self.objects.task_ok).await? != Known::Bool(true) {
            return Ok(TaskResult::Failed);
        }
        let artifact = SchedulerArtifact::Transition;
        let (next, foreach) = match self.value(artifact, self.objects.transition).await? {
            Known::None => (Vec::new(), None),
            Known::Transition { next, foreach } => (next, foreach),
            _ => return Err(self.unexpected(artifact)),
        };
        let fanout = if foreach.is_some() {
            self.foreach().await?
        } else {
            Fanout::One
        };
        Ok(TaskResult::Succeeded(Transition { next, fanout }))
    }

    /// The width of the foreach that begins here (metaflow/runtime.py, `_queue_task_foreach`).
    async fn foreach(&self) -> Result<Fanout, TaskResultError> {
        let artifact = SchedulerArtifact::UnboundedForeach;
        if self.value(artifact, self.objects.unbounded_foreach).await? != Known::None {
            return Ok(Fanout::Unbounded);
        }
        let artifact = SchedulerArtifact::ForeachNumSplits;
        match self
            .value(artifact, self.objects.foreach_num_splits)
            .await?
        {
            Known::Int(splits) => match u64::try_from(splits) {
                Ok(splits) => Ok(Fanout::Foreach { splits }),
                Err(_) => Err(self.unexpected(artifact)),
            },
            _ => Err(self.unexpected(artifact)),
        }
    }

    /// The value of an artifact; one that does not exist is `None`.
    async fn value(
        &self,
        artifact: SchedulerArtifact,
        key: Option<BlobKey>,
    ) -> Result<Known, TaskResultError> {
        let Some(key) = key else {
            return Ok(Known::None);
        };
        if let Some(value) = self.known.get(key) {
            return Ok(value);
        }
        let task = || self.attempt.task.to_string();
        let content = cas::load(self.store, self.attempt.flow, key, MAX_ARTIFACT_BYTES)
            .await
            .map_err(|source| TaskResultError::Load {
                artifact,
                task: task(),
                source,
            })?;
        let value = pickle::read(&content).map_err(|source| TaskResultError::Pickle {
            artifact,
            task: task(),
            source,
        })?;
        let value = Known::from(&value);
        self.known.learn(key, &value);
        Ok(value)
    }

    fn unexpected(&self, artifact: SchedulerArtifact) -> TaskResultError {
        TaskResultError::Unexpected {
            artifact,
            task: self.attempt.task.to_string(),
        }
    }
}

#[cfg(test)]
mod tests;
