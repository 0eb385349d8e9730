//! Attempts on AWS Batch, as the driver sees them: words for the console, lines for the log, and
//! an end.

use compute::host::{
    BatchTask,
    protocol::{FinishOutcome, Prepared},
};
use datastore::ObjectStore;
use model::{Attempt, TaskKey, TaskPath, layout::Stream, mflog};
use scheduler::{Event, FailureClass, Outcome};

use super::{
    Driver,
    running::{Place, Running},
};
use crate::{
    batch::{Adopted, BatchEvent, Ended, Failure, Launch, What},
    report::{LogLine, Tone},
};

impl<S: ObjectStore + 'static> Driver<S> {
    /// Hands an attempt to Batch.
    pub(super) fn start_batch(
        &mut self,
        task: TaskKey,
        attempt: Attempt,
        prepared: Prepared,
        command: BatchTask,
    ) {
        let Some(launch) = self.launch((task, attempt), prepared, command) else {
            return;
        };
        self.recorder.change().attempts.batch += 1;
        let head = head(&launch.path);
        if let Some(batch) = &self.batch {
            batch.launch(launch);
        }
        self.say_start(task, attempt, &head);
        self.tell_start((task, attempt), None);
        if attempt.0 > 0 && !self.run.task(task).free {
            self.store_pause((task, attempt));
        }
    }

    /// Goes on with an attempt that the launcher before had handed to Batch.
    pub(super) fn adopt_batch(
        &mut self,
        task: TaskKey,
        attempt: Attempt,
        prepared: Prepared,
        command: BatchTask,
        adopted: Adopted,
    ) {
        let launch = self.launch((task, attempt), prepared, command);
        if let (Some(launch), Some(batch)) = (launch, &self.batch) {
            batch.adopt(launch, adopted);
        }
    }

    /// What Batch is handed. Without Batch the run fails.
    fn launch(
        &mut self,
        key: (TaskKey, Attempt),
        prepared: Prepared,
        command: BatchTask,
    ) -> Option<Launch> {
        let (task, attempt) = key;
        if self.batch.is_none() {
            let message = "a step asks for AWS Batch, but the datastore is not on S3".to_owned();
            self.host_failure
                .get_or_insert(FinishOutcome::InternalError { message });
            self.handle(Event::LaunchFailed { task, attempt });
            return None;
        }
        let path = self.path(self.step(task), prepared.task_id);
        let running = Running::new(path.clone(), head(&path), self.plan.limits.max_log_size);
        self.attempts.insert(key, running);
        Some(Launch {
            task,
            path,
            attempt,
            command,
        })
    }

    pub(super) fn on_batch(&mut self, event: BatchEvent) {
        match event {
            BatchEvent::Attempt {
                task,
                attempt,
                what,
            } => self.on_attempt((task, attempt), what),
            BatchEvent::Broken(error) => self.break_down(error),
            BatchEvent::Fenced(fenced) => self.fenced = Some(fenced),
            BatchEvent::Cancelled => self.on_cancelled(),
        }
    }

    fn on_attempt(&mut self, key: (TaskKey, Attempt), what: What) {
        match what {
            What::Submitted { job } => {
                tracing::info!(task = %key.0, attempt = %key.1, job, "submitted");
                if let Some(running) = self.attempts.get_mut(&key) {
                    running.place = Place::Batch { job };
                    self.tell_job(key);
                }
            }
            What::Status(status) => self.on_status(key, &status),
            What::Said(text) => self.chatter(key, &text),
            What::Lines { stream, lines } => self.task_lines(key, stream, &lines),
            What::Refused(why) => self.on_refused(key, &why),
            What::Ended(ended) => self.on_batch_ended(key, ended),
        }
    }

    /// Upstream says so before each retry, on standard error, and stores it with the retry.
    fn store_pause(&mut self, key: (TaskKey, Attempt)) {
        let minutes = self.minutes_between(key.0);
        if let Some(running) = self.attempts.get_mut(&key) {
            let text = format!("{}\n", pause(minutes));
            let line = running.log.process_line(Stream::Stderr, text.as_bytes());
            // A wait was told of when it began.
            if minutes == 0 {
                self.console
                    .line(line.at, &running.head, Tone::User, &line.text);
            }
        }
    }

    /// A retry has to wait.
    pub(super) fn tell_pause(&mut self, task: TaskKey) {
        let text = pause(self.minutes_between(task));
        let Some(id) = self.task_ids.get(&task).cloned() else {
            return;
        };
        let head = head(&self.path(self.step(task), id));
        self.console
            .line(jiff::Timestamp::now(), &head, Tone::User, &text);
    }

    fn minutes_between(&self, task: TaskKey) -> u32 {
        let step = self.plan.steps.get(self.step(task));
        step.map_or(0, |step| step.retry.minutes_between)
    }

    /// A line of the launcher about a job: shown, and stored as upstream stores what its own
    /// launching process prints.
    fn chatter(&mut self, key: (TaskKey, Attempt), text: &str) {
        self.process_line(key, Stream::Stdout, text);
    }

    fn process_line(&mut self, key: (TaskKey, Attempt), stream: Stream, text: &str) {
        if let Some(running) = self.attempts.get_mut(&key) {
            let line = running
                .log
                .process_line(stream, format!("{text}\n").as_bytes());
            self.console
                .line(line.at, &running.head, Tone::User, &line.text);
        }
    }

    /// Upstream puts the job in front of what it says about it.
    fn with_job(&self, key: (TaskKey, Attempt), text: &str) -> String {
        let place = self.attempts.get(&key).map(|running| &running.place);
        place.map_or_else(|| text.to_owned(), |place| place.with_job(text))
    }

    fn task_lines(&mut self, key: (TaskKey, Attempt), stream: Stream, lines: &[Vec<u8>]) {
        let Some(running) = self.attempts.get_mut(&key) else {
            return;
        };
        for line in lines {
            let LogLine { at, text } = running.log.process_line(stream, line);
            // With the job in front, what the line begins with is not stripped.
            let text = mflog::parse(line).map_or(text, |parsed| {
                String::from_utf8_lossy(parsed.message.trim_ascii_end()).into_owned()
            });
            running.last.push(&text);
            self.console.line(
                at,
                &running.head,
                Tone::User,
                &running.place.with_job(&text),
            );
        }
    }

    /// A refused submission is what upstream answers with exit code 202: the task is dropped, and
    /// other branches go on.
    fn on_refused(&mut self, key: (TaskKey, Attempt), why: &str) {
        let text = format!("The task could not be submitted to AWS Batch: {why}");
        for line in text.lines() {
            self.chatter(key, line);
        }
        self.system_log_line(key, Stream::Stderr, "Task failed.");
        self.say(Tone::System, "This failed task will not be retried.");
        self.on_refusal(key, why);
        let outcome = Outcome::Failed(FailureClass::NoRetry);
        self.settle(key, outcome, model::exit_code::DISALLOW_RETRY);
    }

    fn on_batch_ended(&mut self, key: (TaskKey, Attempt), ended: Ended) {
        self.say_flushing();
        let Ended { outcome, failure } = ended;
        if let Some(Failure { class, explanation }) = &failure {
            let step = self.step(key.0).clone();
            self.recorder
                .change()
                .count_failure(&step, *class, &explanation.to_string());
        }
        if let Outcome::Succeeded(transition) = &outcome {
            let text = self.with_job(key, "Task finished with exit code 0.");
            self.chatter(key, &text);
            self.tell_success(key, transition);
        } else {
            if let Some(failure) = failure {
                let text = self.with_job(key, &failure.explanation.to_string());
                self.process_line(key, Stream::Stderr, &text);
                self.on_failure(key, failure);
            }
            self.system_log_line(key, Stream::Stderr, "Task failed.");
            let class = FailureClass::NoRetry;
            if outcome == Outcome::Failed(class)
                || outcome == Outcome::Failed(FailureClass::Cancelled)
            {
                self.say(Tone::System, "This failed task will not be retried.");
            }
        }
        let succeeded = matches!(outcome, Outcome::Succeeded(_));
        // Of the process that launches the job, in upstream's case.
        let return_code = if succeeded {
            0
        } else {
            model::exit_code::FAILURE
        };
        self.settle(key, outcome, return_code);
    }
}

/// What begins the lines of a task. Upstream names the process that launches its job; here that is this one.
fn head(path: &TaskPath) -> String {
    format!("[{path} (pid {})] ", std::process::id())
}

fn pause(minutes: u32) -> String {
    format!("Sleeping {minutes} minutes before the next AWS Batch retry")
}
