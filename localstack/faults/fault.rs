//! What can go wrong.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::rule::START_JOB;

/// What goes wrong. Durations are seconds of AWS's time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Fault {
    /// An error instead of the call.
    Refuse {
        /// HTTP status.
        status: u16,
        /// AWS's name, e.g. `TooManyRequestsException`.
        code: String,
    },
    /// The call has its effect, and the answer is an error.
    RefuseAfterEffect {
        /// HTTP status.
        status: u16,
        /// AWS's name.
        code: String,
    },
    /// The call has its effect, and the connection is closed without an answer.
    LoseReply,
    /// The connection is closed, and nothing has happened.
    HangUp,
    /// The call is carried out that much later; a job is STARTING for that much longer.
    Delay(#[serde(with = "seconds")] Duration),
    /// The answer's `Date` is so many seconds off; less than 0 is the past.
    SkewDate(i64),
    /// `TerminateJob` and its like: the answer is that of a success, and nothing happens.
    NoEffect,
    /// `DescribeJobs`, `ListJobs`: what was true that long ago.
    AsOf(#[serde(with = "seconds")] Duration),
    /// `DescribeJobs`: the `statusSummary` of arrays is that old, all else is of now.
    StaleSummary(#[serde(with = "seconds")] Duration),
    /// Writes to S3: `If-None-Match` and `If-Match` are ignored.
    IgnoreConditions,
    /// `StartJob`: the job's process is started twice, at the same time.
    StartTwice,
    /// `StartJob`: the job is called SUCCEEDED without having been started.
    SucceedWithoutRunning,
    /// `StartJob`: the process runs to its end, then the job is called FAILED with this status reason.
    FailAfterSuccess(String),
    /// `StartJob`: the job is called FAILED after that time, and its process lives on to its own end.
    FailWhileAlive {
        /// From the start of the process.
        #[serde(with = "seconds")]
        after: Duration,
        /// Of the job.
        status_reason: String,
    },
    /// `StartJob`: the host is lost after that time, the process with it, without a warning.
    LoseHost(#[serde(with = "seconds")] Duration),
    /// `StartJob`: the host is lost with a warning: SIGTERM, and the end when the grace is over.
    DrainHost {
        /// From the start of the process to the warning.
        #[serde(with = "seconds")]
        after: Duration,
        /// From the warning to the end.
        #[serde(with = "seconds", default = "spot_notice")]
        grace: Duration,
    },
    /// `StartJob`: the same for a task of Fargate Spot, with its words.
    ReclaimFargate(#[serde(with = "seconds")] Duration),
    /// `StartJob`: the process gets SIGTERM after that time, and nobody says why.
    Interrupt(#[serde(with = "seconds")] Duration),
    /// `StartJob`: the container is killed for its use of memory after that time.
    OutOfMemory(#[serde(with = "seconds")] Duration),
    /// `StartJob`: the job's time limit is enforced that much later.
    LateTimeout(#[serde(with = "seconds")] Duration),
    /// `StartJob`: FAILED with these reasons without having been started.
    FailToStart {
        /// Of the job.
        status_reason: String,
        /// Of its container.
        #[serde(default)]
        reason: Option<String>,
    },
    /// `StartJob`: the job stays RUNNABLE for that time, and with it all of its queue that comes later.
    WaitForCapacity {
        /// How long.
        #[serde(with = "seconds", rename = "for")]
        duration: Duration,
        /// The status reason meanwhile.
        #[serde(default)]
        status_reason: Option<String>,
    },
    /// `StartJob`: nobody remembers the job when that time has passed since its end.
    ForgetAfter(#[serde(with = "seconds")] Duration),
}

/// Amazon EC2 user guide, "Spot Instance interruption notices".
fn spot_notice() -> Duration {
    Duration::from_mins(2)
}

/// To which operations a fault can be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// All calls.
    Calls,
    /// Some calls only.
    Some(&'static [&'static str]),
    /// The start of a job.
    Jobs,
    /// All calls, and the start of a job.
    All,
}

impl Fault {
    pub(super) fn scope(&self) -> Scope {
        match self {
            Self::Refuse { .. }
            | Self::RefuseAfterEffect { .. }
            | Self::LoseReply
            | Self::HangUp
            | Self::SkewDate(_) => Scope::Calls,
            Self::Delay(_) => Scope::All,
            Self::NoEffect => {
                Scope::Some(&["TerminateJob", "TerminateJobs", "CancelJob", "CancelJobs"])
            }
            Self::AsOf(_) => Scope::Some(&["DescribeJobs", "ListJobs"]),
            Self::StaleSummary(_) => Scope::Some(&["DescribeJobs"]),
            Self::IgnoreConditions => {
                Scope::Some(&["PutObject", "CopyObject", "CompleteMultipartUpload"])
            }
            Self::StartTwice
            | Self::SucceedWithoutRunning
            | Self::FailAfterSuccess(_)
            | Self::FailWhileAlive { .. }
            | Self::LoseHost(_)
            | Self::DrainHost { .. }
            | Self::ReclaimFargate(_)
            | Self::Interrupt(_)
            | Self::OutOfMemory(_)
            | Self::LateTimeout(_)
            | Self::FailToStart { .. }
            | Self::WaitForCapacity { .. }
            | Self::ForgetAfter(_) => Scope::Jobs,
        }
    }

    /// How old an answer can get by it.
    pub(super) fn lag(&self) -> Duration {
        match self {
            Self::AsOf(lag) | Self::StaleSummary(lag) => *lag,
            _ => Duration::ZERO,
        }
    }
}

impl Scope {
    pub(super) fn has(self, operation: &str) -> bool {
        match self {
            Self::Calls => operation != START_JOB,
            Self::Some(operations) => operations.contains(&operation),
            Self::Jobs => operation == START_JOB,
            Self::All => true,
        }
    }
}

mod seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        duration: &Duration,
        output: S,
    ) -> Result<S::Ok, S::Error> {
        output.serialize_f64(duration.as_secs_f64())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<Duration, D::Error> {
        let seconds = f64::deserialize(input)?;
        Duration::try_from_secs_f64(seconds).map_err(serde::de::Error::custom)
    }
}
