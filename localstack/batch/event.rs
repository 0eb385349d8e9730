//! What happens to the core, and what it wants done. Events are the journal: replaying them gives the same state.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    job::{DefinitionKey, JobKey, Spec, Stop, Text},
    resource::{ComputeEnvironment, JobDefinition, JobQueue, SchedulingPolicy},
    state::State,
};

/// A line of the journal.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Entry {
    /// Milliseconds since 1970.
    pub(super) at: i64,
    pub(super) event: Event,
}

/// An [`Entry`] of a whole state, which is only lent.
#[derive(Debug, Serialize)]
pub(super) struct Snapshot<'a> {
    pub(super) at: i64,
    pub(super) event: Whole<'a>,
}

/// As [`Event::Snapshot`] is written.
#[derive(Debug, Serialize)]
pub(super) enum Whole<'a> {
    Snapshot(&'a State),
}

/// Something happened.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Event {
    /// All that came before, in one piece.
    Snapshot(Box<State>),
    Submitted(Box<Spec>),
    /// The scheduler looked at a submission for the first time.
    Considered {
        submission: u64,
    },
    /// A job was given its place.
    Placed {
        key: JobKey,
        environment: String,
    },
    /// The job at the head of its queue can never be placed.
    Blocked {
        key: JobKey,
        reason: Text,
    },
    /// Its process is there.
    Running {
        key: JobKey,
        attempt: u32,
        process: Option<Process>,
    },
    /// The attempt is over.
    Ended {
        key: JobKey,
        attempt: u32,
        outcome: Outcome,
    },
    /// CancelJob or TerminateJob.
    Stopped {
        key: JobKey,
        stop: Stop,
    },
    Registered(Box<JobDefinition>),
    Deregistered(DefinitionKey),
    ComputeEnvironment(Box<ComputeEnvironment>),
    ComputeEnvironmentDeleted(String),
    JobQueue(Box<JobQueue>),
    JobQueueDeleted(String),
    SchedulingPolicy(Box<SchedulingPolicy>),
    SchedulingPolicyDeleted(String),
    /// The tags of a resource, all of them.
    Tagged {
        arn: String,
        tags: BTreeMap<String, String>,
    },
    /// Finished jobs from before this time are forgotten.
    Expired {
        before: i64,
    },
    /// This one is forgotten, as a fault wants it.
    Forgotten {
        submission: u64,
    },
}

/// A process, told apart from a later one with the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Process {
    pub(super) pid: i32,
    /// When it started, in the system's own measure.
    pub(super) started: u64,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Outcome {
    pub(super) succeeded: bool,
    pub(super) exit_code: Option<i32>,
    pub(super) status_reason: Text,
    /// Of the container.
    pub(super) reason: Option<Text>,
    /// Timeouts and the like are never followed by another attempt.
    pub(super) retryable: bool,
}

/// Something to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Effect {
    /// End a job's process.
    Stop(JobKey),
    /// A job or child is over: tell the history.
    Finished(JobKey),
}
