//! TerminateJob.

use model::batch::JobId;

use super::{BatchError, Client};

/// The longest reason (Batch API reference, TerminateJob).
const MAX_REASON: usize = 1_024;

impl Client {
    /// Ends a job in whatever state it is; the reason becomes its status reason. Batch answers at
    /// once and ends the job later, so the caller repeats this until the job is terminal.
    pub async fn terminate_job(&self, id: &JobId, reason: &str) -> Result<(), BatchError> {
        let reason: String = reason.chars().take(MAX_REASON).collect();
        self.repeatable("TerminateJob", &self.limits.terminate, async || {
            let call = self.sdk.terminate_job().job_id(id.as_str()).reason(&reason);
            call.send().await?;
            Ok(())
        })
        .await
    }
}
