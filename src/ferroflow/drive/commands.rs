//! From the command line that the host prepared to a start, and from the end of the run to what the host is told.

use anyhow::anyhow;
use compute::host::protocol::{FinishOutcome, Prepared, PreparedPlace};
use datastore::ObjectStore;
use model::{Attempt, TaskKey};
use scheduler::{FailureKind, RunFailure, RunOutcome};

use super::{Driver, local::Start};

impl<S: ObjectStore + 'static> Driver<S> {
    pub(super) fn start(&mut self, task: TaskKey, attempt: Attempt, mut prepared: Prepared) {
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
