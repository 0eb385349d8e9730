//! Launching: from the core's command to the command line that the host prepared.

use std::{rc::Rc, sync::Arc};

use anyhow::anyhow;
use bytes::Bytes;
use compute::host::{
    HostError,
    protocol::{DatastoreWrite, FinishOutcome, Prepare, Prepared, PreparedPlace},
};
use datastore::{ObjectStore, PutOptions};
use model::{Attempt, TaskKey, TaskPath};
use scheduler::{Event, FailureClass, FailureKind, Outcome, RunFailure, RunOutcome};

use super::{Driver, Happening, local::Start};
use crate::failpoint;

/// So many that the host never waits for the next one.
const MAX_OPEN_QUESTIONS: usize = 4;

impl<S: ObjectStore + 'static> Driver<S> {
    /// Asks the host for the command lines of attempts. It answers one question at a time, so the
    /// others wait here, where they can be dropped.
    pub(super) fn ask(&mut self) {
        while self.open_questions < MAX_OPEN_QUESTIONS {
            let Some((task, attempt)) = self.unasked.pop_front() else {
                return;
            };
            self.open_questions += 1;
            self.prepare(task, attempt);
        }
    }

    /// The run ended before the host was asked: nothing has been done for these attempts.
    pub(super) fn drop_unasked(&mut self) {
        for (task, attempt) in std::mem::take(&mut self.unasked) {
            self.end_adopted((task, attempt));
            self.not_started(task, attempt);
        }
    }

    /// Of an attempt that is not gone on with, whose job may run.
    fn end_adopted(&mut self, key: (TaskKey, Attempt)) {
        let adopted = self.adopted.remove(&key);
        if let (Some(adopted), Some(batch), Some(id)) =
            (adopted, &self.batch, self.task_ids.get(&key.0))
        {
            let path = self.path(self.step(key.0), id.clone());
            batch.end_adopted(path, key.1, adopted);
        }
    }

    pub(super) fn not_started(&mut self, task: TaskKey, attempt: Attempt) {
        let outcome = Outcome::Failed(FailureClass::NoRetry);
        self.handle(Event::TaskEnded {
            task,
            attempt,
            outcome,
        });
    }

    fn prepare(&mut self, task: TaskKey, attempt: Attempt) {
        self.reuse_id(task);
        let view = self.run.task(task);
        let inputs = self.input_paths(task);
        let question = Prepare {
            id: 0,
            task,
            step: view.step,
            attempt,
            split_index: view.split_index,
            max_user_code_retries: view.max_user_code_retries,
            input_paths: &inputs,
            task_id: self.task_ids.get(&task),
        };
        let answer = self.host.prepare(question);
        let reports = self.reports.clone();
        let (store, datastore) = (Arc::clone(&self.store), Rc::clone(&self.datastore));
        tokio::task::spawn_local(async move {
            let answer = answer.await;
            if let Ok(prepared) = &answer {
                let write = async || write(&*store, &prepared.writes).await;
                if let Err(error) = datastore.outlast(|| false, write).await {
                    let _ = reports.send(Happening::Broken(error));
                    return;
                }
            }
            let _ = reports.send(Happening::Prepared {
                task,
                attempt,
                answer,
            });
        });
    }

    fn input_paths(&self, task: TaskKey) -> Vec<TaskPath> {
        let view = self.run.task(task);
        if view.inputs.is_empty() {
            return vec![self.plan.params.clone()];
        }
        view.inputs
            .iter()
            .filter_map(|input| {
                let id = self.task_ids.get(input)?.clone();
                Some(self.path(self.step(*input), id))
            })
            .collect()
    }

    pub(super) fn on_prepared(
        &mut self,
        task: TaskKey,
        attempt: Attempt,
        answer: Result<Prepared, HostError>,
    ) {
        failpoint::reach("prepared");
        self.open_questions -= 1;
        self.on_answer(task, attempt, answer);
        self.ask();
    }

    fn on_answer(&mut self, task: TaskKey, attempt: Attempt, answer: Result<Prepared, HostError>) {
        let prepared = match answer {
            Ok(prepared) => prepared,
            Err(error) => return self.on_not_prepared(task, attempt, error),
        };
        self.task_ids.insert(task, prepared.task_id.clone());
        if self.halting.is_some() || self.broken.is_some() {
            // The run ended while the host was preparing: nothing has started.
            self.end_adopted((task, attempt));
            self.not_started(task, attempt);
        } else {
            self.start(task, attempt, prepared);
        }
    }

    fn start(&mut self, task: TaskKey, attempt: Attempt, mut prepared: Prepared) {
        let place = std::mem::replace(&mut prepared.place, PreparedPlace::Foreign);
        if let Some(adopted) = self.adopted.remove(&(task, attempt)) {
            return match place {
                PreparedPlace::Batch(command) => {
                    self.adopt_batch(task, attempt, prepared, command, adopted);
                }
                _ => self.break_down(anyhow!(
                    "step {} belongs on this machine now, and its task was submitted to AWS Batch",
                    self.step(task)
                )),
            };
        }
        match place {
            PreparedPlace::Batch(command) => self.start_batch(task, attempt, prepared, command),
            PreparedPlace::Local { fresh: None } => {
                self.record_and_start(task, attempt, prepared, Start::Fork);
            }
            PreparedPlace::Local {
                fresh: Some(reason),
            } => self.record_and_start(task, attempt, prepared, Start::Fresh(reason)),
            PreparedPlace::Foreign => {
                self.record_and_start(task, attempt, prepared, Start::Foreign);
            }
        }
    }

    fn on_not_prepared(&mut self, task: TaskKey, attempt: Attempt, error: HostError) {
        let failure = match error {
            HostError::Refused { id, .. } => FinishOutcome::HostError { id },
            other => FinishOutcome::InternalError {
                message: other.to_string(),
            },
        };
        self.host_failure.get_or_insert(failure);
        self.handle(Event::LaunchFailed { task, attempt });
    }

    /// What the host is to be told.
    pub(super) fn finish_outcome(&mut self, outcome: RunOutcome) -> FinishOutcome {
        match outcome {
            RunOutcome::Done => FinishOutcome::Done,
            RunOutcome::EndNotReached => FinishOutcome::EndNotReached,
            RunOutcome::Interrupted => FinishOutcome::Interrupted {
                signo: self.halting.as_ref().map_or(0, |halting| halting.signo),
            },
            RunOutcome::Failed(failure) => self.failure_outcome(&failure),
        }
    }

    fn failure_outcome(&mut self, failure: &RunFailure) -> FinishOutcome {
        let message = match failure {
            // Upstream's exception says that the task failed by itself.
            RunFailure::TaskFailed { .. } => String::new(),
            other => other.to_string(),
        };
        match (failure.kind(), failure.task()) {
            (FailureKind::Host, _) => self
                .host_failure
                .take()
                .unwrap_or(FinishOutcome::InternalError { message }),
            (FailureKind::TaskFailed, Some(task)) => FinishOutcome::TaskFailed {
                task,
                step: self.step(task).clone(),
                task_id: self.task_ids.get(&task).cloned(),
                message,
            },
            (FailureKind::TaskFailed | FailureKind::Internal, _) => {
                FinishOutcome::InternalError { message }
            }
        }
    }
}

/// What upstream's launcher writes before an attempt starts.
async fn write<S: ObjectStore>(store: &S, writes: &[DatastoreWrite]) -> anyhow::Result<()> {
    for DatastoreWrite { key, body } in writes {
        let body = Bytes::from(body.clone());
        store.put(key, body, PutOptions::default()).await?;
    }
    Ok(())
}
