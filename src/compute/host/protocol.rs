//! Messages between flow host and engine. The Python side is python/ferroflow/host.py;
//! docs/host-protocol.md says what each means.

use std::{collections::BTreeMap, fmt};

use model::{Attempt, Plan, StepName, TaskId, TaskKey, TaskPath, spec::PackageRef};
use serde::{Deserialize, Serialize};

use super::siblings::{BatchTask, PrepareSiblings, PreparedSiblings};

/// Version of the protocol spoken here.
pub const PROTOCOL_VERSION: u32 = 5;

/// A message is at most this long, in bytes.
pub const MAX_MESSAGE: usize = 64 << 20;

/// What the host says.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FromHost {
    /// First message: who is there.
    Hello(Hello),
    /// Second message: the run.
    Plan {
        /// The plan document.
        plan: Box<Plan>,
    },
    /// Answer to [`ToHost::Prepare`].
    Prepared(Box<Prepared>),
    /// Answer to [`ToHost::PrepareSiblings`].
    PreparedSiblings(Box<PreparedSiblings>),
    /// Answer to [`ToHost::Credentials`].
    Credentials(Box<HostCredentials>),
    /// A hook or the metadata provider raised.
    Refused {
        /// Number of the question.
        id: u64,
        /// One line.
        error: String,
        /// Python's traceback.
        #[serde(default)]
        traceback: String,
        /// It has found that the run is another launcher's now.
        #[serde(default)]
        taken_over: bool,
        /// The disk is full, and nothing is left of what was begun: the question may be asked again.
        #[serde(default)]
        full: bool,
    },
    /// The host got a signal.
    Signal {
        /// Its number.
        signo: i32,
    },
}

/// Who the host is.
#[derive(Debug, Clone, Deserialize)]
pub struct Hello {
    /// Version of the protocol that the host speaks.
    pub protocol: u32,
    /// Version of metaflow.
    pub metaflow: String,
    /// Version of Python.
    pub python: String,
    /// Process id of the host.
    pub pid: u32,
}

/// AWS credentials, as upstream's client of a service has them.
#[derive(Clone, Deserialize)]
pub struct HostCredentials {
    /// Number of the question.
    pub id: u64,
    /// Access key id.
    pub access_key_id: String,
    /// Secret access key.
    pub secret_access_key: String,
    /// Session token of temporary credentials.
    pub session_token: Option<String>,
    /// When they cease to be valid, in seconds since 1970, where that is known.
    pub expires_at: Option<f64>,
}

impl fmt::Debug for HostCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostCredentials").finish_non_exhaustive()
    }
}

/// The command line of one attempt, after all launcher-side hooks.
#[derive(Debug, Clone, Deserialize)]
pub struct Prepared {
    /// Number of the question.
    pub id: u64,
    /// The id that the metadata provider gave to the task.
    pub task_id: TaskId,
    /// Program and arguments.
    pub argv: Vec<String>,
    /// What differs from the engine's own environment.
    pub env: EnvironmentChange,
    /// Working directory.
    pub cwd: String,
    /// Where the attempt belongs.
    pub place: PreparedPlace,
    /// What has to be in the datastore before the attempt starts.
    #[serde(default)]
    pub writes: Vec<DatastoreWrite>,
}

/// An object that upstream's launcher would have written.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct DatastoreWrite {
    /// Below the datastore's root.
    pub key: String,
    /// Its content.
    pub body: String,
}

/// A difference between two environments.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct EnvironmentChange {
    /// Variables to set.
    #[serde(default)]
    pub set: BTreeMap<String, String>,
    /// Variables to remove.
    #[serde(default)]
    pub unset: Vec<String>,
}

/// Where upstream's hooks sent an attempt.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum PreparedPlace {
    /// Upstream's plain `step` command.
    Local {
        /// Why a fork of an interpreter that has imported the flow will not do for a fresh one.
        #[serde(default)]
        fresh: Option<String>,
    },
    /// A decorator changed the command into something that we do not know: it runs as it
    /// stands, on this machine, as upstream would run it.
    Foreign,
    /// Upstream's own `batch step`.
    Batch(BatchTask),
}

/// Upstream's `batch step`, taken apart: what its command line would ask of Batch, and what the
/// container is to run (metaflow/plugins/aws/batch/batch_cli.py, `step`, and batch.py).
#[derive(Debug, Clone, Deserialize)]
pub struct BatchCommand {
    /// Options of `batch step` by their names there (`image`, `cpu`, `run-time-limit`, …), after
    /// the decorator's defaults and resource rules.
    pub command_options: serde_json::Map<String, serde_json::Value>,
    /// The code package.
    pub code: CodePackage,
    /// What the container runs.
    pub container: Container,
    /// Job parameters (`metaflow.user`, `metaflow.flow_name`, …), which `batch list` reads.
    pub parameters: BTreeMap<String, String>,
    /// Job tags; empty without METAFLOW_BATCH_EMIT_TAGS.
    pub tags: BTreeMap<String, String>,
}

/// The code package of a run, as uploaded.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct CodePackage {
    /// Its archive.
    #[serde(flatten)]
    pub package: PackageRef,
    /// Bytecode of what is in it, where there is some.
    #[serde(default)]
    pub bytecode: Option<PackageRef>,
}

/// What a container runs.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Container {
    /// The step's command line.
    pub command: Vec<String>,
    /// Whether it goes through bash ([`model::spec::TaskSpec::shell`]).
    pub shell: bool,
    /// `environment.bootstrap_commands`.
    pub prepare: Vec<String>,
    /// Variables that upstream sets for every task of the run.
    pub environment: BTreeMap<String, String>,
    /// Variables of `@environment`, which stay in the override.
    pub user_environment: BTreeMap<String, String>,
    /// Whether boto3 and requests may be installed.
    pub install: bool,
    /// Files to write where the step runs, by relative path.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
}

/// What the engine says.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ToHost<'a> {
    /// Create the task or its next attempt and say how to run it.
    Prepare(Prepare<'a>),
    /// Create tasks of one foreach and say how to run them.
    PrepareSiblings(PrepareSiblings<'a>),
    /// Say what AWS credentials upstream's client of a service has.
    Credentials {
        /// Number of the question.
        id: u64,
        /// `s3` or `batch`.
        service: &'a str,
    },
    /// The task has ended for good.
    Release {
        /// The task.
        task: TaskKey,
    },
    /// The run is over.
    Finish {
        /// How it ended.
        outcome: &'a FinishOutcome,
    },
}

/// The question about one attempt.
#[derive(Debug, Serialize)]
pub struct Prepare<'a> {
    /// Number of the question.
    pub id: u64,
    /// The task.
    pub task: TaskKey,
    /// Its step.
    pub step: &'a StepName,
    /// The attempt.
    pub attempt: Attempt,
    /// Index among the siblings of a foreach.
    pub split_index: Option<u64>,
    /// User retries plus what infrastructure took so far.
    pub max_user_code_retries: u32,
    /// Inputs.
    pub input_paths: &'a [TaskPath],
    /// The id that the task has already, if it has one: the host may be another one than that which made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task_id: Option<&'a TaskId>,
}

/// How a run ended, in the words of docs/host-protocol.md.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum FinishOutcome {
    /// The end step succeeded.
    Done,
    /// A task ran out of attempts.
    TaskFailed {
        /// The task.
        task: TaskKey,
        /// Its step.
        step: StepName,
        /// Its id.
        task_id: Option<TaskId>,
        /// Upstream's sentence after "failed"; often empty.
        message: String,
    },
    /// Metaflow's internal error.
    InternalError {
        /// Its text.
        message: String,
    },
    /// Nothing is left to run, and the end step has not succeeded.
    EndNotReached,
    /// The host raised while preparing.
    HostError {
        /// Number of the refused question.
        id: u64,
    },
    /// A signal ended the run.
    Interrupted {
        /// Its number.
        signo: i32,
    },
}
