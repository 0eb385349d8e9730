//! DeregisterJobDefinition.

use serde_json::json;

use super::{event::Event, job::DefinitionKey, request::Request, service::Shared};
use crate::{ApiError, Reply};

impl Shared {
    /// Makes a revision INACTIVE. It stays, for the jobs that have it.
    pub(super) fn deregister_job_definition(&self, request: &Request) -> Reply {
        let name = request.required("jobDefinition");
        let mut core = self.core();
        let has_revision = self
            .plain("job-definition", name)
            .is_some_and(|plain| plain.contains(':'));
        let key = self
            .definition(&core.state, name)
            .filter(|_| has_revision)
            .map(|definition| DefinitionKey {
                name: definition.name.clone(),
                revision: definition.revision,
            });
        let Some(key) = key else {
            return Err(ApiError::client(format!("JobDefinition {name} not found.")));
        };
        self.apply(&mut core, Event::Deregistered(key))?;
        Ok(json!({}))
    }
}
