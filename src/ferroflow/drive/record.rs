//! The record of the run in the datastore: what `ferroflow status` reads. A run goes on without it.

use std::{sync::Arc, time::Duration};

use compute::host::protocol::FinishOutcome;
use datastore::{ObjectStore, PutOptions};
use model::{
    Plan, layout,
    run_record::{Launcher, RunRecord, RunState, StepRecord},
};
use scheduler::{Run, StepProgress};
use tokio::task::JoinHandle;

use super::{Driver, now};
use crate::batch::{Batch, Recovered};

/// Time between two writings while the run goes on.
pub(super) const RECORD_INTERVAL: Duration = Duration::from_secs(10);

/// How long the end of a run waits for its record to be written.
const PATIENCE: Duration = Duration::from_secs(5);

/// The record, and whether the datastore has it as it is.
#[derive(Debug)]
pub(super) struct Recorder {
    record: RunRecord,
    changed: bool,
    /// Calls of AWS Batch that had been throttled when it was last written.
    throttled: u64,
    /// The last writing. One at a time: a store may let a slow one overtake the next.
    writing: Option<JoinHandle<()>>,
}

impl Recorder {
    /// Of a run that begins, or goes on after its launcher died.
    pub(super) fn new(plan: &Plan, launcher: Launcher, recovered: Option<&Recovered>) -> Self {
        let before = recovered.and_then(|recovered| recovered.record.clone());
        let record = match before {
            Some(before) => RunRecord { launcher, ..before },
            None => RunRecord::begun(plan.flow.clone(), plan.run.clone(), launcher, now()),
        };
        Self {
            record,
            changed: true,
            throttled: 0,
            writing: None,
        }
    }

    /// Who launches the run.
    pub(super) fn launcher(&self) -> &Launcher {
        &self.record.launcher
    }

    fn is_writing(&self) -> bool {
        self.writing
            .as_ref()
            .is_some_and(|writing| !writing.is_finished())
    }

    /// To count an attempt in, or because one has ended.
    pub(super) fn change(&mut self) -> &mut RunRecord {
        self.changed = true;
        &mut self.record
    }
}

impl<S: ObjectStore + 'static> Driver<S> {
    /// Writes the record if it has changed, beside everything else.
    pub(super) fn record_now_and_then(&mut self) {
        let may_be_anothers = self.batch.as_ref().is_some_and(|it| !it.drives_the_run());
        if self.recorder.is_writing() || may_be_anothers {
            return;
        }
        if std::mem::take(&mut self.recorder.changed) | self.is_throttled_again() {
            self.recorder.writing = Some(tokio::task::spawn_local(self.write_record()));
        }
    }

    /// Writes how the run has ended.
    pub(super) async fn record_end(&mut self, state: RunState) {
        self.recorder.record.state = state;
        let before = self.recorder.writing.take();
        let last = self.write_record();
        let written = tokio::time::timeout(PATIENCE, async move {
            if let Some(before) = before {
                // It has told why, if it failed.
                let _ = before.await;
            }
            last.await;
        });
        if written.await.is_err() {
            tracing::warn!("the record of the run was not written in time");
        }
    }

    /// Who waits for such a run may want to know.
    fn is_throttled_again(&mut self) -> bool {
        let calls = self.batch.as_ref().map(Batch::calls).unwrap_or_default();
        let throttled = calls.values().map(|calls| calls.throttled).sum();
        std::mem::replace(&mut self.recorder.throttled, throttled) != throttled
    }

    fn write_record(&mut self) -> impl Future<Output = ()> + 'static {
        let record = &mut self.recorder.record;
        record.written_at = now();
        record.batch_calls = self.batch.as_ref().map(Batch::calls).unwrap_or_default();
        record.steps = steps(&self.run);
        let key = layout::run_record(&record.flow, &record.run);
        let body = serde_json::to_vec(record);
        let store = Arc::clone(&self.store);
        async move {
            let written = match body {
                Ok(body) => store
                    .put(&key, body.into(), PutOptions::default())
                    .await
                    .map_err(anyhow::Error::from),
                Err(error) => Err(error.into()),
            };
            if let Err(error) = written {
                tracing::warn!("the record of the run was not written: {error:#}");
            }
        }
    }
}

/// How far the steps are.
pub(super) fn steps(run: &Run) -> Vec<StepRecord> {
    run.progress().steps.into_iter().map(step).collect()
}

fn step(progress: StepProgress<'_>) -> StepRecord {
    StepRecord {
        step: progress.step.clone(),
        tasks: progress.tasks as u64,
        started: (progress.running + progress.done) as u64,
        succeeded: (progress.done - progress.failed) as u64,
        failed: progress.failed as u64,
    }
}

/// How a run stands after what the host is told.
pub(super) fn state_after(outcome: &FinishOutcome) -> RunState {
    match outcome {
        FinishOutcome::Done => RunState::Done,
        FinishOutcome::Interrupted { .. } => RunState::Interrupted,
        _ => RunState::Failed,
    }
}
