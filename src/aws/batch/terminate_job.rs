//! TerminateJob.

use model::batch::JobId;

use super::{BatchError, Client};

/// The longest reason (Batch API reference, TerminateJob).
const MAX_REASON: usize = 1_024;

impl Client {
    /// Waits until a job may be terminated: with many jobs, that is a matter of minutes.
    pub async fn may_terminate(&self) {
        self.limits.admit(&self.limits.terminate).await;
    }

    /// Ends a job in whatever state it is; the reason becomes its status reason. Batch answers at
    /// once and ends the job later, so the caller repeats this until the job is terminal, each time
    /// after [`Client::may_terminate`].
    pub async fn terminate_job(&self, id: &JobId, reason: &str) -> Result<(), BatchError> {
        let reason: String = reason.chars().take(MAX_REASON).collect();
        self.single("TerminateJob", &self.limits.terminate, &async || {
            let call = self.sdk.terminate_job().job_id(id.as_str()).reason(&reason);
            call.send().await?;
            Ok(())
        })
        .await
    }
}
