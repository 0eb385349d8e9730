//! What becomes of a run, for programs: a line of JSON for each event (docs/json-events.md, which says what each means).

use std::{fs::File, io::Write, os::fd::OwnedFd};

use model::{
    FlowName, RunId, StepName,
    run_record::{RunState, StepRecord},
};
use serde::Serialize;

use super::{LastLines, failures::Group};

/// The version of the events that are written here: a reader may rely on all fields of it, and must look past others.
pub(crate) const EVENTS_VERSION: u32 = 1;

/// So many bytes do not wait for others.
const FULL: usize = 16 << 10;

/// Something that has happened.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Event<'a> {
    RunStarted {
        flow: &'a FlowName,
        run: &'a RunId,
        max_workers: u32,
        ferroflow: &'a str,
        metaflow: &'a str,
        python: &'a str,
    },
    /// An attempt has a process, or is on its way to AWS Batch.
    TaskStarted {
        #[serde(flatten)]
        of: Of<'a>,
        place: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        pid: Option<u32>,
    },
    TaskSubmitted {
        #[serde(flatten)]
        of: Of<'a>,
        job: &'a str,
    },
    TaskStatus {
        #[serde(flatten)]
        of: Of<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        job: Option<&'a str>,
        status: &'a str,
    },
    TaskSucceeded {
        #[serde(flatten)]
        of: Of<'a>,
        /// Tasks of the next step, after a foreach.
        #[serde(skip_serializing_if = "Option::is_none")]
        splits: Option<u64>,
    },
    TaskFailed {
        #[serde(flatten)]
        of: Of<'a>,
        class: &'a str,
        cause: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        fix: Option<&'a str>,
        log: &'a LastLines,
    },
    /// Another attempt will be made.
    TaskRetried {
        task: String,
        step: &'a StepName,
        /// The number of that attempt.
        attempt: u32,
        /// Seconds until it may start.
        delay_s: u64,
    },
    /// Something that a person should read.
    Notice { text: &'a str },
    RunEnded {
        state: RunState,
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<&'a str>,
        duration_ms: u64,
        counts: Counts,
        steps: &'a [StepRecord],
        failures: &'a [FailedTasks<'a>],
    },
}

/// Which attempt an event is about.
#[derive(Debug, Serialize)]
pub(crate) struct Of<'a> {
    /// Its pathspec, `Flow/run/step/task`.
    pub(crate) task: String,
    pub(crate) step: &'a StepName,
    pub(crate) attempt: u32,
}

/// Sums over all steps.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Counts {
    pub(crate) tasks: u64,
    pub(crate) started: u64,
    pub(crate) succeeded: u64,
    pub(crate) failed: u64,
}

/// Tasks that failed for one reason, and the pathspec of one of them.
#[derive(Debug, Serialize)]
pub(crate) struct FailedTasks<'a> {
    #[serde(flatten)]
    pub(crate) group: &'a Group,
    pub(crate) first: String,
}

impl Counts {
    pub(crate) fn of(steps: &[StepRecord]) -> Self {
        let mut sums = Self::default();
        for step in steps {
            sums.tasks += step.tasks;
            sums.started += step.started;
            sums.succeeded += step.succeeded;
            sums.failed += step.failed;
        }
        sums
    }
}

/// One event, as it is written.
#[derive(Debug, Serialize)]
struct Line<'a> {
    version: u32,
    time: String,
    #[serde(flatten)]
    event: &'a Event<'a>,
}

/// Where events go, if anybody wants them.
#[derive(Debug, Default)]
pub(crate) struct Events {
    out: Option<File>,
    /// What is not written yet.
    pending: Vec<u8>,
}

impl Events {
    /// Nobody wants them without a descriptor.
    pub(crate) fn to(descriptor: Option<OwnedFd>) -> Self {
        Self {
            out: descriptor.map(File::from),
            pending: Vec::new(),
        }
    }

    pub(crate) fn are_wanted(&self) -> bool {
        self.out.is_some()
    }

    /// Takes an event; `event` is asked for it only if somebody wants it.
    pub(crate) fn tell<'a>(&mut self, event: impl FnOnce() -> Event<'a>) {
        if self.out.is_none() {
            return;
        }
        let now = jiff::Timestamp::now();
        if let Err(error) = write(now, &event(), &mut self.pending) {
            tracing::error!(%error, "an event could not be written as JSON");
        }
        if self.pending.len() >= FULL {
            self.flush();
        }
    }

    /// Writes what waits. A reader that went away must not end the run.
    pub(crate) fn flush(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        if let Some(out) = &mut self.out
            && let Err(error) = out.write_all(&self.pending)
        {
            tracing::warn!(%error, "nobody reads the events any more");
            self.out = None;
        }
        self.pending.clear();
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.flush();
    }
}

fn write(at: jiff::Timestamp, event: &Event<'_>, out: &mut Vec<u8>) -> serde_json::Result<()> {
    let line = Line {
        version: EVENTS_VERSION,
        time: at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(),
        event,
    };
    serde_json::to_writer(&mut *out, &line)?;
    out.push(b'\n');
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(event: &Event<'_>) -> String {
        let mut out = Vec::new();
        let at = jiff::Timestamp::from_millisecond(1_795_700_000_007).unwrap();
        write(at, event, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn an_event_is_a_line() {
        let step = StepName::new("train").unwrap();
        let of = || Of {
            task: "F/12/train/40".to_owned(),
            step: &step,
            attempt: 1,
        };
        let started = Event::TaskStarted {
            of: of(),
            place: "local",
            pid: Some(7),
        };
        assert_eq!(
            line(&started),
            "{\"version\":1,\"time\":\"2026-11-26T13:33:20.007Z\",\"event\":\"task_started\",\"task\":\"F/12/train/40\",\
             \"step\":\"train\",\"attempt\":1,\"place\":\"local\",\"pid\":7}\n"
        );
        let mut log = LastLines::default();
        log.push("ValueError: a \"quoted\"\tword");
        let failed = Event::TaskFailed {
            of: of(),
            class: "user error",
            cause: "exit code 1",
            fix: None,
            log: &log,
        };
        let text = line(&failed);
        assert_eq!(text.matches('\n').count(), 1, "{text}");
        assert!(
            text.ends_with(
                "\"attempt\":1,\"class\":\"user error\",\"cause\":\"exit code 1\",\
                 \"log\":[\"ValueError: a \\\"quoted\\\"\\tword\"]}\n"
            ),
            "{text}"
        );
    }

    #[test]
    fn counts_are_sums() {
        let step = |name: &str, tasks, started, succeeded, failed| StepRecord {
            step: StepName::new(name).unwrap(),
            tasks,
            started,
            succeeded,
            failed,
        };
        let steps = [step("start", 1, 1, 1, 0), step("train", 100, 40, 30, 10)];
        let sums = Counts {
            tasks: 101,
            started: 41,
            succeeded: 31,
            failed: 10,
        };
        assert_eq!(Counts::of(&steps), sums);
    }

    #[test]
    fn without_a_reader_nothing_is_made() {
        let mut events = Events::to(None);
        events.tell(|| panic!("nobody wants it"));
        assert!(!events.are_wanted());
        events.flush();
    }
}
