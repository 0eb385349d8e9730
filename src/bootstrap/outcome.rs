//! What the launcher is told about a task that has ended.

use std::os::unix::process::ExitStatusExt;

use model::{
    layout,
    spec::{Ended, LogSizes, SPEC_VERSION, TaskOutcome, TaskSpec, Usage},
};
use sha2::{Digest, Sha256};

use crate::{
    claim::Claimed,
    failure::{Failure, sentence},
    process::Ending,
    s3::Patience,
    store::Store,
    usage::Meter,
};

/// When what happened, in milliseconds since the epoch; 0 for what did not.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    /// The claim.
    pub(crate) claim: i64,
    /// The step's start.
    pub(crate) start: i64,
    /// The step's end.
    pub(crate) end: i64,
}

/// The outcome of a task, with the digest of the artifact index that is in the store.
pub(crate) fn outcome(
    spec: &TaskSpec,
    store: &Store,
    claimed: &Claimed,
    ending: Result<Ending, &Failure>,
    times: &Times,
    meter: &Meter,
    logs: Option<LogSizes>,
) -> TaskOutcome {
    let used = meter.used();
    let key = layout::data_json(&spec.flow, &spec.task, spec.attempt);
    let data_json = match ending {
        // An index that cannot be read is no reason to lose the exit code.
        Ok(_) => store.get(&key, Patience::UntilLastCall).ok().flatten(),
        Err(_) => None,
    };
    TaskOutcome {
        version: SPEC_VERSION,
        attempt: spec.attempt,
        launch: spec.launch,
        nonce: claimed.nonce.clone(),
        job: claimed.job.clone(),
        ended: match ending {
            Ok(ending) => ended(ending),
            Err(failure) => Ended::NotStarted {
                message: sentence(failure),
                passing: failure.is_passing(),
                stopped: failure.stopped(),
            },
        },
        oom_kills: used.oom_kills,
        usage: Usage {
            peak_memory: used.peak_memory,
            memory_limit: used.memory_limit,
            cpu_seconds: used.cpu_seconds,
            gpu: used.gpu,
            claimed_at: times.claim,
            started_at: times.start,
            ended_at: times.end,
        },
        data_json_sha256: data_json.map(|bytes| hex::encode(Sha256::digest(bytes))),
        logs,
    }
}

fn ended(ending: Ending) -> Ended {
    let stopped = ending.stopped;
    match ending.status.signal() {
        Some(signal) => Ended::Signaled { signal, stopped },
        None => Ended::Exited {
            code: ending.exit_code(),
            stopped,
        },
    }
}
