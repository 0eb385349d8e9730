//! The variables of the step (contract with upstream: metaflow/plugins/aws/batch/batch.py,
//! metaflow/mflog/__init__.py `export_mflog_env_vars`, and batch_decorator.py `task_pre_step`).

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
};

use model::spec::{TaskSpec, variable};

use crate::{environment::Environment, stub, work_dir::WorkDir};

/// Variables that upstream's decorator takes for granted on AWS Batch; without one of them the
/// step fails before user code.
const TAKEN_FOR_GRANTED: [(&str, &str); 4] = [
    ("AWS_BATCH_JOB_ATTEMPT", "1"),
    ("AWS_BATCH_CE_NAME", "unknown"),
    ("AWS_BATCH_JQ_NAME", "unknown"),
    ("AWS_EXECUTION_ENV", "unknown"),
];

/// Variables that are the bootstrap's and would only mislead the step.
const OWN: [&str; 6] = [
    variable::SPEC,
    variable::RANGE,
    variable::SHA256,
    stub::variable::STUB,
    stub::variable::URL,
    stub::variable::SHA256,
];

/// The variables of a step: the container's, the spec's over them, and over both what upstream
/// exports in its own command.
pub(crate) fn task_environment(
    container: &Environment,
    spec: &TaskSpec,
    folders: &WorkDir,
) -> BTreeMap<OsString, OsString> {
    let mut variables = container.variables.clone();
    for name in OWN {
        variables.remove(OsStr::new(name));
    }
    variables.extend(
        spec.environment
            .iter()
            .map(|(name, value)| (name.into(), value.into())),
    );
    if variables.contains_key(OsStr::new("AWS_BATCH_JOB_ID")) {
        for (name, value) in TAKEN_FOR_GRANTED {
            variables.entry(name.into()).or_insert_with(|| value.into());
        }
    }
    // The extension of Metaflow that comes with the code heeds it; whoever wants the sidecar says `on`.
    variables
        .entry("FERROFLOW_LOG_SIDECAR".into())
        .or_insert_with(|| "off".into());
    let TaskSpec {
        flow,
        task,
        attempt,
        ..
    } = spec;
    let mut set = |name: &str, value: OsString| variables.insert(name.into(), value);
    set("PYTHONUNBUFFERED", "x".into());
    set("MF_PATHSPEC", format!("{flow}/{task}").into());
    set("MF_DATASTORE", "s3".into());
    set("MF_ATTEMPT", attempt.to_string().into());
    // Upstream's sidecar uploads what it finds there: nothing, since the bootstrap does it.
    set("MFLOG_STDOUT", folders.private("mflog_stdout").into());
    set("MFLOG_STDERR", folders.private("mflog_stderr").into());
    set("METAFLOW_EXTRACTED_ROOT", folders.root().into());
    set("PWD", folders.root().into());
    let mut path = folders.root().join(".mf_code").into_os_string();
    path.push(":");
    path.push(
        variables
            .get(OsStr::new("PYTHONPATH"))
            .cloned()
            .unwrap_or_default(),
    );
    variables.insert("PYTHONPATH".into(), path);
    variables
}
