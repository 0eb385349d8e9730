//! DeleteComputeEnvironment.

use serde_json::json;

use super::{event::Event, request::Request, service::Shared};
use crate::{ApiError, Reply};

impl Shared {
    /// Forgets an environment that is DISABLED and that no queue has. One that is not there is no error.
    pub(super) fn delete_compute_environment(&self, request: &Request) -> Reply {
        let asked = request.required("computeEnvironment");
        let mut core = self.core();
        let state = &core.state;
        let known = self
            .plain("compute-environment", asked)
            .and_then(|name| state.environments.get(name));
        let Some(environment) = known else {
            return Ok(json!({}));
        };
        if environment.enabled {
            return Err(ApiError::client(
                "Cannot delete, compute environment state is not DISABLED",
            ));
        }
        if state
            .queues
            .values()
            .any(|queue| queue.environments.contains(&environment.name))
        {
            return Err(ApiError::client(
                "Cannot delete, found existing JobQueue relationship",
            ));
        }
        let name = environment.name.clone();
        self.apply(&mut core, Event::ComputeEnvironmentDeleted(name))?;
        Ok(json!({}))
    }
}
