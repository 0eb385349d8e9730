//! Failures in words: what happened, the evidence, what to do about it. One line each.

use std::fmt;

use super::{
    BootstrapFault, Class, Evidence, Outlook,
    evidence::KILLED,
    figures::{grouped, signal_name},
    hints,
    reasons::is_failed_start,
};
use crate::{
    batch::TimeLimit,
    exit_code::container,
    spec::{Ended, Stopped},
};

/// What bash adds to the number of the signal that ended a program.
const BY_SIGNAL: i32 = 128;

/// A failure in words. As text it is one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// What happened, and the evidence; without a period at its end.
    pub cause: String,
    /// What to do about it, or where to look, as a clause without a period at its end.
    pub fix: Option<String>,
}

impl Explanation {
    /// Of a cause about which nothing more can be said.
    pub fn of(cause: impl Into<String>) -> Self {
        Self {
            cause: cause.into(),
            fix: None,
        }
    }

    fn with_fix(cause: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            fix: Some(fix.into()),
            ..Self::of(cause)
        }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.fix {
            // A sentence of its own.
            Some(fix) if fix.starts_with(char::is_uppercase) => write!(f, "{}. {fix}.", self.cause),
            Some(fix) => write!(f, "{}: {fix}.", self.cause),
            None => write!(f, "{}.", self.cause),
        }
    }
}

impl Evidence<'_> {
    /// What happened, the evidence and what to do about it.
    pub fn explanation(&self) -> Explanation {
        let class = self.class();
        match class {
            Class::UserError => self.user_error(),
            Class::OutOfMemory => self.out_of_memory(),
            Class::Timeout => self.timeout(),
            Class::Bootstrap(fault) => self.bootstrap(fault),
            Class::Unknown => self.unknown(),
            _ => self.not_started().unwrap_or_else(|| {
                let said = self.said();
                let (what, fix) = self
                    .by_itself(class)
                    .unwrap_or_else(|| what_and_fix(class, &said));
                Explanation::with_fix(format!("{what} ({said})"), fix)
            }),
        }
    }

    /// The container's words, where the datastore told it not to start user code.
    fn not_started(&self) -> Option<Explanation> {
        match &self.outcome?.ended {
            Ended::NotStarted {
                message,
                stopped: Some(_),
                ..
            } => Some(Explanation::of(format!(
                "The task did not start: {}",
                one_line(message)
            ))),
            _ => None,
        }
    }

    /// What happened and what to do about it, where the container ended itself by what it saw in the datastore.
    fn by_itself(&self, class: Class) -> Option<(&'static str, &'static str)> {
        match class {
            Class::CancelledByUs if self.stopped() == Some(Stopped::Cancelled) => Some((
                "The task ended itself, because its run was cancelled or over",
                hints::CANCELLED,
            )),
            Class::HostLost if self.exit_code() == Some(container::SUPERSEDED) => Some((
                "The task ended itself, because a later attempt of it had been launched",
                hints::SUPERSEDED,
            )),
            _ => None,
        }
    }

    fn user_error(&self) -> Explanation {
        let Some(outcome) = self.outcome else {
            let said = self.said();
            return Explanation::with_fix(
                format!("The task failed, and its container could not say more ({said})"),
                "its log may say why",
            );
        };
        match outcome.ended {
            Ended::Exited { code: 0, .. } => Explanation::with_fix(
                "The task ended with exit code 0 and left no complete result",
                "its log may say why",
            ),
            Ended::Signaled { signal, .. } => {
                let name = named_signal(signal);
                let memory = self.memory_hint();
                Explanation::with_fix(
                    format!(
                        "The task was ended by signal {signal}{name}; the signal came from inside \
                         its container"
                    ),
                    format!("its log may say why{memory}"),
                )
            }
            _ => {
                let code = self.exit_code().unwrap_or_default();
                let (signal, memory) = (by_signal(code), self.memory_hint());
                Explanation::with_fix(
                    format!("The task failed with exit code {code}{signal}"),
                    format!("its log says why{memory}"),
                )
            }
        }
    }

    fn out_of_memory(&self) -> Explanation {
        let kills = match self.oom_kills() {
            0 => self.said(),
            1 => "the kernel killed one of its processes".to_owned(),
            kills => format!("the kernel killed {} of its processes", grouped(kills)),
        };
        let used = match (self.peak_memory(), self.memory) {
            (Some(peak), Some(memory)) => {
                format!("; it used {} of {} MB", grouped(peak), grouped(memory))
            }
            (Some(peak), None) => format!("; it used {} MB", grouped(peak)),
            (None, Some(memory)) => format!("; it had {} MB", grouped(memory)),
            (None, None) => String::new(),
        };
        Explanation::with_fix(
            format!("The task ran out of memory ({kills}{used})"),
            self.more_memory(),
        )
    }

    fn timeout(&self) -> Explanation {
        let by_batch = self.stopped() != Some(Stopped::TimeLimit);
        let mut said: Vec<String> = by_batch.then(|| self.said()).into_iter().collect();
        said.extend(self.ran_for().map(|s| format!("it ran {} s", grouped(s))));
        let (allowed, fix) = match self.time_limit {
            Some(TimeLimit::Decorator(limit)) => (
                Some(format!("@timeout allows {} s", grouped(limit))),
                format!("try @timeout(seconds={})", limit.saturating_mul(2)),
            ),
            Some(TimeLimit::Default(limit)) => (
                Some(format!(
                    "METAFLOW_DEFAULT_RUNTIME_LIMIT allows {} s",
                    grouped(limit)
                )),
                format!("try @timeout(seconds={})", limit.saturating_mul(2)),
            ),
            None => (None, "allow more by @timeout(seconds=…)".to_owned()),
        };
        said.extend(allowed);
        let said = if said.is_empty() {
            String::new()
        } else {
            format!(" ({})", said.join("; "))
        };
        Explanation::with_fix(format!("The task reached its time limit{said}"), fix)
    }

    fn bootstrap(&self, fault: BootstrapFault) -> Explanation {
        if let Some(Ended::NotStarted { message, .. }) = self.outcome.map(|outcome| &outcome.ended)
        {
            let message = one_line(message);
            return Explanation::of(format!("The task did not start: {message}"));
        }
        let said = self.said();
        let log = self.where_the_log_is();
        Explanation::with_fix(
            format!("The task did not start ({said})"),
            format!("{}{log}", hints::bootstrap(fault)),
        )
    }

    /// Unknown is unknown; here is everything that is known.
    fn unknown(&self) -> Explanation {
        let mut known = vec![self.said()];
        known.extend(self.job.map(|job| format!("status {}", job.status)));
        known.push(if self.claimed {
            "the container had begun".to_owned()
        } else {
            "the container had not begun".to_owned()
        });
        match (self.peak_memory(), self.memory) {
            (Some(peak), Some(memory)) => known.push(format!(
                "peak memory {} of {} MB",
                grouped(peak),
                grouped(memory)
            )),
            (None, Some(memory)) => known.push(format!("memory {} MB", grouped(memory))),
            _ => {}
        }
        known.extend(self.ran_for().map(|s| format!("it ran {} s", grouped(s))));
        let log = self.where_the_log_is();
        let hint = match self.exit_code() {
            Some(KILLED) => format!("; if it needs more memory, {}", self.more_memory()),
            _ => String::new(),
        };
        Explanation::with_fix(
            format!(
                "The job ended for a reason that is not known. What is known: {}{log}",
                known.join("; ")
            ),
            format!("Look at the job in the AWS Batch console{hint}"),
        )
    }

    /// Everything that Batch said, in its shortest form.
    pub(super) fn said(&self) -> String {
        let container = self.container_reason();
        let status = self
            .status_reason()
            .filter(|reason| container.is_none() || !is_failed_start(reason));
        let reasons = [status, container];
        let mut said: Vec<String> = reasons.into_iter().flatten().map(one_line).collect();
        said.dedup();
        if let Some(code) = self.exit_code() {
            said.push(format!("exit code {code}{}", by_signal(code)));
        }
        if said.is_empty() {
            "AWS Batch gives no reason".to_owned()
        } else {
            said.join("; ")
        }
    }

    fn more_memory(&self) -> String {
        match self.memory {
            Some(memory) => format!("try @resources(memory={})", memory.saturating_mul(2)),
            None => "ask for more by @resources(memory=…)".to_owned(),
        }
    }

    /// Said of a task that had used nearly all of its memory when it ended in another way.
    fn memory_hint(&self) -> String {
        match (self.peak_memory(), self.memory) {
            (Some(peak), Some(memory)) if peak.saturating_mul(10) >= memory.saturating_mul(9) => {
                format!(
                    ". It had used {} of {} MB; if that was too little, {}",
                    grouped(peak),
                    grouped(memory),
                    self.more_memory()
                )
            }
            _ => String::new(),
        }
    }

    /// Before the claim the container's words are nowhere else.
    fn where_the_log_is(&self) -> String {
        self.log_stream().map_or_else(String::new, |stream| {
            format!(" (CloudWatch Logs, group /aws/batch/job, stream {stream})")
        })
    }
}

/// What happened and what to do about it, where Batch's own words are all the evidence.
fn what_and_fix(class: Class, said: &str) -> (&'static str, &'static str) {
    use Outlook::{Lasting, Passing};
    let said = said.to_lowercase();
    match class {
        Class::HostLost => ("The host of the task was lost", hints::HOST_LOST),
        Class::Interrupted => (
            "The container was told to stop, and nobody says why",
            hints::INTERRUPTED,
        ),
        Class::Image(Passing) => (
            "The image could not be pulled for now",
            hints::pull_again(&said),
        ),
        Class::Image(Lasting) => ("The image cannot be pulled", hints::pull(&said)),
        Class::ContainerRuntime(Passing) => (
            "The container could not be run for now",
            hints::start_again(&said),
        ),
        Class::ContainerRuntime(Lasting) => {
            ("The container cannot be started", hints::start(&said))
        }
        Class::Configuration(Passing) => ("AWS cannot use the role of the job", hints::ROLE),
        Class::Configuration(Lasting) => (
            "AWS Batch could not set the task up",
            hints::configuration(&said),
        ),
        Class::Capacity(Passing) => ("AWS has no room for the job right now", hints::NO_ROOM),
        Class::Capacity(Lasting) => ("AWS has no room for the job", hints::capacity(&said)),
        Class::CancelledByUs => ("Ferroflow ended the job", hints::CANCELLED),
        Class::LauncherLost => (
            "The task ended itself, because its launcher was not heard of for too long",
            hints::LAUNCHER_LOST,
        ),
        Class::Duplicate => (
            "Another container runs this attempt, so this one ran nothing",
            hints::DUPLICATE,
        ),
        // Cancelled by somebody; the rest have texts of their own.
        _ => ("The job was cancelled", hints::CANCELLED),
    }
}

/// The signal behind an exit code of a shell.
fn by_signal(code: i32) -> String {
    named_signal(code - BY_SIGNAL)
}

fn named_signal(signal: i32) -> String {
    signal_name(signal).map_or_else(String::new, |name| format!(", {name}"))
}

pub(super) fn one_line(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.trim_end_matches(['.', ':', ' ']).to_owned()
}
