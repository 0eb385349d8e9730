//! What becomes of a run, for programs (docs/json-events.md), and of a terminal's region what changes with it.

use std::time::Duration;

use compute::host::protocol::FinishOutcome;
use datastore::ObjectStore;
use model::{
    Attempt, Fanout, StepName, TaskKey, TaskPath, Transition,
    batch::JobStatus,
    run_record::{RunState, StepRecord},
};

use super::{Driver, record, running::Running, states::Ahead};
use crate::report::{Counts, Event, FailedTasks, Of, Tone};

impl<S: ObjectStore + 'static> Driver<S> {
    pub(super) fn tell_run_start(&mut self) {
        let (plan, launcher) = (&self.plan, self.recorder.launcher());
        self.events.tell(|| Event::RunStarted {
            flow: &plan.flow,
            run: &plan.run,
            max_workers: plan.limits.max_workers,
            ferroflow: &launcher.ferroflow,
            metaflow: &launcher.metaflow,
            python: &launcher.python,
        });
    }

    /// Something about the run as a whole, for everybody.
    pub(super) fn notice(&mut self, text: &str) {
        self.say(Tone::System, text);
        self.events.tell(|| Event::Notice { text });
    }

    /// An attempt was launched, which is not yet to say that it has a process or a job.
    pub(super) fn on_launched(&mut self, task: TaskKey, attempt: Attempt) {
        self.now_is((task, attempt), Some(Ahead::Starting));
        // A delayed one was told of when the delay began.
        if attempt.0 > 0 && !self.delayed.remove(&task) {
            self.tell_retry(task, attempt, Duration::ZERO);
        }
    }

    /// Another attempt will be made, after a delay.
    pub(super) fn tell_retry(&mut self, task: TaskKey, attempt: Attempt, delay: Duration) {
        let step = self.run.task(task).step;
        let Some(id) = self.task_ids.get(&task) else {
            return;
        };
        let plan = &self.plan;
        self.events.tell(|| Event::TaskRetried {
            task: format!("{}/{}/{step}/{id}", plan.flow, plan.run),
            step,
            attempt: attempt.0,
            delay_s: delay.as_secs(),
        });
    }

    /// An attempt is in this state now; none when it runs, or has ended.
    pub(super) fn now_is(&mut self, key: (TaskKey, Attempt), state: Option<Ahead>) {
        self.states.set(key, self.run.task(key.0).step, state);
    }

    /// An attempt has a process of this machine, or goes to AWS Batch.
    pub(super) fn tell_start(&mut self, key: (TaskKey, Attempt), pid: Option<u32>) {
        let is_local = pid.is_some();
        self.now_is(key, (!is_local).then_some(Ahead::Queued));
        if let Some(running) = self.attempts.get(&key) {
            let place = if is_local { "local" } else { "batch" };
            let flow = &self.plan.flow;
            self.events.tell(|| Event::TaskStarted {
                of: of(flow.as_str(), &running.path, key.1),
                place,
                pid,
            });
        }
    }

    pub(super) fn tell_job(&mut self, key: (TaskKey, Attempt)) {
        if let Some(running) = self.attempts.get(&key)
            && let Some(job) = running.job()
        {
            let flow = &self.plan.flow;
            self.events.tell(|| Event::TaskSubmitted {
                of: of(flow.as_str(), &running.path, key.1),
                job,
            });
        }
    }

    pub(super) fn on_status(&mut self, key: (TaskKey, Attempt), status: &JobStatus) {
        let Some(running) = self.attempts.get(&key) else {
            return;
        };
        let flow = &self.plan.flow;
        self.events.tell(|| Event::TaskStatus {
            of: of(flow.as_str(), &running.path, key.1),
            job: running.job(),
            status: status.as_str(),
        });
        self.now_is(key, Ahead::of(status));
    }

    pub(super) fn tell_end_of_task(&mut self, key: (TaskKey, Attempt), transition: &Transition) {
        self.failures.succeeded(key.0);
        let Some(Running { path, .. }) = self.attempts.get(&key) else {
            return;
        };
        let flow = &self.plan.flow;
        self.events.tell(|| Event::TaskSucceeded {
            of: of(flow.as_str(), path, key.1),
            splits: match transition.fanout {
                Fanout::Foreach { splits } => Some(splits),
                Fanout::One | Fanout::Unbounded => None,
            },
        });
    }

    /// The last event, when nothing runs any more.
    pub(super) fn tell_run_end(&mut self, state: RunState, error: Option<&str>) {
        if !self.events.are_wanted() {
            return;
        }
        let steps = record::steps(&self.run);
        let grouped = self.failures.grouped();
        let failures: Vec<_> = grouped
            .into_iter()
            .map(|(group, first)| FailedTasks {
                group,
                first: self.pathspec(first),
            })
            .collect();
        let duration = self.began.elapsed();
        self.events
            .tell(|| ended(state, error, duration, &steps, &failures));
        self.events.flush();
    }

    /// `Flow/run/step/task`; of a task that the metadata provider does not know, without its number.
    pub(super) fn pathspec(&self, task: TaskKey) -> String {
        let (plan, step) = (&self.plan, self.step(task));
        let id = self.task_ids.get(&task);
        let id = id.map(|id| format!("/{id}")).unwrap_or_default();
        format!("{}/{}/{step}{id}", plan.flow, plan.run)
    }

    /// Says once for each foreach on AWS Batch how many of its tasks run at once, if not all.
    pub(super) fn say_width(&mut self, transition: &Transition) {
        let (Fanout::Foreach { splits }, [child]) = (transition.fanout, &transition.next[..])
        else {
            return;
        };
        let max_workers = self.plan.limits.max_workers;
        let on_batch = self.plan.steps.get(child).is_some_and(|step| step.batch);
        if !on_batch || splits <= u64::from(max_workers) || !self.wide.insert(child.clone()) {
            return;
        }
        let text = width(child, splits, max_workers);
        self.notice(&text);
    }
}

fn of<'a>(flow: &str, path: &'a TaskPath, attempt: Attempt) -> Of<'a> {
    Of {
        task: format!("{flow}/{path}"),
        step: &path.step,
        attempt: attempt.0,
    }
}

fn ended<'a>(
    state: RunState,
    error: Option<&'a str>,
    duration: Duration,
    steps: &'a [StepRecord],
    failures: &'a [FailedTasks<'a>],
) -> Event<'a> {
    Event::RunEnded {
        state,
        error,
        duration_ms: u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
        counts: Counts::of(steps),
        steps,
        failures,
    }
}

fn width(step: &StepName, splits: u64, max_workers: u32) -> String {
    format!(
        "Step {step} has {splits} tasks, and {max_workers} of them run at once: \
         run --max-workers {splits} allows all."
    )
}

/// What went wrong with the run as a whole.
pub(super) fn error_of(outcome: &FinishOutcome) -> Option<&str> {
    match outcome {
        FinishOutcome::InternalError { message } | FinishOutcome::TaskFailed { message, .. } => {
            Some(message.as_str()).filter(|message| !message.is_empty())
        }
        FinishOutcome::HostError { .. } => Some("the flow host could not prepare a task"),
        FinishOutcome::EndNotReached => Some("the last step was not reached"),
        FinishOutcome::Done | FinishOutcome::Interrupted { .. } => None,
    }
}
