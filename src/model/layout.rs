//! Keys of Metaflow's datastore, relative to its root (metaflow/datastore/task_datastore.py,
//! content_addressed_store.py). The only file that builds them.

use crate::{Attempt, FlowName, RunId, TaskPath, Timestamp};

/// Which process minted the timestamps of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogSource {
    /// The launcher.
    Runtime,
    /// The task itself, inside its container.
    Task,
}

impl LogSource {
    /// Name as Metaflow spells it, in keys and in log lines.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Runtime => "runtime",
            Self::Task => "task",
        }
    }
}

/// One of the two streams of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Stream {
    /// Name as Metaflow spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// Key of a file that belongs to one attempt: `Flow/run/step/task/attempt.name`.
pub fn attempt_file(flow: &FlowName, task: &TaskPath, attempt: Attempt, name: &str) -> String {
    format!("{flow}/{task}/{attempt}.{name}")
}

/// Key of the file that says that an attempt has begun.
pub fn attempt_json(flow: &FlowName, task: &TaskPath, attempt: Attempt) -> String {
    attempt_file(flow, task, attempt, "attempt.json")
}

/// Key of the artifact index of an attempt.
pub fn data_json(flow: &FlowName, task: &TaskPath, attempt: Attempt) -> String {
    attempt_file(flow, task, attempt, "data.json")
}

/// Key of the marker that an attempt's artifacts are complete. It does not mean success.
pub fn done_lock(flow: &FlowName, task: &TaskPath, attempt: Attempt) -> String {
    attempt_file(flow, task, attempt, "DONE.lock")
}

/// Key of the launcher's record of how the attempt's process ended.
pub fn runtime_json(flow: &FlowName, task: &TaskPath, attempt: Attempt) -> String {
    attempt_file(flow, task, attempt, "runtime")
}

/// Key of one log of an attempt.
pub fn log(
    flow: &FlowName,
    task: &TaskPath,
    attempt: Attempt,
    source: LogSource,
    stream: Stream,
) -> String {
    attempt_file(
        flow,
        task,
        attempt,
        &format!("{}_{}.log", source.as_str(), stream.as_str()),
    )
}

/// Key of a content-addressed blob: `Flow/data/ab/ab…`, by the SHA-1 of its uncompressed bytes.
pub fn blob(flow: &FlowName, sha1_hex: &str) -> String {
    let shard = sha1_hex.get(..2).unwrap_or(sha1_hex);
    format!("{flow}/data/{shard}/{sha1_hex}")
}

/// Folder of what Ferroflow itself keeps, outside what Metaflow lists. It has a folder for each flow.
pub const OWN_FOLDER: &str = ".ferroflow";

/// Folder of what Ferroflow itself keeps about a flow; it has a folder for each run: `.ferroflow/Flow`.
pub fn flow_folder(flow: &FlowName) -> String {
    format!("{OWN_FOLDER}/{flow}")
}

/// Folder of what Ferroflow itself keeps about a run: `.ferroflow/Flow/run`.
pub fn run_folder(flow: &FlowName, run: &RunId) -> String {
    format!("{}/{run}", flow_folder(flow))
}

/// Key of the launcher's record of a run: `.ferroflow/Flow/run/run.json`.
pub fn run_record(flow: &FlowName, run: &RunId) -> String {
    format!("{}/run.json", run_folder(flow, run))
}

/// Folder, with a slash at its end, of the launch chain: `.ferroflow/Flow/run/launch/`.
pub fn launch_folder(flow: &FlowName, run: &RunId) -> String {
    format!("{}/launch/", run_folder(flow, run))
}

/// Key of one record of the launch chain: `.ferroflow/Flow/run/launch/<seq>`.
pub fn launch_record(flow: &FlowName, run: &RunId, seq: u64) -> String {
    format!("{}{seq:08}", launch_folder(flow, run))
}

/// Key of the run's lease: `.ferroflow/Flow/run/lease`.
pub fn lease(flow: &FlowName, run: &RunId) -> String {
    format!("{}/lease", run_folder(flow, run))
}

/// Key of what a launcher that takes the run over must know beside the chain: `.ferroflow/Flow/run/opening`.
pub fn opening(flow: &FlowName, run: &RunId) -> String {
    format!("{}/opening", run_folder(flow, run))
}

/// Folder, with a slash at its end, of the ids of jobs: `…/job/`.
pub fn job_folder(flow: &FlowName, run: &RunId) -> String {
    format!("{}/job/", run_folder(flow, run))
}

/// Key of the id of the job that one submission of a launch record became: `…/job/<seq>/<index>`, by the index of its first
/// member. The id is a convenience: without it the job is found by its claim or its name.
pub fn job_id(flow: &FlowName, run: &RunId, seq: u64, index: u32) -> String {
    format!("{}{seq:08}/{index}", job_folder(flow, run))
}

/// Folder, with a slash at its end, of the claims of a run: `…/claim/`.
pub fn claim_folder(flow: &FlowName, run: &RunId) -> String {
    format!("{}/claim/", run_folder(flow, run))
}

/// Key of the claim of one launch of an attempt: `…/claim/<step>/<task>/<attempt>.<launch>`.
pub fn claim(flow: &FlowName, task: &TaskPath, attempt: Attempt, launch: u32) -> String {
    let TaskPath { run, step, task } = task;
    let folder = claim_folder(flow, run);
    format!("{folder}{step}/{task}/{attempt}.{launch}")
}

/// Folder, with a slash at its end, of all outcomes of a run: `…/outcome/`.
pub fn outcomes_folder(flow: &FlowName, run: &RunId) -> String {
    format!("{}/outcome/", run_folder(flow, run))
}

/// Folder, with a slash at its end, of the outcomes of one launch record.
pub fn outcome_folder(flow: &FlowName, run: &RunId, seq: u64) -> String {
    format!("{}{seq:08}/", outcomes_folder(flow, run))
}

/// Key of the outcome of one member of a launch record: `…/outcome/<seq>/<index>`.
pub fn outcome(flow: &FlowName, run: &RunId, seq: u64, index: u32) -> String {
    format!("{}{index}", outcome_folder(flow, run, seq))
}

/// Folder of the bootstrap binaries.
pub const BOOTSTRAP_FOLDER: &str = ".ferroflow/bootstrap";

/// Key of a bootstrap binary, by the SHA-256 of its bytes.
pub fn bootstrap(sha256_hex: &str) -> String {
    format!("{BOOTSTRAP_FOLDER}/{sha256_hex}")
}

/// Key of the task's metadata that a remote task leaves for a local provider
/// (metaflow/metadata_provider/util.py).
pub fn local_metadata(flow: &FlowName, task: &TaskPath, attempt: Attempt) -> String {
    attempt_file(flow, task, attempt, "local_metadata")
}

/// Folder of a task's metadata with the local provider, below a `.metaflow`
/// (metaflow/plugins/datastores/local_storage.py, `METADATA_DIR`).
pub fn task_metadata(flow: &FlowName, task: &TaskPath) -> String {
    format!("{flow}/{task}/_meta")
}

/// Name of a record in that folder.
pub fn metadatum(field: &str, at: Timestamp) -> String {
    format!("sysmeta_{field}_{}.json", at.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_metaflows() {
        let flow = FlowName::new("F").unwrap();
        let task: TaskPath = "1/start/2".parse().unwrap();
        assert_eq!(
            data_json(&flow, &task, Attempt(0)),
            "F/1/start/2/0.data.json"
        );
        assert_eq!(
            log(&flow, &task, Attempt(1), LogSource::Runtime, Stream::Stderr),
            "F/1/start/2/1.runtime_stderr.log"
        );
        assert_eq!(blob(&flow, "abcd"), "F/data/ab/abcd");
    }
}
