//! The plan: one JSON document in which the flow host tells the engine everything about a run.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Attempt, FlowName, Graph, RunId, StepName, TaskId, TaskPath};

/// The version of the plan document that this engine reads.
pub const PLAN_VERSION: u32 = 1;

/// Everything about a run that does not change while it runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// [`PLAN_VERSION`] of the writer.
    pub version: u32,
    /// The flow.
    pub flow: FlowName,
    /// The run.
    pub run: RunId,
    /// The `_parameters` task: the input of the start step.
    pub params: TaskPath,
    /// The static graph.
    pub graph: Graph,
    /// Per step what its decorators decided.
    pub steps: BTreeMap<StepName, StepPlan>,
    /// `--max-workers` and the like.
    pub limits: Limits,
    /// Where artifacts and logs go.
    pub datastore: DatastoreSettings,
    /// Metadata provider type (`local` or `service`).
    pub metadata: String,
    /// Root of the local metadata provider (a `.metaflow` folder), when the type is `local`.
    #[serde(default)]
    pub metadata_root: Option<String>,
    /// How S3 is reached, when the datastore is there.
    #[serde(default)]
    pub s3: S3Settings,
    /// Who has AWS credentials, when it is not the AWS configuration of the environment.
    #[serde(default)]
    pub aws: AwsSettings,
    /// How console lines look.
    pub console: ConsoleSettings,
    /// Whether jobs are terminated, too, when the flow host dies: a program started it for a result, and has died.
    #[serde(default)]
    pub ends_with_host: bool,
    /// How a host for this run is started again, where that is known.
    #[serde(default)]
    pub origin: Option<Origin>,
    /// Whether the run is another launcher's that has died: who that was.
    #[serde(default)]
    pub taken_from: Option<String>,
    /// Ids of the tasks that the metadata service has, of a run that is taken over. Those of the local provider are folders.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tasks_made: Option<BTreeMap<StepName, Vec<TaskId>>>,
}

/// How the host of a run is started again from its code package: `python FILE ARGUMENTS…`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The flow's file, at the top of the package.
    pub file: String,
    /// Upstream's `resume`, which takes the parameters from the run, and the options that the run was begun with.
    pub arguments: Vec<String>,
    /// Where it was started.
    pub cwd: String,
    /// The namespace of its tasks, empty for the global one.
    pub namespace: String,
}

/// Limits of a run given on its command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// `--max-workers`: attempts in flight at once.
    pub max_workers: u32,
    /// `--max-num-splits`: children of one foreach.
    pub max_num_splits: u32,
    /// `--max-log-size`, in bytes per stream of a task.
    pub max_log_size: u64,
}

/// Datastore type and root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatastoreSettings {
    /// The implementation.
    pub kind: DatastoreKind,
    /// A folder, or `s3://bucket/prefix`.
    pub root: String,
}

/// How S3 is reached, beyond what the AWS configuration of the environment says.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct S3Settings {
    /// `METAFLOW_S3_ENDPOINT_URL`.
    pub endpoint: Option<String>,
    /// `METAFLOW_S3_SERVER_SIDE_ENCRYPTION`.
    pub server_side_encryption: Option<String>,
    /// `METAFLOW_S3_VERIFY_CERTIFICATE` as a path: certificates to trust.
    pub ca_bundle: Option<String>,
}

/// What a client provider of an extension, or the Metaflow sandbox, decides about AWS.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct AwsSettings {
    /// Who finds credentials.
    pub credentials: CredentialsOwner,
    /// Region of AWS Batch, where the provider's client has one of its own.
    pub region: Option<String>,
    /// Whether this is the sandbox, which does not allow to look queues up.
    pub sandbox: bool,
}

/// Who finds AWS credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CredentialsOwner {
    /// The engine, in botocore's order; the flow host only for what the engine cannot do.
    #[default]
    Engine,
    /// The flow host, always.
    Host,
}

/// The datastores that Ferroflow writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DatastoreKind {
    /// Local disk.
    Local,
    /// Amazon S3 or a server that speaks its API.
    S3,
}

/// How console lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsoleSettings {
    /// Whether to colour lines, as click decides it for the host's standard output.
    pub color: bool,
    /// Whether the user wants no more than lines of the run (`--quiet`).
    #[serde(default)]
    pub quiet: bool,
}

/// What the decorators of one step decided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepPlan {
    /// How often an attempt may follow a failed one.
    pub retry: Retry,
    /// Whether upstream's own `@batch` is on the step.
    #[serde(default)]
    pub batch: bool,
    /// Whether `@timeout` is on the step.
    #[serde(default)]
    pub timeout: bool,
}

impl StepPlan {
    /// Whether this attempt belongs on AWS Batch. Attempts after the last one that runs user
    /// code only run the fallback of `@catch`, and upstream runs those locally
    /// (metaflow/plugins/aws/batch/batch_decorator.py, `runtime_step_cli`).
    pub fn runs_on_batch(&self, attempt: Attempt, max_user_code_retries: u32) -> bool {
        self.batch && attempt.0 <= max_user_code_retries
    }
}

/// Retry counts of a step: maxima over `step_task_retry_count` of its decorators
/// (metaflow/runtime.py, `Task.__init__`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Retry {
    /// Attempts after the first that run user code (`@retry`).
    pub user: u32,
    /// Attempts after those that run the fallback of `@catch`.
    pub error: u32,
    /// `minutes_between_retries` of `@retry`; Metaflow honours it on Batch only.
    #[serde(default)]
    pub minutes_between: u32,
}
