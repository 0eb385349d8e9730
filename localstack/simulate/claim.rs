//! What Ferroflow's bootstrap does around a step: the claim, and the outcome (docs/launch-protocol.md).

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{Failure, container::Playing, spec::Launch};
use crate::{Clock, s3::S3};

const VERSION: u32 = 1;
/// SIGTERM
const TERMINATE: i32 = 15;

/// A launch that was claimed.
#[derive(Debug)]
pub(super) struct Claim {
    launch: Launch,
    nonce: String,
    at: i64,
}

impl Claim {
    /// Claims the launch.
    pub(super) fn make(
        s3: &S3,
        clock: Clock,
        playing: &Playing,
        launch: Launch,
    ) -> Result<Self, Failure> {
        let this = Self {
            nonce: Uuid::new_v4().to_string(),
            at: clock.now_ms(),
            launch,
        };
        let body = json!({"kind": "claimed", "nonce": this.nonce, "job": playing.job});
        let put = playing.put(s3, &this.launch.claim, body.to_string().as_bytes(), true)?;
        if put {
            Ok(this)
        } else {
            Err(Failure::Duplicate)
        }
    }

    /// Writes the outcome, with the digest of the artifact index that the task has left.
    pub(super) fn outcome(
        &self,
        s3: &S3,
        clock: Clock,
        playing: &Playing,
        ended: &Value,
        index: Option<&[u8]>,
    ) -> Result<(), Failure> {
        let outcome = json!({
            "version": VERSION,
            "attempt": playing.task.attempt,
            "launch": self.launch.number,
            "nonce": self.nonce,
            "job": playing.job,
            "ended": ended,
            "oom_kills": 0,
            "usage": {
                "peak_memory": 0,
                "cpu_seconds": 0.0,
                "claimed_at": self.at,
                "started_at": self.at,
                "ended_at": clock.now_ms(),
            },
            "data_json_sha256": index.map(|index| hex::encode(Sha256::digest(index))),
            "logs": {"stdout": 0, "stderr": 0},
        });
        let body = outcome.to_string();
        playing.put(s3, &self.launch.outcome, body.as_bytes(), false)?;
        Ok(())
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
