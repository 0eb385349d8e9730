//! Attempts on this machine: their lines, their end, and what is stored about it.

use std::{rc::Rc, sync::Arc};

use anyhow::Context;
use compute::{
    host::protocol::{FinishOutcome, Prepared},
    local::{LocalEvent, Spec},
};
use datastore::{AttemptRef, ObjectStore, TaskResult};
use model::{Attempt, TaskKey, exit_code::DISALLOW_RETRY, layout::Stream};
use scheduler::{Event, FailureClass, Outcome};

use super::{Driver, Happening, running::Running};
use crate::{
    failpoint,
    report::{LogLine, Tone},
};

/// What Python's `subprocess` calls a segmentation fault.
const SEGMENTATION_FAULT: i32 = -11;

/// An ended attempt and what it left in the datastore.
#[derive(Debug)]
pub(super) struct Judged {
    task: TaskKey,
    attempt: Attempt,
    pub(super) return_code: i32,
    /// Read only after exit code 0.
    pub(super) result: Option<TaskResult>,
}

/// How an attempt on this machine is to start.
#[derive(Debug)]
pub(super) enum Start {
    /// As a fork of the process that has loaded the flow.
    Fork,
    /// With a fresh interpreter, for this reason.
    Fresh(String),
    /// By the command line that a decorator made of it.
    Foreign,
}

impl<S: ObjectStore + 'static> Driver<S> {
    pub(super) fn start_local(
        &mut self,
        task: TaskKey,
        attempt: Attempt,
        prepared: Prepared,
        start: Start,
    ) {
        let spec = Spec {
            task,
            attempt,
            argv: prepared.argv,
            env: prepared.env,
            cwd: prepared.cwd,
            fork: matches!(start, Start::Fork),
        };
        let process = match self.local.launch(&spec) {
            Ok(process) => process,
            Err(error) => {
                let program = spec.argv.first().map_or("", String::as_str);
                let message = format!("cannot start `{program}`: {error}");
                self.host_failure
                    .get_or_insert(FinishOutcome::InternalError { message });
                return self.handle(Event::LaunchFailed { task, attempt });
            }
        };
        let record = self.recorder.change();
        match start {
            Start::Fork if process.forked => record.attempts.forked += 1,
            Start::Fork => record.count_fresh("the fork server did not start it"),
            Start::Fresh(reason) => record.count_fresh(&reason),
            Start::Foreign => record.attempts.foreign += 1,
        }
        let path = self.path(self.step(task), prepared.task_id);
        let head = format!("[{path} (pid {})] ", process.pid);
        self.say_start(task, attempt, &head);
        let running = Running::new(path, head, self.plan.limits.max_log_size);
        self.attempts.insert((task, attempt), running);
        self.tell_start((task, attempt), Some(process.pid));
    }

    pub(super) fn on_local(&mut self, event: LocalEvent) {
        match event {
            LocalEvent::Line {
                task,
                attempt,
                stream,
                line,
            } => {
                if let Some(running) = self.attempts.get_mut(&(task, attempt)) {
                    let LogLine { at, text } = running.log.process_line(stream, &line);
                    running.last.push(&text);
                    self.console.line(at, &running.head, Tone::User, &text);
                }
            }
            LocalEvent::Ended {
                task,
                attempt,
                return_code,
            } => {
                self.local.ended(task, attempt);
                self.judge(task, attempt, return_code);
            }
        }
    }

    /// Reads what an attempt that ended well left behind.
    fn judge(&mut self, task: TaskKey, attempt: Attempt, return_code: i32) {
        let Some(running) = self.attempts.get(&(task, attempt)) else {
            return;
        };
        let (store, flow, path) = (
            Arc::clone(&self.store),
            self.plan.flow.clone(),
            running.path.clone(),
        );
        let known = Arc::clone(&self.known);
        let (reports, datastore) = (self.reports.clone(), Rc::clone(&self.datastore));
        tokio::task::spawn_local(async move {
            let mut judged = Judged {
                task,
                attempt,
                return_code,
                result: None,
            };
            if return_code == 0 {
                let at = AttemptRef {
                    flow: &flow,
                    task: &path,
                    attempt,
                };
                let read = async || {
                    let result = datastore::task_result::read(&*store, at, &known).await;
                    result.with_context(|| format!("cannot read the results of task {path}"))
                };
                match datastore.outlast(|| false, read).await {
                    Ok(result) => judged.result = Some(result),
                    Err(error) => {
                        let _ = reports.send(Happening::Broken(error));
                        return;
                    }
                }
            }
            let _ = reports.send(Happening::Judged(judged));
        });
    }

    /// Says how an attempt ended, then stores its logs; only after that is it over.
    pub(super) fn on_judged(&mut self, judged: Judged) {
        if self.held_back() {
            if let Some(halting) = &mut self.halting {
                halting.held.push(judged);
            }
            return;
        }
        failpoint::reach("local-ended");
        self.say_flushing();
        let key = (judged.task, judged.attempt);
        let outcome = self.tell_end(key, &judged);
        self.settle(key, outcome, judged.return_code);
    }

    fn tell_end(&mut self, key: (TaskKey, Attempt), judged: &Judged) -> Outcome {
        let Some(running) = self.attempts.get(&key) else {
            return Outcome::Failed(FailureClass::NoRetry);
        };
        let (cleaned, killed) = (running.cleaned, running.killed);
        match (&judged.result, judged.return_code) {
            (Some(TaskResult::Succeeded(transition)), _) => {
                self.tell_success(key, transition);
                return Outcome::Succeeded(transition.clone());
            }
            (Some(unfinished), _) => {
                let text = format!("Task ended with exit code 0, but {unfinished}.");
                self.system_log_line(key, Stream::Stderr, &text);
            }
            (None, SEGMENTATION_FAULT) => {
                let text = "Task failed with a segmentation fault.";
                self.system_log_line(key, Stream::Stderr, text);
            }
            (None, _) if killed => {}
            (None, _) => self.system_log_line(key, Stream::Stderr, "Task failed."),
        }
        self.on_local_failure(key, judged);
        if cleaned || judged.return_code == DISALLOW_RETRY {
            self.say(Tone::System, "This failed task will not be retried.");
            return Outcome::Failed(FailureClass::NoRetry);
        }
        Outcome::Failed(FailureClass::User)
    }
}
