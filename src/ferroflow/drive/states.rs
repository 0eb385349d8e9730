//! In which state attempts in flight are, counted by step as they change: there may be ten thousand of them.

use std::collections::HashMap;

use model::{Attempt, StepName, TaskKey, batch::JobStatus};

use crate::report::InFlight;

/// The state of an attempt that was launched and does not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ahead {
    /// Its job waits for an instance, or for AWS Batch to take it.
    Queued,
    /// It is being prepared, or its container starts.
    Starting,
}

impl Ahead {
    /// Of an attempt whose job has this state; none once it runs.
    pub(super) fn of(status: &JobStatus) -> Option<Self> {
        match status {
            JobStatus::Submitted | JobStatus::Pending | JobStatus::Runnable => Some(Self::Queued),
            JobStatus::Starting => Some(Self::Starting),
            _ => None,
        }
    }
}

/// Attempts that do not run yet, and how many each step has.
#[derive(Debug, Default)]
pub(super) struct States {
    ahead: HashMap<(TaskKey, Attempt), Ahead>,
    steps: HashMap<StepName, InFlight>,
}

impl States {
    /// An attempt of `step` is in this state now; none when it runs, or has ended.
    pub(super) fn set(&mut self, key: (TaskKey, Attempt), step: &StepName, state: Option<Ahead>) {
        let before = match state {
            Some(state) => self.ahead.insert(key, state),
            None => self.ahead.remove(&key),
        };
        if before == state {
            return;
        }
        if !self.steps.contains_key(step) {
            self.steps.insert(step.clone(), InFlight::default());
        }
        let Some(counts) = self.steps.get_mut(step) else {
            return;
        };
        if let Some(before) = before {
            *count(counts, before) -= 1;
        }
        if let Some(state) = state {
            *count(counts, state) += 1;
        }
    }

    /// By step.
    pub(super) fn of_steps(&self) -> &HashMap<StepName, InFlight> {
        &self.steps
    }
}

fn count(counts: &mut InFlight, state: Ahead) -> &mut usize {
    match state {
        Ahead::Queued => &mut counts.queued,
        Ahead::Starting => &mut counts.starting,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_attempt_counts_once() {
        let step = StepName::new("a").unwrap();
        let mut states = States::default();
        let key = |task| (TaskKey(task), Attempt(0));
        for task in 0..3 {
            states.set(key(task), &step, Some(Ahead::Starting));
            states.set(key(task), &step, Some(Ahead::Queued));
        }
        states.set(key(0), &step, Ahead::of(&JobStatus::Starting));
        states.set(key(1), &step, Ahead::of(&JobStatus::Running));
        states.set(key(1), &step, None);
        let counts = states.of_steps()[&step];
        assert_eq!((counts.queued, counts.starting), (1, 1));
        states.set(key(0), &step, None);
        states.set(key(2), &step, None);
        assert_eq!(states.of_steps()[&step], InFlight::default());
    }
}
