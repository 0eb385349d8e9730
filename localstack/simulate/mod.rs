//! Jobs without a process: the stack itself plays what runs in their containers. It reads what the job is told, waits as
//! long as the task is to take, and leaves what a real one leaves: artifacts, marks, metadata. So ten thousand of them cost a
//! machine no more than their objects, and a launcher cannot tell. Of Ferroflow's jobs it reads the spec in the launch
//! record, claims the launch and writes its outcome, too; Metaflow's own have nothing of that kind.
//!
//! The formats are written here on their own, because this crate knows nothing of Ferroflow's others;
//! `tests/simulate.rs` holds them against a launcher and upstream's readers.

mod claim;
mod container;
mod gzip;
mod input_paths;
mod local_metadata;
mod pickle;
mod plan;
mod spec;
mod task;
mod task_data;
mod upstream;

use std::{collections::BTreeMap, io, sync::Arc, time::Duration};

use serde_json::Value;

pub(crate) use self::container::Container;
pub use self::plan::Simulation;
use self::{claim::Claim, container::Playing, plan::Step, spec::Launch, task::Task};
use crate::{Clock, s3::S3};

/// By which a job says whose step it is; upstream's and Ferroflow's jobs both do.
const STEP: &str = "metaflow.step_name";

/// Exit codes of a container whose task did not start (docs/errors.md).
const DUPLICATE: i32 = 113;
const FAILED: i32 = 114;
/// Of a step that failed.
const STEP_FAILED: i32 = 1;
/// 128 and SIGTERM.
const TERMINATED: i32 = 143;

/// Plays the containers of the steps that it was told to.
#[derive(Debug)]
pub(crate) struct Simulator {
    simulation: Simulation,
    s3: S3,
    clock: Clock,
}

/// A task that has begun.
#[derive(Debug)]
pub(crate) struct Begun {
    step: Step,
    playing: Playing,
    /// Of Ferroflow's jobs.
    claim: Option<Claim>,
}

/// What is wrong with a task; there is no log to put it into, so that it goes to the stack's.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("another container has claimed the launch, or it was revoked")]
    Duplicate,
    #[error("the store does not do its part")]
    Store(#[from] io::Error),
    #[error("cannot understand a document")]
    Json(#[from] serde_json::Error),
    #[error("{0}")]
    Nonsense(String),
}

fn nonsense(text: impl Into<String>) -> Failure {
    Failure::Nonsense(text.into())
}

impl Simulator {
    pub(crate) fn new(simulation: Simulation, s3: S3, clock: Clock) -> Arc<Self> {
        Arc::new(Self {
            simulation,
            s3,
            clock,
        })
    }

    /// The task of a job, whether it is played here or not, as `run/step/task`.
    pub(crate) fn task_of(&self, container: &Container<'_>) -> Option<String> {
        let told = self.read(container).ok();
        told.map(|(task, _)| task.path)
    }

    /// Whether a job with these parameters is played here.
    pub(crate) fn plays(&self, parameters: &BTreeMap<String, String>) -> bool {
        let step = parameters.get(STEP);
        step.is_some_and(|step| self.simulation.step(step).is_some())
    }

    /// Reads what the job is told, and claims its launch; or the exit code of a container that does not come to run a task.
    pub(crate) fn begin(&self, container: &Container<'_>) -> Result<Begun, i32> {
        self.start(container).map_err(|failure| {
            tracing::warn!(job.id = container.job_id, error = %chain(&failure), "a simulated task does not start");
            match failure {
                Failure::Duplicate => DUPLICATE,
                _ => FAILED,
            }
        })
    }

    fn read(&self, container: &Container<'_>) -> Result<(Task, Option<Launch>), Failure> {
        if spec::is_named(container) {
            let (task, launch) = spec::fetch(&self.s3, container)?;
            Ok((task, Some(launch)))
        } else {
            Ok((upstream::read(container)?, None))
        }
    }

    fn start(&self, container: &Container<'_>) -> Result<Begun, Failure> {
        let (task, launch) = self.read(container)?;
        let step = self.simulation.step(task.step()?);
        let step = step.ok_or_else(|| nonsense("the step of its task is not that of its job"))?;
        let playing = Playing::new(container, task);
        let claim = launch
            .map(|launch| Claim::make(&self.s3, self.clock, &playing, launch))
            .transpose()?;
        Ok(Begun {
            step: step.clone(),
            playing,
            claim,
        })
    }

    /// Leaves what a task leaves, and returns its exit code.
    pub(crate) fn finish(&self, begun: &Begun) -> i32 {
        let Begun { step, playing, .. } = begun;
        let succeeds = !step.fails(playing.task.split_index(), playing.task.attempt);
        let code = if succeeds { 0 } else { STEP_FAILED };
        let end = || {
            let index = task_data::write(&self.s3, self.clock, playing, step, succeeds)?;
            self.tell(begun, &claim::exited(code), Some(&index))
        };
        match end() {
            Ok(()) => code,
            Err(failure) => {
                tracing::warn!(task = playing.task.path, error = %chain(&failure), "a simulated task cannot end");
                FAILED
            }
        }
    }

    /// SIGTERM: the step ends by it, and Ferroflow's bootstrap says so.
    pub(crate) fn terminate(&self, begun: &Begun) -> i32 {
        if let Err(failure) = self.tell(begun, &claim::terminated(), None) {
            tracing::warn!(task = begun.playing.task.path, error = %chain(&failure), "a simulated task cannot end");
        }
        TERMINATED
    }

    fn tell(&self, begun: &Begun, ended: &Value, index: Option<&[u8]>) -> Result<(), Failure> {
        let Begun { playing, claim, .. } = begun;
        claim.as_ref().map_or(Ok(()), |claim| {
            claim.outcome(&self.s3, self.clock, playing, ended, index)
        })
    }
}

impl Begun {
    /// How long the task takes, in AWS's time.
    pub(crate) fn duration(&self) -> Duration {
        self.step.duration(self.playing.task.split_index())
    }
}

fn chain(failure: &Failure) -> String {
    let source = std::error::Error::source(failure);
    source.map_or_else(
        || failure.to_string(),
        |source| format!("{failure}: {source}"),
    )
}
