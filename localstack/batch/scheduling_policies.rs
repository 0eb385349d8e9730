//! Operations of scheduling policies. They are kept and shown; jobs are first in, first out all the same.

use serde_json::{Map, Value, json};

use super::{
    event::Event,
    names::check_name,
    request::{Request, page_of},
    resource::SchedulingPolicy,
    service::Shared,
    state::State,
    tags::check_tags,
};
use crate::{ApiError, Reply};

/// API reference, DescribeSchedulingPolicies.
const MAX_POLICIES: usize = 100;

impl Shared {
    /// CreateSchedulingPolicy.
    pub(super) fn create_scheduling_policy(&self, request: &Request) -> Reply {
        let name = request.required("name");
        check_name("Scheduling policy name", name)?;
        let tags = request.map("tags");
        check_tags(&tags)?;
        let mut core = self.core();
        if core.state.policies.contains_key(name) {
            return Err(ApiError::client("Object already exists"));
        }
        let policy = SchedulingPolicy {
            name: name.to_owned(),
            fairshare: request.members.get("fairsharePolicy").cloned(),
            tags,
        };
        self.apply(&mut core, Event::SchedulingPolicy(Box::new(policy)))?;
        Ok(json!({"name": name, "arn": self.policy_arn(name)}))
    }

    /// DescribeSchedulingPolicies.
    pub(super) fn describe_scheduling_policies(&self, request: &Request) -> Reply {
        let arns = request.texts("arns");
        if arns.len() > MAX_POLICIES {
            return Err(ApiError::client(format!(
                "arns must contain at most {MAX_POLICIES} ARNs."
            )));
        }
        let core = self.core();
        let found = arns.iter().filter_map(|arn| self.policy(&core.state, arn));
        let policies: Vec<Value> = found.map(|policy| self.policy_detail(policy)).collect();
        Ok(json!({"schedulingPolicies": policies}))
    }

    /// ListSchedulingPolicies.
    pub(super) fn list_scheduling_policies(&self, request: &Request) -> Reply {
        let (size, start) = request.page(MAX_POLICIES)?;
        let core = self.core();
        let (page, next) = page_of(core.state.policies.keys().collect(), size, start);
        let page: Vec<Value> = page
            .into_iter()
            .map(|name| json!({"arn": self.policy_arn(name)}))
            .collect();
        let mut answer = json!({"schedulingPolicies": page});
        if let Some(next) = next {
            answer["nextToken"] = next.into();
        }
        Ok(answer)
    }

    /// UpdateSchedulingPolicy.
    pub(super) fn update_scheduling_policy(&self, request: &Request) -> Reply {
        let arn = request.required("arn");
        let mut core = self.core();
        let Some(mut policy) = self.policy(&core.state, arn).cloned() else {
            return Err(ApiError::client(format!(
                "SchedulingPolicy {arn} does not exist"
            )));
        };
        policy.fairshare = request.members.get("fairsharePolicy").cloned();
        self.apply(&mut core, Event::SchedulingPolicy(Box::new(policy)))?;
        Ok(json!({}))
    }

    /// DeleteSchedulingPolicy.
    pub(super) fn delete_scheduling_policy(&self, request: &Request) -> Reply {
        let mut core = self.core();
        let Some(policy) = self.policy(&core.state, request.required("arn")) else {
            return Ok(json!({}));
        };
        let name = policy.name.clone();
        if core
            .state
            .queues
            .values()
            .any(|queue| queue.scheduling_policy.as_ref() == Some(&name))
        {
            return Err(ApiError::client(
                "Cannot delete, found existing JobQueue relationship",
            ));
        }
        self.apply(&mut core, Event::SchedulingPolicyDeleted(name))?;
        Ok(json!({}))
    }

    fn policy<'a>(&self, state: &'a State, arn: &str) -> Option<&'a SchedulingPolicy> {
        state.policies.get(self.plain("scheduling-policy", arn)?)
    }

    fn policy_arn(&self, name: &str) -> String {
        self.arn(&format!("scheduling-policy/{name}"))
    }

    fn policy_detail(&self, policy: &SchedulingPolicy) -> Value {
        let mut all = Map::new();
        all.insert("name".to_owned(), policy.name.clone().into());
        all.insert("arn".to_owned(), self.policy_arn(&policy.name).into());
        all.insert("tags".to_owned(), json!(policy.tags));
        if let Some(fairshare) = policy
            .fairshare
            .clone()
            .filter(|fairshare| !fairshare.is_null())
        {
            all.insert("fairsharePolicy".to_owned(), fairshare);
        }
        all.into()
    }
}
