//! Attempts that fail: told to programs at once, and to people again at the end of the run, by cause.

use datastore::ObjectStore;
use model::{
    Attempt, TaskKey,
    failure::{Class, Explanation, Outlook},
};
use nix::sys::signal::Signal;

use super::{Driver, local::Judged};
use crate::{
    batch,
    report::{Event, Failure, Of, Tone, in_groups},
};

impl<S: ObjectStore + 'static> Driver<S> {
    /// An attempt has failed; it may be followed by another.
    pub(super) fn on_failure(&mut self, key: (TaskKey, Attempt), failure: batch::Failure) {
        let Some(running) = self.attempts.get_mut(&key) else {
            return;
        };
        let batch::Failure { class, explanation } = failure;
        let failure = Failure {
            class: class.to_string(),
            cause: explanation.cause,
            fix: explanation.fix,
            log: std::mem::take(&mut running.last),
        };
        let path = &running.path;
        let flow = &self.plan.flow;
        self.events.tell(|| Event::TaskFailed {
            of: Of {
                task: format!("{flow}/{path}"),
                step: &path.step,
                attempt: key.1.0,
            },
            class: &failure.class,
            cause: &failure.cause,
            fix: failure.fix.as_deref(),
            log: &failure.log,
        });
        if class == Class::CancelledByUs {
            return;
        }
        self.failures.failed(key.0, &path.step, &failure);
        let last = failure.log.last().unwrap_or(&failure.cause);
        let text = format!("{}/{}: {}: {last}", path.step, path.task, failure.class);
        self.step_lines.failed(text);
    }

    /// Of an attempt on this machine.
    pub(super) fn on_local_failure(&mut self, key: (TaskKey, Attempt), judged: &Judged) {
        let Some(running) = self.attempts.get(&key) else {
            return;
        };
        let is_interrupted = self.halting.as_ref().is_some_and(|h| h.signo != 0);
        let class = if running.killed || (running.cleaned && is_interrupted) {
            Class::CancelledByUs
        } else {
            Class::UserError
        };
        let cause = match &judged.result {
            Some(unfinished) => format!("The task ended with exit code 0, but {unfinished}"),
            None => ended_by(judged.return_code),
        };
        let explanation = Explanation::of(cause);
        self.on_failure(key, batch::Failure { class, explanation });
    }

    /// Of an attempt that AWS Batch would not take.
    pub(super) fn on_refusal(&mut self, key: (TaskKey, Attempt), why: &str) {
        let (what, fix) = why.split_once("\nhint: ").unwrap_or((why, ""));
        let failure = batch::Failure {
            class: Class::Configuration(Outlook::Lasting),
            explanation: Explanation {
                cause: format!("The task could not be submitted to AWS Batch: {what}"),
                fix: (!fix.is_empty()).then(|| fix.to_owned()),
            },
        };
        self.on_failure(key, failure);
    }

    /// Each cause once, with one log, where several tasks have failed for the same.
    pub(super) fn say_failures(&mut self) {
        if self.halting.as_ref().is_some_and(|h| h.signo != 0) {
            return;
        }
        let grouped = self.failures.grouped();
        let named: Vec<_> = grouped
            .into_iter()
            .map(|(group, first)| (group, self.pathspec(first)))
            .collect();
        for line in in_groups(&named) {
            self.say(Tone::Bad, &line);
        }
    }
}

/// `code` is as Python's `subprocess` has it.
fn ended_by(code: i32) -> String {
    match Signal::try_from(code.saturating_neg()) {
        Ok(signal) => format!("The task was ended by signal {}, {signal}", signal as i32),
        Err(_) => format!("The task failed with exit code {code}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_signals_have_words() {
        assert_eq!(ended_by(3), "The task failed with exit code 3");
        assert_eq!(ended_by(-9), "The task was ended by signal 9, SIGKILL");
        assert_eq!(ended_by(-64), "The task failed with exit code -64");
        assert_eq!(
            ended_by(i32::MIN),
            format!("The task failed with exit code {}", i32::MIN)
        );
    }
}
