//! What each event does to jobs.

use std::collections::VecDeque;

use super::{
    event::{Effect, Event, Outcome},
    job::{Attempt, Body, Job, JobKey, Phase, Spec, Stop, StopKind, Submission, Text},
    state::{Placed, State},
};

/// User guide and observation; see the tests of the launcher, which decides by these texts.
pub(super) const DEPENDENT_FAILED: &str = "Dependent Job failed";
pub(super) const ARRAY_CHILD_FAILED: &str = "Array Child Job failed";
pub(super) const OVERRIDES_TOO_LONG: &str = "Container Overrides length must be at most 8192";
pub(super) const QUEUE_DELETED: &str = "JobQueue deleted";

/// A job or child is to become terminal. Collected in a list, since one end leads to others.
pub(super) struct Finish {
    pub(super) key: JobKey,
    /// Why it failed; none if it succeeded.
    pub(super) failure: Option<Text>,
}

impl State {
    /// Takes an event in. What the event says of an attempt that is over is dropped.
    pub(super) fn handle(&mut self, at: i64, event: Event, effects: &mut Vec<Effect>) {
        match event {
            Event::Snapshot(state) => *self = *state,
            Event::Submitted(spec) => self.submitted(at, *spec),
            Event::Considered { submission } => self.considered(at, submission, effects),
            Event::Placed { key, environment } => self.place(at, key, environment),
            Event::Blocked { key, reason } => {
                if let Some(job) = self.job_mut(key)
                    && job.phase == Phase::Runnable
                {
                    job.status_reason = Some(reason);
                }
            }
            Event::Running {
                key,
                attempt,
                process,
            } => self.running(at, key, attempt, process),
            Event::Ended {
                key,
                attempt,
                outcome,
            } => self.ended(at, key, attempt, outcome, effects),
            Event::Stopped { key, stop } => self.stopped(at, key, &stop, effects),
            Event::JobQueueDeleted(name) => {
                self.end_queue(at, &name, effects);
                self.queues.remove(&name);
            }
            Event::Expired { before } => self.expire(before),
            Event::Forgotten { submission } => {
                self.finished.retain(|(_, number)| *number != submission);
                self.forget(submission);
            }
            other => self.resource(other),
        }
    }

    fn submitted(&mut self, at: i64, spec: Spec) {
        let number = self.next;
        self.next += 1;
        self.by_id.insert(spec.id.clone(), number);
        let job = Job::new(Phase::Submitted, at);
        let body = match spec.size {
            None => Body::Plain(job),
            Some(_) => Body::Array {
                parent: job,
                children: Vec::new(),
                counts: [0; 7],
                updated_at: at,
            },
        };
        let submission = Submission {
            spec,
            body,
            unmet: 0,
            dependents: Vec::new(),
        };
        self.submissions.insert(number, submission);
        self.fresh.push_back(number);
    }

    /// Nothing more to wait for but a place; or its end, if it was cancelled meanwhile.
    pub(super) fn runnable(&mut self, at: i64, key: JobKey, effects: &mut Vec<Effect>) {
        let stop = self.job(key).and_then(|job| job.stop.clone());
        if let Some(stop) = stop {
            let failure = Some(stop.reason.into());
            self.finish_all(at, vec![Finish { key, failure }], effects);
            return;
        }
        self.set_phase(at, key, Phase::Runnable);
        let queue = self.queue_of(key);
        if let Some(queue) = queue {
            queue.runnable.push_back(key);
        }
    }

    fn place(&mut self, at: i64, key: JobKey, environment: String) {
        if self.job(key).is_none_or(|job| job.phase != Phase::Runnable) {
            return;
        }
        self.drop_dead_heads(key);
        if let Some(queue) = self.queue_of(key)
            && queue.runnable.front() == Some(&key)
        {
            queue.runnable.pop_front();
        }
        self.set_phase(at, key, Phase::Starting);
        if let Some(job) = self.job_mut(key) {
            job.status_reason = None;
        }
        let needs = self.needs(key);
        self.used.add(needs);
        if let Some(environment) = self.environments.get_mut(&environment) {
            environment.used.add(needs);
        }
        self.placed.insert(
            key,
            Placed {
                environment,
                process: None,
            },
        );
    }

    fn running(
        &mut self,
        at: i64,
        key: JobKey,
        attempt: u32,
        process: Option<super::event::Process>,
    ) {
        let Some(job) = self.job(key) else { return };
        if job.phase != Phase::Starting || job.attempt() != attempt {
            return;
        }
        self.set_phase(at, key, Phase::Running { started_at: at });
        if let Some(placed) = self.placed.get_mut(&key) {
            placed.process = process;
        }
    }

    fn ended(
        &mut self,
        at: i64,
        key: JobKey,
        attempt: u32,
        outcome: Outcome,
        effects: &mut Vec<Effect>,
    ) {
        let Some(job) = self.job_mut(key) else { return };
        let started_at = match job.phase {
            Phase::Running { started_at } => Some(started_at),
            Phase::Starting => None,
            _ => return,
        };
        if job.attempt() != attempt {
            return;
        }
        job.attempts.push(Attempt {
            started_at,
            stopped_at: at,
            status_reason: outcome.status_reason.clone(),
            reason: outcome.reason,
            exit_code: outcome.exit_code,
        });
        let stopped = job.stop.is_some();
        let again =
            !outcome.succeeded && outcome.retryable && !stopped && self.retries(key, attempt);
        self.unplace(key);
        if again {
            if let Some(job) = self.job_mut(key) {
                job.status_reason = Some(outcome.status_reason);
            }
            self.set_phase(at, key, Phase::Runnable);
            // Attempts that are repeated go to the front of the queue (user guide).
            if let Some(queue) = self.queue_of(key) {
                queue.runnable.push_front(key);
            }
            return;
        }
        if outcome.succeeded
            && let Some(job) = self.job_mut(key)
        {
            job.status_reason = Some(outcome.status_reason.clone());
        }
        let failure = (!outcome.succeeded).then_some(outcome.status_reason);
        self.finish_all(at, vec![Finish { key, failure }], effects);
    }

    fn retries(&self, key: JobKey, attempt: u32) -> bool {
        let Some(submission) = self.submission(key.submission) else {
            return false;
        };
        let last = submission
            .job(key.index)
            .and_then(|job| job.attempts.last());
        last.is_some_and(|last| submission.spec.retry.retries(attempt, last))
    }

    fn unplace(&mut self, key: JobKey) {
        let needs = self.needs(key);
        let Some(placed) = self.placed.remove(&key) else {
            return;
        };
        self.used.subtract(needs);
        if let Some(environment) = self.environments.get_mut(&placed.environment) {
            environment.used.subtract(needs);
        }
    }

    fn stopped(&mut self, at: i64, key: JobKey, stop: &Stop, effects: &mut Vec<Effect>) {
        let mut finishes = Vec::new();
        let Some(submission) = self.submissions.get_mut(&key.submission) else {
            return;
        };
        let children = match (&submission.body, key.index) {
            (Body::Array { children, .. }, None) => children.len() as u32,
            _ => 0,
        };
        if children > 0 {
            let parent = submission.whole_mut();
            if parent.status().is_terminal() {
                return;
            }
            parent.stop = Some(stop.clone());
            for index in 0..children {
                let key = JobKey {
                    submission: key.submission,
                    index: Some(index),
                };
                self.stop_one(key, stop, &mut finishes, effects);
            }
        } else {
            self.stop_one(key, stop, &mut finishes, effects);
        }
        self.finish_all(at, finishes, effects);
    }

    /// User guide, "Terminate a job": CancelJob leaves started jobs alone and lets PENDING ones end with what they wait for.
    fn stop_one(
        &mut self,
        key: JobKey,
        stop: &Stop,
        finishes: &mut Vec<Finish>,
        effects: &mut Vec<Effect>,
    ) {
        let waits = self
            .submission(key.submission)
            .is_some_and(|submission| submission.unmet > 0);
        let Some(job) = self.job_mut(key) else { return };
        let now = match job.phase {
            Phase::Succeeded { .. } | Phase::Failed { .. } => return,
            Phase::Starting | Phase::Running { .. } if stop.kind == StopKind::Cancel => return,
            Phase::Starting | Phase::Running { .. } => false,
            Phase::Pending { unmet } if stop.kind == StopKind::Cancel => unmet == 0 && !waits,
            _ => true,
        };
        if job.stop.is_none() || stop.kind == StopKind::Terminate {
            job.stop = Some(stop.clone());
        }
        if now {
            let failure = Some(stop.reason.clone().into());
            finishes.push(Finish { key, failure });
        } else if matches!(job.phase, Phase::Starting | Phase::Running { .. }) {
            effects.push(Effect::Stop(key));
        }
    }

    fn end_queue(&mut self, at: i64, name: &str, effects: &mut Vec<Effect>) {
        let numbers: Vec<u64> = self
            .submissions
            .iter()
            .filter(|(_, submission)| {
                submission.spec.queue == name && !submission.whole().status().is_terminal()
            })
            .map(|(number, _)| *number)
            .collect();
        let stop = Stop {
            kind: StopKind::Terminate,
            reason: QUEUE_DELETED.to_owned(),
        };
        for submission in numbers {
            let key = JobKey {
                submission,
                index: None,
            };
            self.stopped(at, key, &stop, effects);
        }
    }

    /// All of it that is not over yet fails.
    pub(super) fn fail_whole(&mut self, number: u64, reason: &Text, finishes: &mut Vec<Finish>) {
        let Some(submission) = self.submissions.get_mut(&number) else {
            return;
        };
        let finish = |index| Finish {
            key: JobKey {
                submission: number,
                index,
            },
            failure: Some(reason.clone()),
        };
        submission.whole_mut().status_reason = Some(reason.clone());
        match &submission.body {
            Body::Plain(_) => finishes.push(finish(None)),
            Body::Array { children, .. } => {
                let open = (0..).zip(children).filter(|(_, child)| {
                    matches!(child.phase, Phase::Pending { .. } | Phase::Runnable)
                });
                finishes.extend(open.map(|(index, _)| finish(Some(index))));
            }
        }
    }

    /// Ends jobs, and what follows from their ends.
    pub(super) fn finish_all(&mut self, at: i64, finishes: Vec<Finish>, effects: &mut Vec<Effect>) {
        let mut open = VecDeque::from(finishes);
        while let Some(Finish { key, failure }) = open.pop_front() {
            let Some(job) = self.job_mut(key) else {
                continue;
            };
            if job.status().is_terminal() {
                continue;
            }
            let succeeded = failure.is_none();
            if let Some(reason) = failure {
                job.status_reason = Some(reason);
            }
            let phase = if succeeded {
                Phase::Succeeded { stopped_at: at }
            } else {
                Phase::Failed { stopped_at: at }
            };
            self.set_phase(at, key, phase);
            effects.push(Effect::Finished(key));
            if key.index.is_none() {
                self.finished.push_back((at, key.submission));
            }
            self.tell_dependents(at, key, succeeded, &mut open, effects);
            if let Some(parent) = self.parent_end(key) {
                open.push_back(parent);
            }
        }
    }

    /// The end of the array, if this was its last child.
    fn parent_end(&self, child: JobKey) -> Option<Finish> {
        child.index?;
        let submission = self.submission(child.submission)?;
        let Body::Array {
            parent,
            children,
            counts,
            ..
        } = &submission.body
        else {
            return None;
        };
        let [.., succeeded, failed] = *counts;
        if (succeeded + failed) as usize != children.len() {
            return None;
        }
        let reason = match &parent.stop {
            Some(stop) => stop.reason.clone().into(),
            None => parent
                .status_reason
                .clone()
                .unwrap_or(ARRAY_CHILD_FAILED.into()),
        };
        Some(Finish {
            key: JobKey {
                submission: child.submission,
                index: None,
            },
            failure: (failed > 0).then_some(reason),
        })
    }

    fn expire(&mut self, before: i64) {
        while let Some((at, number)) = self.finished.front().copied()
            && at < before
        {
            self.finished.pop_front();
            self.forget(number);
        }
    }

    fn forget(&mut self, number: u64) {
        if let Some(submission) = self.submissions.remove(&number) {
            self.by_id.remove(&submission.spec.id);
        }
    }

    pub(super) fn set_phase(&mut self, at: i64, key: JobKey, phase: Phase) {
        let Some(submission) = self.submissions.get_mut(&key.submission) else {
            return;
        };
        match (&mut submission.body, key.index) {
            (Body::Plain(job) | Body::Array { parent: job, .. }, None) => job.phase = phase,
            (
                Body::Array {
                    children,
                    counts,
                    updated_at,
                    ..
                },
                Some(index),
            ) => {
                let Some(child) = children.get_mut(index as usize) else {
                    return;
                };
                counts[child.status() as usize] -= 1;
                counts[phase.status() as usize] += 1;
                *updated_at = at;
                child.phase = phase;
            }
            (Body::Plain(_), Some(_)) => {}
        }
    }

    pub(super) fn job_mut(&mut self, key: JobKey) -> Option<&mut Job> {
        match (
            &mut self.submissions.get_mut(&key.submission)?.body,
            key.index,
        ) {
            (Body::Plain(job) | Body::Array { parent: job, .. }, None) => Some(job),
            (Body::Array { children, .. }, Some(index)) => children.get_mut(index as usize),
            (Body::Plain(_), Some(_)) => None,
        }
    }
}
