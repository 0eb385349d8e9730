//! The claim: of all containers of a launch, one runs it.

use model::spec::{Claim, TaskSpec};
use uuid::Uuid;

use crate::{environment::Environment, s3::Patience, s3_error::S3Error, store::Store};

/// The launch is not this container's.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClaimError {
    /// Another container has it, or the launcher has revoked it.
    #[error("{0}")]
    Taken(&'static str),
    /// The claim could not be written.
    #[error("failed to claim the task")]
    Store(#[from] S3Error),
    /// The claim could not be put into JSON.
    #[error("failed to write the claim down")]
    Json(#[from] serde_json::Error),
}

/// A launch that is this container's.
#[derive(Debug)]
pub(crate) struct Claimed {
    /// Drawn here.
    pub(crate) nonce: String,
    /// `AWS_BATCH_JOB_ID`.
    pub(crate) job: String,
}

/// Claims the launch of a spec. The object is created once and for all; a reply that was lost
/// shows on the next try as a refusal, and then the nonce tells whose claim it is.
pub(crate) fn claim(
    environment: &Environment,
    store: &Store,
    spec: &TaskSpec,
) -> Result<Claimed, ClaimError> {
    let claimed = Claimed {
        nonce: Uuid::new_v4().to_string(),
        job: environment
            .text("AWS_BATCH_JOB_ID")
            .unwrap_or_default()
            .to_owned(),
    };
    let body = serde_json::to_vec(&Claim::Claimed {
        nonce: claimed.nonce.clone(),
        job: claimed.job.clone(),
    })?;
    if store.create(&spec.claim, &body, Patience::UntilSignal)? {
        return Ok(claimed);
    }
    let found = store.get(&spec.claim, Patience::UntilSignal)?;
    match found.and_then(|bytes| serde_json::from_slice(&bytes).ok()) {
        Some(Claim::Claimed { nonce, .. }) if nonce == claimed.nonce => Ok(claimed),
        Some(Claim::Revoked { .. }) => {
            Err(ClaimError::Taken("the launcher has revoked this launch"))
        }
        _ => Err(ClaimError::Taken("another container runs this launch")),
    }
}
