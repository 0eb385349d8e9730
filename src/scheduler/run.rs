//! The state of a run, and the one place where events come in.

use std::sync::Arc;

use model::{NodeKind, Plan, TaskKey, Timestamp, plan::Limits};

use crate::{
    Command, Event, HaltCause, Launch, Outcome, Place, PlanError, Progress, RunFailure, RunOutcome,
    TaskIndex, TaskView,
    frames::{Frames, Position},
    progress::Counts,
    queue::{Next, Queue, Queued},
    steps::{StepIx, Steps},
    task::{Inputs, TaskState, Tasks},
};

/// A run of a flow.
///
/// The driver passes each event to [`Run::handle`] and calls [`Run::dispatch`] once per turn, when
/// it has passed all events that it has.
#[derive(Debug)]
pub struct Run {
    pub(crate) steps: Steps,
    pub(crate) limits: Limits,
    pub(crate) tasks: Tasks,
    pub(crate) frames: Frames,
    pub(crate) queue: Queue,
    pub(crate) counts: Counts,
    pub(crate) end: End,
    /// Tasks that wait for a timer.
    pub(crate) backing_off: usize,
    phase: Phase,
}

/// Whether the last step has succeeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Ahead,
    Reached,
}

#[derive(Debug)]
enum Phase {
    Ready,
    Running,
    /// Waits for what is in flight, then ends in this way.
    Halting(RunOutcome),
    Finished,
}

impl Run {
    /// Checks the plan. Nothing happens before [`Event::Begun`].
    pub fn new(plan: Arc<Plan>) -> Result<Self, PlanError> {
        if plan.limits.max_workers == 0 {
            return Err(PlanError::NoWorkers);
        }
        let steps = Steps::new(&plan)?;
        Ok(Self {
            counts: Counts::new(&steps),
            steps,
            limits: plan.limits,
            tasks: Tasks::new(),
            frames: Frames::new(),
            queue: Queue::default(),
            end: End::Ahead,
            backing_off: 0,
            phase: Phase::Ready,
        })
    }

    /// Takes in what happened at `at`, and appends what has to be done about it, except launches:
    /// those come from [`Run::dispatch`].
    pub fn handle(&mut self, at: Timestamp, event: Event, out: &mut Vec<Command>) {
        if self.is_stale(&event) {
            return;
        }
        if let Err(failure) = self.apply(at, event, out) {
            self.halt(HaltCause::Failed, RunOutcome::Failed(failure), out);
        }
        self.finish_if_idle(out);
    }

    /// Launches what is ready, as far as there are free slots (metaflow/runtime.py,
    /// `_launch_workers`). The time is not used yet: it is here for launches that wait for company.
    pub fn dispatch(&mut self, _at: Timestamp, out: &mut Vec<Command>) {
        while self.counts.in_flight < self.limits.max_workers as usize {
            let Some(next) = self.queue.pop() else {
                return;
            };
            let task = match next {
                Next::Relaunch(task) => task,
                Next::New(queued) => self.create(queued),
            };
            out.push(Command::Launch(self.launch(task)));
        }
    }

    /// What there is to know about a task that was launched.
    ///
    /// # Panics
    ///
    /// If no command has named the task.
    pub fn task(&self, key: TaskKey) -> TaskView<'_> {
        let task = &self.tasks[key];
        let step = &self.steps[task.step];
        TaskView {
            step: &step.name,
            split_index: self.split_index(key),
            inputs: task.inputs.keys(),
            attempt: task.attempt,
            max_user_code_retries: step.plan.retry.user + task.lost,
            free: task.free,
        }
    }

    /// The foreach items and loop iterations around a task that was launched.
    ///
    /// # Panics
    ///
    /// If no command has named the task.
    pub fn index(&self, key: TaskKey) -> TaskIndex {
        self.frames.index(self.tasks[key].position)
    }

    /// How far the run is.
    pub fn progress(&self) -> Progress<'_> {
        self.counts
            .progress(&self.steps, self.queue.len(), self.backing_off)
    }

    /// Whether the run is over, or about to be: nothing is launched any more.
    pub fn is_ending(&self) -> bool {
        matches!(self.phase, Phase::Halting(_) | Phase::Finished)
    }

    /// Attempts that were launched and have not ended.
    pub fn in_flight(&self) -> usize {
        self.counts.in_flight
    }

    /// Whether an event is about something that is over or was never asked for. Events may be
    /// repeated, by a replay or by an adapter that looked twice, and attempts that were given up
    /// may still end.
    fn is_stale(&self, event: &Event) -> bool {
        match (&self.phase, event) {
            (Phase::Finished, _) => true,
            (phase, Event::Begun) => !matches!(phase, Phase::Ready),
            (phase, Event::Interrupted) => matches!(phase, Phase::Halting(_)),
            (phase, Event::Due(timer)) => {
                matches!(phase, Phase::Halting(_))
                    || !self
                        .tasks
                        .has(timer.task, timer.attempt, TaskState::Backoff)
            }
            (
                _,
                Event::TaskEnded { task, attempt, .. }
                | Event::LaunchRefused { task, attempt }
                | Event::LaunchFailed { task, attempt },
            ) => !self.tasks.has(*task, *attempt, TaskState::Launched),
        }
    }

    fn apply(
        &mut self,
        at: Timestamp,
        event: Event,
        out: &mut Vec<Command>,
    ) -> Result<(), RunFailure> {
        match event {
            Event::Begun => {
                self.phase = Phase::Running;
                self.enqueue(self.steps.start, Position::ROOT, Inputs::Params);
                Ok(())
            }
            Event::TaskEnded { task, outcome, .. } => {
                self.end_attempt(task, TaskState::after(&outcome));
                if matches!(self.phase, Phase::Halting(_)) {
                    return Ok(());
                }
                match outcome {
                    Outcome::Succeeded(transition) => self.on_task_finished(task, &transition),
                    Outcome::Failed(class) => self.after_failed_attempt(at, task, class, out),
                    Outcome::Lost { free } => self.after_lost_attempt(at, task, free, out),
                }
            }
            Event::LaunchRefused { task, .. } => {
                self.end_attempt(task, TaskState::Failed);
                Ok(())
            }
            Event::LaunchFailed { task, attempt } => {
                self.end_attempt(task, TaskState::Failed);
                let step = self.steps[self.tasks[task].step].name.clone();
                Err(RunFailure::Host {
                    task,
                    step,
                    attempt,
                })
            }
            Event::Due(timer) => {
                self.after_backoff(timer.task);
                Ok(())
            }
            Event::Interrupted => {
                self.halt(HaltCause::Interrupted, RunOutcome::Interrupted, out);
                Ok(())
            }
        }
    }

    /// Gives up everything that is not in flight. The first reason to halt is the one that counts.
    fn halt(&mut self, cause: HaltCause, outcome: RunOutcome, out: &mut Vec<Command>) {
        if matches!(self.phase, Phase::Halting(_)) {
            return;
        }
        self.queue.clear();
        self.backing_off = 0;
        self.phase = Phase::Halting(outcome);
        out.push(Command::Halt(cause));
    }

    fn finish_if_idle(&mut self, out: &mut Vec<Command>) {
        if self.counts.in_flight > 0 || self.backing_off > 0 || self.queue.len() > 0 {
            return;
        }
        let outcome = match std::mem::replace(&mut self.phase, Phase::Finished) {
            Phase::Halting(outcome) => outcome,
            Phase::Ready | Phase::Running | Phase::Finished => match self.end {
                End::Reached => RunOutcome::Done,
                End::Ahead => RunOutcome::EndNotReached,
            },
        };
        out.push(Command::Finish(outcome));
    }

    /// Makes a task ready (metaflow/runtime.py, `_queue_push`).
    pub(crate) fn enqueue(&mut self, step: StepIx, position: Position, inputs: Inputs) {
        self.counts.queued(step, 1);
        self.queue.push(Queued {
            step,
            position,
            inputs,
        });
    }

    fn create(&mut self, queued: Queued) -> TaskKey {
        self.counts.created(queued.step);
        let position = self.enter_loop(queued.step, queued.position, &queued.inputs);
        self.tasks.add(queued.step, position, queued.inputs)
    }

    fn launch(&mut self, key: TaskKey) -> Launch {
        let task = &mut self.tasks[key];
        task.state = TaskState::Launched;
        self.counts.launched(task.step);
        Launch {
            place: self.place_of(key),
            members: vec![(key, self.tasks[key].attempt)],
        }
    }

    /// Where the current attempt of a task runs.
    pub(crate) fn place_of(&self, key: TaskKey) -> Place {
        let task = &self.tasks[key];
        let plan = &self.steps[task.step].plan;
        if plan.runs_on_batch(task.attempt, plan.retry.user + task.lost) {
            Place::Batch
        } else {
            Place::Local
        }
    }

    /// The current attempt gives its slot back.
    fn end_attempt(&mut self, key: TaskKey, state: TaskState) {
        let task = &mut self.tasks[key];
        task.state = state;
        self.counts.ended(task.step, state);
    }

    /// Only a child of a foreach split has one, not the steps after it (metaflow/runtime.py,
    /// `_queue_task_foreach`).
    fn split_index(&self, key: TaskKey) -> Option<u64> {
        let task = &self.tasks[key];
        let Inputs::One(parent) = task.inputs else {
            return None;
        };
        let parent = &self.steps[self.tasks[parent].step];
        (parent.kind == NodeKind::Foreach).then(|| self.frames.split_index(task.position))
    }
}
