//! The task that places jobs and starts them.

use std::{
    collections::BTreeSet,
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::sync::{Notify, watch};

use super::{
    admission::Decision,
    event::Event,
    job::JobKey,
    run::{self, Order, environment},
    service::{Control, Core, Shared},
    state::State,
    substitution::command_of,
};
use crate::{
    ApiError,
    faults::{self, Fault, Fired, START_JOB},
    simulate::Container,
};

/// The journal is written anew when that many lines have come since.
const LINES_PER_SNAPSHOT: usize = 200_000;

/// Queues without capacity, as faults want it.
#[derive(Debug, Default)]
pub(super) struct Capacity {
    closed: BTreeSet<String>,
    /// Jobs that have waited for it.
    waited: BTreeSet<JobKey>,
}

/// The scheduler: one task for all jobs, which sleeps while nothing happens.
pub(super) async fn schedule(shared: Weak<Shared>, wake: Arc<Notify>) {
    loop {
        match shared.upgrade() {
            None => return,
            Some(shared) if shared.core().closed => return,
            Some(shared) => {
                if let Err(error) = shared.pass() {
                    tracing::error!(%error, "jobs cannot be placed");
                }
            }
        }
        wake.notified().await;
    }
}

impl Shared {
    /// Looks at new submissions and places jobs until nothing more can be placed.
    fn pass(self: &Arc<Self>) -> Result<(), ApiError> {
        let mut core = self.core();
        if core.closed {
            return Ok(());
        }
        self.expire(&mut core)?;
        while let Some(submission) = core.state.fresh.front().copied() {
            self.apply(&mut core, Event::Considered { submission })?;
        }
        loop {
            let Core {
                state, capacity, ..
            } = &mut *core;
            let Some(decision) = state.next_decision(self.machine, &capacity.closed) else {
                break;
            };
            match decision {
                Decision::Block { key, reason } => {
                    self.apply(&mut core, Event::Blocked { key, reason })?;
                }
                Decision::Place {
                    key,
                    environment,
                    oversize,
                } => {
                    let fault = self.fault_of_start(&mut core, key)?;
                    if core.capacity.waited.contains(&key) {
                        continue;
                    }
                    self.apply(&mut core, Event::Placed { key, environment })?;
                    self.start(&mut core, key, oversize, fault);
                }
            }
        }
        if core.lines > LINES_PER_SNAPSHOT {
            let compacted = Self::compact(&mut core);
            compacted.map_err(|error| {
                ApiError::server(format!("the journal cannot be shortened: {error}"))
            })?;
        }
        Ok(())
    }

    /// What goes wrong with a job that is about to be placed. If that is a wait for capacity, the job is among those that
    /// wait afterwards, and is placed without a fault when it comes here again.
    fn fault_of_start(
        self: &Arc<Self>,
        core: &mut Core,
        key: JobKey,
    ) -> Result<Option<Fault>, ApiError> {
        if core.capacity.waited.remove(&key) {
            return Ok(None);
        }
        let Some(submission) = core.state.submission(key.submission) else {
            return Ok(None);
        };
        let task = self.task_of(&core.state, key);
        let fired = self.context.fire(faults::Event {
            operation: START_JOB,
            subject: &submission.spec.name,
            index: key.index,
            task: task.as_deref(),
            by: None,
        });
        let queue = submission.spec.queue.clone();
        match fired.map(|Fired { fault, .. }| fault) {
            Some(Fault::WaitForCapacity {
                duration,
                status_reason,
            }) => {
                if let Some(reason) = status_reason {
                    let reason = reason.into();
                    self.apply(core, Event::Blocked { key, reason })?;
                }
                core.capacity.waited.insert(key);
                self.close(core, queue, duration);
                Ok(None)
            }
            Some(Fault::ForgetAfter(after)) => {
                core.forget.insert(key.submission, after);
                Ok(None)
            }
            fault => Ok(fault),
        }
    }

    /// The task that a job runs, where it matters and can be known.
    fn task_of(&self, state: &State, key: JobKey) -> Option<String> {
        let simulator = self.simulator.as_ref()?;
        if !self.context.faults.count_subjects() {
            return None;
        }
        let submission = state.submission(key.submission)?;
        let definition = state.definition_of(submission)?;
        simulator.task_of(&Container {
            command: &command_of(submission, definition),
            environment: &environment(definition, submission),
            job_id: &submission.id(key.index),
            index: key.index,
            task: String::new(),
        })
    }

    /// Nothing of a queue is placed for a while.
    fn close(self: &Arc<Self>, core: &mut Core, queue: String, duration: Duration) {
        core.capacity.closed.insert(queue.clone());
        let (shared, duration) = (Arc::downgrade(self), self.context.clock.real(duration));
        tokio::spawn(async move {
            tokio::time::sleep(duration).await;
            if let Some(shared) = shared.upgrade() {
                shared.core().capacity.closed.remove(&queue);
                shared.wake.notify_one();
            }
        });
    }

    fn start(self: &Arc<Self>, core: &mut Core, key: JobKey, oversize: bool, fault: Option<Fault>) {
        let Some(order) = Order::new(&self.context, &core.state, key, fault) else {
            return;
        };
        if oversize {
            tracing::warn!(
                job.id = order.job_id,
                "the job asks for more than this machine has, and runs alone"
            );
        }
        let (stop, stopped) = watch::channel(Control::Run);
        core.running.insert((key, order.attempt), stop);
        let shared = Arc::clone(self);
        tokio::spawn(async move {
            let attempt = order.attempt;
            let outcome = run::run(&shared, order, stopped).await;
            // One that was called a failure before is over already, and this changes nothing.
            shared.ended(key, attempt, outcome);
            shared.left(key, attempt);
        });
    }
}
