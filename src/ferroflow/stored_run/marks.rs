//! What is left of a job beside the launch chain: the id that its launcher noted, and the claims of its containers.

use anyhow::{Context, Result};
use aws::s3::S3Store;
use datastore::{ObjectStore, PutMode, PutOptions, PutOutcome};
use model::{batch::JobId, spec::Claim};
use uuid::Uuid;

/// The id that was noted under this key; of an array that of the parent.
pub(crate) async fn noted_job(store: &S3Store, key: &str) -> Result<Option<JobId>> {
    let Some(object) = store.get(key).await? else {
        return Ok(None);
    };
    let id = std::str::from_utf8(&object.body);
    let id = id.with_context(|| format!("`{key}` is not the id of a job"))?;
    Ok(Some(JobId::new(id)))
}

/// The claim under this key.
pub(crate) async fn claim(store: &S3Store, key: &str) -> Result<Option<Claim>> {
    let Some(object) = store.get(key).await? else {
        return Ok(None);
    };
    serde_json::from_slice(&object.body)
        .map(Some)
        .with_context(|| format!("the claim `{key}` is not what a bootstrap writes"))
}

/// Takes the place of the claim, if it is free: from now on no container starts user code of that launch.
pub(crate) async fn revoke(store: &S3Store, key: &str) -> Result<PutOutcome> {
    let revoked = Claim::Revoked {
        nonce: Uuid::new_v4().to_string(),
    };
    let options = PutOptions {
        mode: PutMode::CreateOnly,
        user_metadata: None,
    };
    let body = serde_json::to_vec(&revoked)?;
    Ok(store.put(key, body.into(), options).await?)
}
