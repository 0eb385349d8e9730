//! TerminateJob and TerminateJobs. What both share with CancelJob is here.

use serde_json::{Value, json};

use super::{
    event::Event,
    job::{Stop, StopKind},
    request::Request,
    service::Shared,
};
use crate::{ApiError, Reply};

/// API reference, TerminateJobs and CancelJobs.
const MAX_JOBS: usize = 50;
const MAX_REASON: usize = 1024;

impl Shared {
    /// Ends a job in whatever state it is.
    pub(super) fn terminate_job(&self, request: &Request) -> Reply {
        self.stop_job(request, StopKind::Terminate)
    }

    /// Ends several jobs.
    pub(super) fn terminate_jobs(&self, request: &Request) -> Reply {
        self.stop_jobs(request, StopKind::Terminate)
    }

    pub(super) fn stop_job(&self, request: &Request, kind: StopKind) -> Reply {
        let reason = checked_reason(request)?;
        self.end(request, request.required("jobId"), kind, reason)?;
        Ok(json!({}))
    }

    pub(super) fn stop_jobs(&self, request: &Request, kind: StopKind) -> Reply {
        let reason = checked_reason(request)?;
        let ids = request.texts("jobs");
        if ids.is_empty() || ids.len() > MAX_JOBS {
            return Err(ApiError::client(format!(
                "jobs must contain between 1 and {MAX_JOBS} ids."
            )));
        }
        let (mut successful, mut errors) = (Vec::new(), Vec::<Value>::new());
        for id in ids {
            match self.end(request, &id, kind, reason) {
                Ok(()) => successful.push(id),
                Err(error) => {
                    errors.push(json!({"job": id, "code": error.code, "message": error.message}));
                }
            }
        }
        Ok(json!({"successful": successful, "errors": errors}))
    }

    /// A job that is not known, or is over, is no error.
    fn end(
        &self,
        request: &Request,
        id: &str,
        kind: StopKind,
        reason: &str,
    ) -> Result<(), ApiError> {
        let mut core = self.core();
        let Some(key) = core.state.key(id) else {
            return Ok(());
        };
        if core
            .state
            .job(key)
            .is_some_and(|job| job.status().is_terminal())
        {
            return Ok(());
        }
        let stop = Stop {
            kind,
            reason: reason.to_owned(),
        };
        let submission = core.state.submission(key.submission);
        let name = submission.map(|submission| submission.spec.name.clone());
        let what = match kind {
            StopKind::Cancel => "job.cancelled",
            StopKind::Terminate => "job.terminated",
        };
        let detail = json!({"jobId": id, "jobName": name, "reason": reason, "by": request.by});
        // Before what follows from it.
        self.record(what, detail);
        self.apply(&mut core, Event::Stopped { key, stop })?;
        Ok(())
    }
}

fn checked_reason(request: &Request) -> Result<&str, ApiError> {
    let reason = request.required("reason");
    if reason.is_empty() || reason.chars().count() > MAX_REASON {
        return Err(ApiError::client(format!(
            "reason must have between 1 and {MAX_REASON} characters."
        )));
    }
    Ok(reason)
}
