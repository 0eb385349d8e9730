//! What each event does to environments, queues, policies and definitions.

use std::{collections::BTreeMap, mem};

use super::{event::Event, state::State};

impl State {
    /// Events of resources; others have their place in `handle`.
    pub(super) fn resource(&mut self, event: Event) {
        match event {
            Event::Registered(definition) => {
                let revisions = self.definitions.entry(definition.name.clone()).or_default();
                revisions.push(*definition);
            }
            Event::Deregistered(key) => {
                let revisions = self.definitions.get_mut(&key.name);
                let index = (key.revision as usize).checked_sub(1);
                if let Some(definition) = revisions
                    .zip(index)
                    .and_then(|(all, index)| all.get_mut(index))
                {
                    definition.active = false;
                }
            }
            Event::ComputeEnvironment(mut environment) => {
                if let Some(known) = self.environments.get(&environment.name) {
                    environment.used = known.used;
                }
                self.environments
                    .insert(environment.name.clone(), *environment);
            }
            Event::ComputeEnvironmentDeleted(name) => {
                self.environments.remove(&name);
            }
            Event::JobQueue(mut queue) => {
                if let Some(known) = self.queues.get_mut(&queue.name) {
                    queue.runnable = mem::take(&mut known.runnable);
                }
                self.queues.insert(queue.name.clone(), *queue);
            }
            Event::SchedulingPolicy(policy) => {
                self.policies.insert(policy.name.clone(), *policy);
            }
            Event::SchedulingPolicyDeleted(name) => {
                self.policies.remove(&name);
            }
            Event::Tagged { arn, tags } => {
                if let Some(known) = self.tags_mut(&arn) {
                    *known = tags;
                }
            }
            _ => {}
        }
    }

    /// The tags of the resource with this ARN.
    pub(super) fn tags_mut(&mut self, arn: &str) -> Option<&mut BTreeMap<String, String>> {
        let (kind, name) = arn.splitn(6, ':').nth(5)?.split_once('/')?;
        match kind {
            "compute-environment" => Some(&mut self.environments.get_mut(name)?.tags),
            "job-queue" => Some(&mut self.queues.get_mut(name)?.tags),
            "scheduling-policy" => Some(&mut self.policies.get_mut(name)?.tags),
            "job" => {
                let key = self.key(name)?;
                Some(&mut self.submissions.get_mut(&key.submission)?.spec.tags)
            }
            "job-definition" => {
                let (name, revision) = name.split_once(':')?;
                let index = revision.parse::<usize>().ok()?.checked_sub(1)?;
                Some(&mut self.definitions.get_mut(name)?.get_mut(index)?.tags)
            }
            _ => None,
        }
    }
}
