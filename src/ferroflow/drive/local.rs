//! Attempts on this machine: their lines, their end, and what is stored about it.

use std::sync::Arc;

use anyhow::Context;
use compute::{
    host::protocol::{FinishOutcome, Prepared},
    local::{LocalEvent, Spec},
};
use datastore::{AttemptRef, ObjectStore, TaskResult, attempt::RuntimeRecord};
use model::{Attempt, FlowName, TaskKey, TaskPath, exit_code::DISALLOW_RETRY, layout::Stream};
use scheduler::{Event, FailureClass, Outcome};

use super::{Driver, Happening};
use crate::report::{LogLine, TaskLog, Tone};

/// What Python's `subprocess` calls a segmentation fault.
const SEGMENTATION_FAULT: i32 = -11;

/// A running attempt.
#[derive(Debug)]
pub(super) struct LocalAttempt {
    path: TaskPath,
    head: String,
    log: TaskLog,
    /// The run ended while the attempt was running.
    pub(super) cleaned: bool,
    /// It was killed by us.
    pub(super) killed: bool,
}

/// An ended attempt and what it left in the datastore.
#[derive(Debug)]
pub(super) struct Judged {
    task: TaskKey,
    attempt: Attempt,
    return_code: i32,
    /// Read only after exit code 0.
    result: Option<TaskResult>,
}

impl<S: ObjectStore + 'static> Driver<S> {
    pub(super) fn start_local(&mut self, task: TaskKey, attempt: Attempt, prepared: Prepared) {
        let spec = Spec {
            task,
            attempt,
            argv: prepared.argv,
            env: prepared.env,
            cwd: prepared.cwd,
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
        let path = self.path(self.step(task), prepared.task_id);
        let head = format!("[{path} (pid {})] ", process.pid);
        let view = self.run.task(task);
        let text = if attempt.0 > view.max_user_code_retries {
            "Task fallback is starting to handle the failure."
        } else if attempt.0 > 0 {
            "Task is starting (retry)."
        } else {
            "Task is starting."
        };
        self.console
            .line(jiff::Timestamp::now(), &head, Tone::System, text);
        let running = LocalAttempt {
            path,
            head,
            log: TaskLog::new(self.plan.limits.max_log_size),
            cleaned: false,
            killed: false,
        };
        self.attempts.insert((task, attempt), running);
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

    /// Adds a line of ours to an attempt's log and shows it.
    pub(super) fn system_log_line(&mut self, key: (TaskKey, Attempt), stream: Stream, text: &str) {
        if let Some(running) = self.attempts.get_mut(&key) {
            let line = running.log.system_line(stream, text);
            self.console
                .line(line.at, &running.head, Tone::System, &line.text);
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
        let reports = self.reports.clone();
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
                match datastore::task_result::read(&*store, at, &known).await {
                    Ok(result) => judged.result = Some(result),
                    Err(error) => {
                        let error = anyhow::Error::new(error)
                            .context(format!("cannot read the results of task {path}"));
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
        self.say_flushing();
        let key = (judged.task, judged.attempt);
        let outcome = self.tell_end(key, &judged);
        let Some(running) = self.attempts.remove(&key) else {
            return;
        };
        let (store, flow) = (Arc::clone(&self.store), self.plan.flow.clone());
        let reports = self.reports.clone();
        tokio::task::spawn_local(async move {
            let saved = save(&*store, &flow, running, judged.attempt, judged.return_code).await;
            let _ = reports.send(match saved {
                Ok(()) => Happening::Settled {
                    task: judged.task,
                    attempt: judged.attempt,
                    outcome,
                },
                Err(error) => Happening::Broken(error),
            });
        });
    }

    fn tell_end(&mut self, key: (TaskKey, Attempt), judged: &Judged) -> Outcome {
        let Some(running) = self.attempts.get(&key) else {
            return Outcome::Failed(FailureClass::NoRetry);
        };
        let (cleaned, killed, head) = (running.cleaned, running.killed, running.head.clone());
        let tell = |driver: &mut Self, text: &str| {
            driver
                .console
                .line(jiff::Timestamp::now(), &head, Tone::System, text);
        };
        match (&judged.result, judged.return_code) {
            (Some(TaskResult::Succeeded(transition)), _) => {
                if let model::Fanout::Foreach { splits } = transition.fanout {
                    tell(self, &format!("Foreach yields {splits} child steps."));
                }
                tell(self, "Task finished successfully.");
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
        if cleaned || judged.return_code == DISALLOW_RETRY {
            self.say(Tone::System, "This failed task will not be retried.");
            return Outcome::Failed(FailureClass::NoRetry);
        }
        Outcome::Failed(FailureClass::User)
    }
}

async fn save<S: ObjectStore>(
    store: &S,
    flow: &FlowName,
    running: LocalAttempt,
    attempt: Attempt,
    return_code: i32,
) -> anyhow::Result<()> {
    let LocalAttempt {
        path, log, killed, ..
    } = running;
    let (stdout, stderr) = log.into_bytes();
    let at = AttemptRef {
        flow,
        task: &path,
        attempt,
    };
    let stored = async {
        datastore::attempt::write_runtime(store, at, RuntimeRecord::new(return_code, killed))
            .await?;
        datastore::logs::save_runtime_logs(store, at, stdout, stderr).await
    };
    stored
        .await
        .with_context(|| format!("cannot store the logs of task {path}"))
}
