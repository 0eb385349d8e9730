//! An attempt in flight, wherever it runs: what is said about it, and what is stored at its end.

use std::{rc::Rc, sync::Arc};

use anyhow::Context;
use bytes::Bytes;
use datastore::{AttemptRef, ObjectStore, StoreError, attempt::RuntimeRecord};
use model::{Attempt, Fanout, TaskKey, TaskPath, Transition, layout::Stream};
use scheduler::Outcome;

use super::{Driver, Happening};
use crate::report::{LastLines, TaskLog, Tone};

/// Where an attempt runs, as far as the console tells.
#[derive(Debug)]
pub(super) enum Place {
    /// On this machine, or not submitted yet.
    Here,
    /// In a job.
    Batch {
        /// Its id.
        job: String,
    },
}

impl Place {
    /// The text with the job in front, as upstream shows what a job says; of an empty line only the job.
    pub(super) fn with_job(&self, text: &str) -> String {
        match self {
            Self::Batch { job } if text.is_empty() => format!("[{job}]"),
            Self::Batch { job } => format!("[{job}] {text}"),
            Self::Here => text.to_owned(),
        }
    }
}

/// A running attempt.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) path: TaskPath,
    /// What begins its console lines.
    pub(super) head: String,
    pub(super) log: TaskLog,
    /// The last lines of the task's own.
    pub(super) last: LastLines,
    pub(super) place: Place,
    /// The run ended while the attempt was running.
    pub(super) cleaned: bool,
    /// It was killed by us.
    pub(super) killed: bool,
}

impl Running {
    pub(super) fn new(path: TaskPath, head: String, max_log_size: u64) -> Self {
        Self {
            path,
            head,
            log: TaskLog::new(max_log_size),
            last: LastLines::default(),
            place: Place::Here,
            cleaned: false,
            killed: false,
        }
    }

    /// The id of its job, if it has one.
    pub(super) fn job(&self) -> Option<&str> {
        match &self.place {
            Place::Batch { job } => Some(job),
            Place::Here => None,
        }
    }
}

impl<S: ObjectStore + 'static> Driver<S> {
    pub(super) fn say_start(&mut self, task: TaskKey, attempt: Attempt, head: &str) {
        let text = if attempt.0 > self.run.task(task).max_user_code_retries {
            "Task fallback is starting to handle the failure."
        } else if attempt.0 > 0 {
            "Task is starting (retry)."
        } else {
            "Task is starting."
        };
        self.console
            .line(jiff::Timestamp::now(), head, Tone::System, text);
    }

    /// Adds a line of ours to an attempt's log and shows it.
    pub(super) fn system_log_line(&mut self, key: (TaskKey, Attempt), stream: Stream, text: &str) {
        if let Some(running) = self.attempts.get_mut(&key) {
            let line = running.log.system_line(stream, text);
            self.console
                .line(line.at, &running.head, Tone::System, &line.text);
        }
    }

    /// What upstream says of an attempt that succeeded; none of it is stored.
    pub(super) fn tell_success(&mut self, key: (TaskKey, Attempt), transition: &Transition) {
        let Some(running) = self.attempts.get(&key) else {
            return;
        };
        let mut tell = |text: &str| {
            self.console
                .line(jiff::Timestamp::now(), &running.head, Tone::System, text);
        };
        if let Fanout::Foreach { splits } = transition.fanout {
            tell(&format!("Foreach yields {splits} child steps."));
        }
        tell("Task finished successfully.");
        self.tell_end_of_task(key, transition);
        self.say_width(transition);
    }

    /// Stores the launcher's logs of an ended attempt; only after that is it over.
    pub(super) fn settle(&mut self, key: (TaskKey, Attempt), outcome: Outcome, return_code: i32) {
        let Some(running) = self.attempts.remove(&key) else {
            return;
        };
        let (store, flow) = (Arc::clone(&self.store), self.plan.flow.clone());
        let (reports, datastore) = (self.reports.clone(), Rc::clone(&self.datastore));
        let (task, attempt) = key;
        tokio::task::spawn_local(async move {
            let Running {
                path, log, killed, ..
            } = running;
            let record = RuntimeRecord::new(return_code, killed);
            let (stdout, stderr) = log.into_bytes();
            let (stdout, stderr) = (Bytes::from(stdout), Bytes::from(stderr));
            let at = AttemptRef {
                flow: &flow,
                task: &path,
                attempt,
            };
            let save = async || {
                save(&*store, at, record, (stdout.clone(), stderr.clone()))
                    .await
                    .with_context(|| format!("cannot store the logs of task {path}"))
            };
            let saved = datastore.outlast(|| false, save).await;
            let _ = reports.send(match saved {
                Ok(()) => Happening::Settled {
                    task,
                    attempt,
                    outcome,
                },
                Err(error) => Happening::Broken(error),
            });
        });
    }
}

async fn save<S: ObjectStore>(
    store: &S,
    at: AttemptRef<'_>,
    record: RuntimeRecord,
    (stdout, stderr): (Bytes, Bytes),
) -> Result<(), StoreError> {
    datastore::attempt::write_runtime(store, at, record).await?;
    datastore::logs::save_runtime_logs(store, at, stdout, stderr).await
}
