//! DeleteJobQueue.

use serde_json::json;

use super::{event::Event, request::Request, service::Shared};
use crate::{ApiError, Reply};

impl Shared {
    /// Ends the jobs of a DISABLED queue and forgets the queue. One that is not there is no error.
    pub(super) fn delete_job_queue(&self, request: &Request) -> Reply {
        let mut core = self.core();
        let Some(queue) = self.queue(&core.state, request.required("jobQueue")) else {
            return Ok(json!({}));
        };
        if queue.enabled {
            return Err(ApiError::client(
                "Cannot delete, job queue state is not DISABLED",
            ));
        }
        let name = queue.name.clone();
        self.apply(&mut core, Event::JobQueueDeleted(name))?;
        Ok(json!({}))
    }
}
