//! What is known of an attempt's end.

use crate::{
    batch::{JobDetail, TimeLimit},
    spec::{Ended, Stopped, TaskOutcome},
};

/// Batch's words for "it has ended", which say nothing.
const NO_NEWS: &str = "Essential container in task exited";

/// SIGKILL and SIGTERM as exit codes of a container.
pub(super) const KILLED: i32 = 137;
pub(super) const TERMINATED: i32 = 143;

/// All that is known of the end of an attempt that did not succeed.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// What the container wrote at its end.
    pub outcome: Option<&'a TaskOutcome>,
    /// What Batch says of the job; none when it does not show it as ended.
    pub job: Option<&'a JobDetail>,
    /// Whether its container holds the claim: without one, no user code has run.
    pub claimed: bool,
    /// Whether this launcher has asked Batch to end it.
    pub ended_by_us: bool,
    /// What it had asked for, in MiB, which Metaflow calls MB.
    pub memory: Option<u64>,
    /// How long it was allowed to run.
    pub time_limit: Option<TimeLimit>,
}

impl<'a> Evidence<'a> {
    /// Whether user code may have run: then the attempt's number is taken.
    pub fn has_begun(&self) -> bool {
        match self.outcome.map(|outcome| &outcome.ended) {
            Some(Ended::NotStarted { .. }) => false,
            Some(_) => true,
            None => self.claimed,
        }
    }

    /// Batch's status reason, if it says something.
    pub(super) fn status_reason(&self) -> Option<&'a str> {
        filled(self.job?.status_reason.as_deref()).filter(|reason| *reason != NO_NEWS)
    }

    /// What the container runtime says.
    pub(super) fn container_reason(&self) -> Option<&'a str> {
        filled(self.job?.container_reason.as_deref())
    }

    /// Log stream of the container in CloudWatch Logs.
    pub(super) fn log_stream(&self) -> Option<&'a str> {
        filled(self.job?.log_stream.as_deref())
    }

    /// The container's exit code, or the step's as a shell would give it.
    pub(super) fn exit_code(&self) -> Option<i32> {
        match self.outcome.map(|outcome| &outcome.ended) {
            Some(Ended::Exited { code, .. }) => Some(*code),
            Some(Ended::Signaled { signal, .. }) => Some(128 + signal),
            Some(Ended::NotStarted { .. }) | None => self.job?.exit_code,
        }
    }

    /// Why the bootstrap had asked the step to stop.
    pub(super) fn stopped(&self) -> Option<Stopped> {
        match &self.outcome?.ended {
            Ended::NotStarted { stopped, .. }
            | Ended::Exited { stopped, .. }
            | Ended::Signaled { stopped, .. } => *stopped,
        }
    }

    /// Processes that the kernel killed for want of memory.
    pub(super) fn oom_kills(&self) -> u64 {
        self.outcome.map_or(0, |outcome| outcome.oom_kills)
    }

    /// Highest memory use in MiB.
    pub(super) fn peak_memory(&self) -> Option<u64> {
        let bytes = self.outcome?.usage.peak_memory;
        (bytes > 0).then_some(bytes >> 20)
    }

    /// How long it ran in whole seconds: the step, or else the container.
    pub(super) fn ran_for(&self) -> Option<u64> {
        let step = self.outcome.map(|outcome| &outcome.usage);
        let step = step.filter(|usage| usage.started_at > 0 && usage.ended_at > 0);
        let container = || {
            let job = self.job?;
            Some((job.started_at?.0, job.stopped_at?.0))
        };
        let (start, end) = step
            .map(|usage| (usage.started_at, usage.ended_at))
            .or_else(container)?;
        u64::try_from(end.checked_sub(start)?)
            .ok()
            .map(|ms| ms / 1_000)
    }
}

fn filled(text: Option<&str>) -> Option<&str> {
    text.map(str::trim).filter(|text| !text.is_empty())
}
