//! UpdateComputeEnvironment.

use serde_json::json;

use super::{
    create_compute_environment::check_resources, event::Event, request::Request, service::Shared,
};
use crate::{ApiError, Reply};

impl Shared {
    /// Changes what is given. Running jobs go on.
    pub(super) fn update_compute_environment(&self, request: &Request) -> Reply {
        let asked = request.required("computeEnvironment");
        let mut core = self.core();
        let known = self
            .plain("compute-environment", asked)
            .and_then(|name| core.state.environments.get(name));
        let Some(mut environment) = known.cloned() else {
            return Err(ApiError::client(format!("{asked} does not exist")));
        };
        if let Some(state) = request.text("state") {
            environment.enabled = state == "ENABLED";
        }
        if let Some(changes) = request.object("computeResources") {
            environment.compute_resources.extend(changes.clone());
            check_resources(&Request::from(environment.compute_resources.clone()))?;
        }
        environment.given.extend(request.given(&[
            "serviceRole",
            "context",
            "unmanagedvCpus",
            "ecsSettings",
            "updatePolicy",
        ]));
        environment.invalid = self.why_invalid(&environment.given);
        let name = environment.name.clone();
        self.apply(&mut core, Event::ComputeEnvironment(Box::new(environment)))?;
        Ok(
            json!({"computeEnvironmentName": name, "computeEnvironmentArn": self.environment_arn(&name)}),
        )
    }
}
