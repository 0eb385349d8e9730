//! What passes between launcher and bootstrap: the spec of a task, its claim and its outcome.
//!
//! The launcher writes specs into a launch record (see [`crate::layout::launch_record`]); the
//! container override only points at the bytes of one spec and tells their SHA-256.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Attempt, FlowName, TaskPath, lease::LeaseTerms};

/// The version of the spec, claim and outcome documents written here.
pub const SPEC_VERSION: u32 = 1;

/// Environment variables of the container override that point at the spec. Together with what
/// else Ferroflow adds to an override they stay below 2 KB whatever the flow.
pub mod variable {
    /// `s3://bucket/key` of the launch record.
    pub const SPEC: &str = "FERROFLOW_SPEC";
    /// `offset+length` in bytes: where in the record the spec is.
    pub const RANGE: &str = "FERROFLOW_SPEC_RANGE";
    /// SHA-256 of the spec's bytes, in hexadecimal.
    pub const SHA256: &str = "FERROFLOW_SPEC_SHA256";
    /// Of an array job, whose first spec the others point at: see [`crate::array_spec::ArrayTable`].
    pub const ARRAY: &str = "FERROFLOW_SPEC_ARRAY";
}

/// Everything a container needs to know to run one attempt of one task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskSpec {
    /// [`SPEC_VERSION`] of the writer.
    pub version: u32,
    /// The flow.
    pub flow: FlowName,
    /// The task.
    pub task: TaskPath,
    /// The attempt.
    pub attempt: Attempt,
    /// The launcher's count of its decisions to submit this attempt.
    pub launch: u32,
    /// Where the datastore is.
    pub store: StoreAddress,
    /// Key of the claim, relative to the datastore's root.
    pub claim: String,
    /// Key of the outcome, relative to the datastore's root.
    pub outcome: String,
    /// The code package.
    pub package: PackageRef,
    /// Bytecode of what is in the package, in an archive of its own, with which the step starts sooner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytecode: Option<PackageRef>,
    /// Shell commands that come before the step (`environment.bootstrap_commands`), each of
    /// which must succeed.
    pub prepare: Vec<String>,
    /// The step's command line. Run by bash when [`TaskSpec::shell`] says so, because upstream
    /// allows an `executable` such as `$MF_ARCH/env/bin/python`; else started as it stands.
    pub command: Vec<String>,
    /// Whether `command` is joined with blanks and given to bash, unquoted as upstream does.
    pub shell: bool,
    /// Variables to set for the task. The container's own variables of the same name win only
    /// where the override set them.
    pub environment: BTreeMap<String, String>,
    /// Files to write where the step runs, by relative path.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, String>,
    /// Whether boto3 and requests are installed when the image lacks them
    /// (`METAFLOW_SKIP_INSTALL_DEPENDENCIES` unset).
    pub install: bool,
    /// Seconds after which the step is stopped; measured from the claim.
    pub time_limit: u64,
    /// The lease of the run, unless it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<LeaseTerms>,
    /// Whether the container tells the metadata service what the task used.
    #[serde(default)]
    pub registers_usage: bool,
}

/// Address of an S3 datastore.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreAddress {
    /// The bucket.
    pub bucket: String,
    /// Prefix of all keys, without slashes at its ends; may be empty.
    pub prefix: String,
    /// `METAFLOW_S3_ENDPOINT_URL`, when the launcher has one. The container's own
    /// `AWS_ENDPOINT_URL_S3` and `AWS_ENDPOINT_URL` come after it.
    pub endpoint: Option<String>,
    /// Region of the bucket.
    pub region: String,
    /// `METAFLOW_S3_SERVER_SIDE_ENCRYPTION`: value of `x-amz-server-side-encryption` on writes.
    pub server_side_encryption: Option<String>,
}

/// A code package.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PackageRef {
    /// `s3://bucket/key`.
    pub url: String,
    /// SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
    /// Its size in bytes.
    pub size: u64,
}

/// Body of a claim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Claim {
    /// A container runs this launch.
    Claimed {
        /// Drawn by the container: it recognises its own claim by it.
        nonce: String,
        /// `AWS_BATCH_JOB_ID` of the container.
        job: String,
    },
    /// No container of this launch may start any more.
    Revoked {
        /// Drawn by the launcher.
        nonce: String,
    },
}

/// What a container says at its end; its last write.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskOutcome {
    /// [`SPEC_VERSION`] of the writer.
    pub version: u32,
    /// The attempt.
    pub attempt: Attempt,
    /// The launch.
    pub launch: u32,
    /// The nonce of the claim.
    pub nonce: String,
    /// `AWS_BATCH_JOB_ID`.
    pub job: String,
    /// How it ended.
    pub ended: Ended,
    /// Processes of this container that the kernel killed for want of memory.
    pub oom_kills: u64,
    /// What the task used.
    pub usage: Usage,
    /// SHA-256 of `<attempt>.data.json` at the end, if there was one.
    pub data_json_sha256: Option<String>,
    /// How long the task's own logs are in the datastore; none when that is not certain.
    #[serde(default)]
    pub logs: Option<LogSizes>,
}

/// Bytes of the two logs of a task. An empty one need not be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogSizes {
    /// Of `task_stdout.log`.
    pub stdout: u64,
    /// Of `task_stderr.log`.
    pub stderr: u64,
}

/// How a task ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Ended {
    /// User code was never started.
    NotStarted {
        /// What failed, in one sentence that names thing, cause and fix.
        message: String,
        /// Whether the same launch may well succeed a little later.
        #[serde(default)]
        passing: bool,
        /// What the datastore said against its start, where nothing failed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stopped: Option<Stopped>,
    },
    /// The step ended with an exit code.
    Exited {
        /// The code.
        code: i32,
        /// Why the bootstrap had asked it to stop, if it had.
        stopped: Option<Stopped>,
    },
    /// A signal ended the step.
    Signaled {
        /// Its number.
        signal: i32,
        /// Why the bootstrap had asked it to stop, if it had.
        stopped: Option<Stopped>,
    },
}

/// Why the bootstrap asked a step to stop, or did not start it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stopped {
    /// The container got SIGTERM: Batch terminates the job, or its host goes away.
    Terminated,
    /// The time limit of the spec was reached.
    TimeLimit,
    /// The launcher was not heard of for too long ([`crate::lease`]).
    LauncherLost,
    /// The run was given up, or is over ([`crate::lease`]).
    Cancelled,
}

/// What a task used.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Usage {
    /// Highest memory use in bytes: of the container as the kernel counts it, or, where its cgroup is not to be seen, of
    /// the step's largest process. 0 where neither is known.
    pub peak_memory: u64,
    /// The container's own limit in bytes; 0 where there is none to be seen.
    #[serde(default)]
    pub memory_limit: u64,
    /// CPU seconds, user and system, of the container since the claim, or of the step and its children.
    pub cpu_seconds: f64,
    /// Of the GPUs that the container sees, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu: Option<GpuUsage>,
    /// Milliseconds since the epoch when the claim was made.
    pub claimed_at: i64,
    /// Milliseconds since the epoch when the step was started; 0 if it never was.
    pub started_at: i64,
    /// Milliseconds since the epoch when the step ended; 0 if it never started.
    pub ended_at: i64,
}

/// What was seen of GPU memory, now and then: `nvidia-smi --query-gpu`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct GpuUsage {
    /// Most memory in use at one time, of all GPUs together, in bytes.
    pub peak_memory: u64,
    /// What all GPUs have, in bytes.
    pub memory: u64,
}
