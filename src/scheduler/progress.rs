//! How far a run is: the numbers of upstream's five-minute line (metaflow/runtime.py, `execute`).

use model::StepName;

use crate::{
    steps::{PerStep, StepIx, Steps},
    task::TaskState,
};

/// How far a run is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress<'a> {
    /// Attempts in flight.
    pub running: usize,
    /// Tasks and attempts that wait for a slot.
    pub queued: usize,
    /// Attempts that wait for `minutes_between_retries` to pass.
    pub backing_off: usize,
    /// Steps of which an attempt was launched, in the order in which they began.
    pub steps: Vec<StepProgress<'a>>,
    /// Steps that nothing has led to, in the graph's order.
    pub not_started: Vec<&'a StepName>,
}

/// How far a step is. `running` and `done` count attempts, as upstream's numbers do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepProgress<'a> {
    /// The step.
    pub step: &'a StepName,
    /// Attempts in flight.
    pub running: usize,
    /// Attempts that ended, in whatever way.
    pub done: usize,
    /// Attempts that ended without success.
    pub failed: usize,
    /// Tasks that were ready so far, those that wait for a slot included.
    pub tasks: usize,
    /// Of these, those of which no attempt was launched yet.
    pub waiting: usize,
}

/// Counters that each launch and each end move by one.
#[derive(Debug)]
pub(crate) struct Counts {
    pub(crate) in_flight: usize,
    steps: PerStep<StepCount>,
    begun: Vec<StepIx>,
}

#[derive(Debug, Default)]
struct StepCount {
    reached: Reached,
    running: usize,
    done: usize,
    failed: usize,
    tasks: usize,
    waiting: usize,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Reached {
    #[default]
    Not,
    Queued,
    Launched,
}

impl Counts {
    pub(crate) fn new(steps: &Steps) -> Self {
        Self {
            in_flight: 0,
            steps: steps.per_step(),
            begun: Vec::new(),
        }
    }

    pub(crate) fn queued(&mut self, step: StepIx, tasks: usize) {
        let count = &mut self.steps[step];
        count.tasks += tasks;
        count.waiting += tasks;
        if count.reached == Reached::Not {
            count.reached = Reached::Queued;
        }
    }

    /// A task has its first attempt.
    pub(crate) fn created(&mut self, step: StepIx) {
        self.steps[step].waiting -= 1;
    }

    pub(crate) fn launched(&mut self, step: StepIx) {
        let count = &mut self.steps[step];
        if count.reached != Reached::Launched {
            count.reached = Reached::Launched;
            self.begun.push(step);
        }
        count.running += 1;
        self.in_flight += 1;
    }

    pub(crate) fn ended(&mut self, step: StepIx, state: TaskState) {
        let count = &mut self.steps[step];
        count.running -= 1;
        count.done += 1;
        count.failed += usize::from(state == TaskState::Failed);
        self.in_flight -= 1;
    }

    pub(crate) fn progress<'a>(
        &self,
        steps: &'a Steps,
        queued: usize,
        backing_off: usize,
    ) -> Progress<'a> {
        Progress {
            running: self.in_flight,
            queued,
            backing_off,
            steps: self
                .begun
                .iter()
                .map(|&step| {
                    let count = &self.steps[step];
                    StepProgress {
                        step: &steps[step].name,
                        running: count.running,
                        done: count.done,
                        failed: count.failed,
                        tasks: count.tasks,
                        waiting: count.waiting,
                    }
                })
                .collect(),
            not_started: steps
                .iter()
                .filter(|&(step, _)| self.steps[step].reached == Reached::Not)
                .map(|(_, step)| &step.name)
                .collect(),
        }
    }
}
