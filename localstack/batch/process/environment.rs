//! The environment of a job: what an image and AWS would give it, and nothing of the stack's own.

use std::{
    collections::BTreeMap,
    env, io,
    path::{Path, PathBuf},
};

use super::{
    super::{resource::Platform, run::Order},
    Interpreters,
};
use crate::Context;

/// Names the interpreter that a job is to find first on its PATH.
const INTERPRETER: &str = "FERROFLOW_DEV_PYTHON";
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const LOOPBACK: &str = "127.0.0.1,localhost";

/// Where a job may write.
#[derive(Debug, Clone)]
pub(super) struct Folders {
    pub(super) work: PathBuf,
    pub(super) home: PathBuf,
    pub(super) temporary: PathBuf,
}

/// Half of the processors, at least one and at most four.
fn s3_workers() -> usize {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    (processors / 2).clamp(1, 4)
}

/// All variables of a job.
pub(super) fn environment(
    context: &Context,
    interpreters: &Interpreters,
    order: &Order,
    credentials: &[(String, String)],
    folders: &Folders,
) -> io::Result<BTreeMap<String, String>> {
    let mut all = BTreeMap::new();
    let mut set = |name: &str, value: &str| all.insert(name.to_owned(), value.to_owned());
    set("PATH", PATH);
    set("HOME", &folders.home.to_string_lossy());
    set("TMPDIR", &folders.temporary.to_string_lossy());
    // As in the official images of Python.
    set("LANG", "C.UTF-8");
    set("AWS_ENDPOINT_URL", &context.endpoint);
    set("AWS_EC2_METADATA_DISABLED", "true");
    // Metaflow starts up to 64 processes for a handful of small objects, which a host of AWS may
    // have room for; here all jobs share one machine.
    set("METAFLOW_S3_WORKER_COUNT", &s3_workers().to_string());
    all.extend(order.environment.clone());
    let mut set = |name: &str, value: &str| all.insert(name.to_owned(), value.to_owned());
    set("PWD", &folders.work.to_string_lossy());
    set("AWS_BATCH_JOB_ID", &order.job_id);
    set("AWS_BATCH_JOB_ATTEMPT", &order.attempt.to_string());
    set("AWS_BATCH_CE_NAME", &order.compute_environment);
    set("AWS_BATCH_JQ_NAME", &order.queue);
    if let Some(index) = order.key.index {
        set("AWS_BATCH_JOB_ARRAY_INDEX", &index.to_string());
    }
    match order.platform {
        Platform::Ec2 => {
            set("AWS_EXECUTION_ENV", "AWS_ECS_EC2");
        }
        Platform::Fargate => {
            set("AWS_EXECUTION_ENV", "AWS_ECS_FARGATE");
            set("AWS_REGION", &context.region);
            set("AWS_DEFAULT_REGION", &context.region);
        }
    }
    all.extend(credentials.iter().cloned());
    for name in ["NO_PROXY", "no_proxy"] {
        let value = match all.get(name) {
            Some(own) if !own.is_empty() => format!("{own},{LOOPBACK}"),
            _ => LOOPBACK.to_owned(),
        };
        all.insert(name.to_owned(), value);
    }
    let interpreter = all
        .get(INTERPRETER)
        .filter(|path| !path.is_empty())
        .map(Path::new);
    let first = interpreters.path_of(interpreter.or(context.python.as_deref()))?;
    let own = all.get("PATH").map(String::as_str).unwrap_or_default();
    let path = env::join_paths(first.into_iter().chain(env::split_paths(own)))
        .map_err(io::Error::other)?;
    all.insert("PATH".to_owned(), path.to_string_lossy().into_owned());
    Ok(all)
}
