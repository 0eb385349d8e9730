//! Whether a failed attempt is followed by another.

use model::{Attempt, TaskKey, Timestamp, plan::Retry};

use crate::{
    Command, FailureClass, Place, Run, RunFailure, TimerId,
    task::{Task, TaskState},
};

const MILLIS_PER_MINUTE: i64 = 60_000;

/// How many attempts a task may still have. Their numbers are limited to [`Attempt::LIMIT`] in
/// all: an attempt that is lost takes a number, but not one of the policy's.
#[derive(Debug)]
struct Budget {
    retry: Retry,
    attempt: Attempt,
    lost: u32,
}

impl Budget {
    /// What the current attempt is to `@retry` and `@catch`, which do not see lost ones.
    fn policy_attempt(&self) -> u32 {
        self.attempt.0.saturating_sub(self.lost)
    }

    fn allows_retry(&self) -> bool {
        self.policy_attempt() < self.retry.user + self.retry.error
    }

    /// How many more losses are free, if `free` are in all. Numbers are kept for the retries that
    /// the user asked for, and one for the fallback of `@catch` as long as that is still to come.
    fn losses_left(&self, free: u32) -> u32 {
        let used = self.attempt.0 + 1;
        let user_left = self.retry.user.checked_sub(self.policy_attempt());
        let fallback = u32::from(self.retry.error > 0 && user_left.is_some());
        Attempt::LIMIT
            .saturating_sub(used + user_left.unwrap_or(0) + fallback)
            .min(free.saturating_sub(self.lost))
    }
}

impl Run {
    /// Decides about a retry (metaflow/runtime.py, `_poll_workers` and `_retry_worker`).
    pub(crate) fn after_failed_attempt(
        &mut self,
        at: Timestamp,
        key: TaskKey,
        class: FailureClass,
        out: &mut Vec<Command>,
    ) -> Result<(), RunFailure> {
        // A dropped task stops what depends on it and nothing else.
        if class == FailureClass::NoRetry {
            return Ok(());
        }
        let task = &self.tasks[key];
        let budget = self.budget(task);
        let next = task.attempt.next();
        let failed = RunFailure::TaskFailed {
            task: key,
            step: self.steps[task.step].name.clone(),
        };
        if class == FailureClass::Cancelled {
            return Err(failed);
        }
        if budget.allows_retry() && next.0 < Attempt::LIMIT {
            self.next_attempt(key, false);
            self.relaunch(at, key, out);
            return Ok(());
        }
        // Upstream would have had a number left if none had gone to a lost attempt: then the task
        // just failed. Otherwise its decorators ask for more than there can be.
        if budget.allows_retry() && budget.policy_attempt() + 1 >= Attempt::LIMIT {
            return Err(RunFailure::TooManyAttempts {
                task: key,
                attempts: next.0,
            });
        }
        Err(failed)
    }

    /// Decides about an attempt that was lost. It is repeated at no cost to `@retry`, at once; when
    /// too many were lost, it counts as a failure, as all do upstream.
    pub(crate) fn after_lost_attempt(
        &mut self,
        at: Timestamp,
        key: TaskKey,
        free: u32,
        out: &mut Vec<Command>,
    ) -> Result<(), RunFailure> {
        if self.budget(&self.tasks[key]).losses_left(free) == 0 {
            return self.after_failed_attempt(at, key, FailureClass::User, out);
        }
        self.tasks[key].lost += 1;
        self.next_attempt(key, true);
        self.relaunch_now(key);
        Ok(())
    }

    /// The time of a delayed attempt has come.
    pub(crate) fn after_backoff(&mut self, key: TaskKey) {
        self.backing_off -= 1;
        self.relaunch_now(key);
    }

    fn budget(&self, task: &Task) -> Budget {
        Budget {
            retry: self.steps[task.step].plan.retry,
            attempt: task.attempt,
            lost: task.lost,
        }
    }

    fn next_attempt(&mut self, key: TaskKey, free: bool) {
        let task = &mut self.tasks[key];
        task.free = free;
        task.attempt = task.attempt.next();
    }

    /// `minutes_between_retries` is honoured on Batch only, as upstream does it
    /// (metaflow/plugins/aws/batch/batch_cli.py, `step`), but the wait holds no slot.
    fn relaunch(&mut self, at: Timestamp, key: TaskKey, out: &mut Vec<Command>) {
        let task = &self.tasks[key];
        let minutes = self.steps[task.step].plan.retry.minutes_between;
        if minutes == 0 || self.place_of(key) == Place::Local {
            self.relaunch_now(key);
            return;
        }
        let delay = i64::from(minutes) * MILLIS_PER_MINUTE;
        out.push(Command::Wake {
            timer: TimerId {
                task: key,
                attempt: task.attempt,
            },
            at: Timestamp(at.0.saturating_add(delay)),
        });
        self.tasks[key].state = TaskState::Backoff;
        self.backing_off += 1;
    }

    fn relaunch_now(&mut self, key: TaskKey) {
        self.tasks[key].state = TaskState::Relaunch;
        self.queue.push_relaunch(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FREE: u32 = 3;

    fn losses_left(user: u32, error: u32, attempt: u32, lost: u32) -> u32 {
        let budget = Budget {
            retry: Retry {
                user,
                error,
                minutes_between: 0,
            },
            attempt: Attempt(attempt),
            lost,
        };
        budget.losses_left(FREE)
    }

    #[test]
    fn losses_leave_numbers_for_what_the_user_asked_for() {
        assert_eq!(losses_left(0, 0, 0, 0), 3);
        assert_eq!(losses_left(0, 0, 3, 3), 0);
        assert_eq!(losses_left(3, 0, 0, 0), 2);
        assert_eq!(losses_left(4, 0, 0, 0), 1);
        assert_eq!(losses_left(4, 3, 0, 0), 0);
        assert_eq!(losses_left(2, 3, 0, 0), 2);
        // Retries that were used need no number any more.
        assert_eq!(losses_left(4, 0, 4, 0), 1);
        // Neither does the fallback once it runs.
        assert_eq!(losses_left(0, 3, 4, 0), 1);
        assert_eq!(losses_left(0, 3, 5, 0), 0);
    }
}
