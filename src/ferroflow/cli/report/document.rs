//! A report as a document: what `--json` prints.

use model::{
    FlowName, RunId, StepName, Timestamp,
    run_record::{FailureRecord, RunState},
};
use serde::Serialize;

/// What is told about a run. Times are milliseconds since 1970, or seconds where their names say so; memory is in MiB.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) flow: FlowName,
    pub(super) run: RunId,
    pub(super) state: RunState,
    pub(super) began_at: Timestamp,
    pub(super) written_at: Timestamp,
    pub(super) steps: Vec<StepReport>,
    pub(super) failures: Vec<FailureRecord>,
    /// Of AWS Batch, all steps together.
    pub(super) total: Total,
}

/// A step.
#[derive(Debug, Serialize)]
pub(super) struct StepReport {
    pub(super) step: StepName,
    /// As the run's record has them, wherever they ran.
    #[serde(flatten)]
    pub(super) counts: Counts,
    /// Of its launches on AWS Batch, if there are any.
    pub(super) batch: Option<BatchReport>,
}

/// How far a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub(super) struct Counts {
    pub(super) tasks: u64,
    pub(super) attempts: u64,
    pub(super) succeeded: u64,
    pub(super) failed: u64,
}

/// A step on AWS Batch.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct BatchReport {
    /// Containers that were asked for.
    pub(super) launches: u64,
    /// Those of which no end is known: they run, were lost, or never began.
    pub(super) without_end: u64,
    pub(super) asked: Asked,
    /// The highest use of each container.
    pub(super) peak_memory_mb: Option<Spread>,
    /// Of GPU memory, where GPUs were seen.
    pub(super) gpu_memory_mb: Option<Spread>,
    /// Of each container that has ended, on average.
    pub(super) mean_cpu_seconds: Option<f64>,
    /// vCPUs in use from claim to end, on average.
    pub(super) cores_used: Option<f64>,
    /// From the launch record to the claim.
    pub(super) queue_seconds: Option<Spread>,
    /// From the step's start to its end.
    pub(super) run_seconds: Option<Spread>,
    /// From the first launch record to the last end.
    pub(super) wall_seconds: Option<f64>,
    #[serde(flatten)]
    pub(super) total: Total,
}

/// What launches of a step asked for.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Asked {
    pub(super) vcpus: Option<Range>,
    pub(super) memory_mb: Option<Range>,
    pub(super) gpus: Option<Range>,
}

/// From the least to the most.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Range {
    pub(super) min: f64,
    pub(super) max: f64,
}

/// How figures of a step's containers lie.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Spread {
    pub(super) median: f64,
    pub(super) max: f64,
}

/// What was held, and what was used of it.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
#[expect(clippy::struct_field_names, reason = "names in JSON say their units")]
pub(super) struct Total {
    /// Asked for, from claim to end.
    pub(super) vcpu_hours: f64,
    /// Asked for, from claim to end; a GB is 1,024 MB.
    pub(super) gb_hours: f64,
    /// Used.
    pub(super) cpu_hours: f64,
}

impl Total {
    /// The sum of both.
    pub(super) fn with(self, other: Self) -> Self {
        Self {
            vcpu_hours: self.vcpu_hours + other.vcpu_hours,
            gb_hours: self.gb_hours + other.gb_hours,
            cpu_hours: self.cpu_hours + other.cpu_hours,
        }
    }
}
