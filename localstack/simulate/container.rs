//! What the bootstrap does around a step: the claim, and the outcome (docs/launch-protocol.md).

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{Failure, spec::Spec};
use crate::{
    Caller, Clock,
    s3::{Put, S3},
};

const VERSION: u32 = 1;
/// SIGTERM
const TERMINATE: i32 = 15;

/// A container that is to be played.
#[derive(Debug)]
pub(crate) struct Container<'a> {
    pub(crate) environment: &'a BTreeMap<String, String>,
    pub(crate) job_id: &'a str,
    /// Of a child of an array.
    pub(crate) index: Option<u32>,
    /// Which start of the job it is.
    pub(crate) task: String,
}

/// A task whose launch was claimed.
#[derive(Debug)]
pub(super) struct Claimed {
    pub(super) spec: Spec,
    pub(super) job: String,
    pub(super) by: Caller,
    nonce: String,
    at: i64,
}

/// Claims the launch.
pub(super) fn claim(
    s3: &S3,
    clock: Clock,
    container: &Container<'_>,
    spec: Spec,
) -> Result<Claimed, Failure> {
    let claimed = Claimed {
        job: container.job_id.to_owned(),
        by: Caller {
            job: Some(container.job_id.to_owned()),
            task: Some(container.task.clone()),
            ..Caller::default()
        },
        nonce: Uuid::new_v4().to_string(),
        at: clock.now_ms(),
        spec,
    };
    let body = json!({"kind": "claimed", "nonce": claimed.nonce, "job": claimed.job});
    let put = claimed.put(s3, &claimed.spec.claim, body.to_string().as_bytes(), true)?;
    if put {
        Ok(claimed)
    } else {
        Err(Failure::Duplicate)
    }
}

impl Claimed {
    /// Writes an object below the datastore's root.
    pub(super) fn put(
        &self,
        s3: &S3,
        key: &str,
        body: &[u8],
        create: bool,
    ) -> Result<bool, Failure> {
        let put = Put {
            bucket: &self.spec.store.bucket,
            key: &self.spec.full_key(key),
            body,
            metadata: None,
            create,
        };
        Ok(s3.write(put, self.by.clone())?)
    }
}

/// The step ended with this code.
pub(super) fn exited(code: i32) -> Value {
    json!({"kind": "exited", "code": code, "stopped": null})
}

/// The container was told to stop.
pub(super) fn terminated() -> Value {
    json!({"kind": "signaled", "signal": TERMINATE, "stopped": "terminated"})
}

/// Writes the outcome, with the digest of the artifact index that the task has left.
pub(super) fn outcome(
    s3: &S3,
    clock: Clock,
    claimed: &Claimed,
    ended: &Value,
    index: Option<&[u8]>,
) -> Result<(), Failure> {
    let outcome = json!({
        "version": VERSION,
        "attempt": claimed.spec.attempt,
        "launch": claimed.spec.launch,
        "nonce": claimed.nonce,
        "job": claimed.job,
        "ended": ended,
        "oom_kills": 0,
        "usage": {
            "peak_memory": 0,
            "cpu_seconds": 0.0,
            "claimed_at": claimed.at,
            "started_at": claimed.at,
            "ended_at": clock.now_ms(),
        },
        "data_json_sha256": index.map(|index| hex::encode(Sha256::digest(index))),
        "logs": {"stdout": 0, "stderr": 0},
    });
    claimed.put(
        s3,
        &claimed.spec.outcome,
        outcome.to_string().as_bytes(),
        false,
    )?;
    Ok(())
}
