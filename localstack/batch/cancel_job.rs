//! CancelJob and CancelJobs.

use super::{job::StopKind, request::Request, service::Shared};
use crate::Reply;

impl Shared {
    /// Ends a job that has not been placed; others go on.
    pub(super) fn cancel_job(&self, request: &Request) -> Reply {
        self.stop_job(request, StopKind::Cancel)
    }

    /// The same for several jobs.
    pub(super) fn cancel_jobs(&self, request: &Request) -> Reply {
        self.stop_jobs(request, StopKind::Cancel)
    }
}
