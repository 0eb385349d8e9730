//! Which job is placed next. Queues are first in, first out: a head that finds no room holds up its queue, and those of
//! lower priority with which it shares hosts (user guide, "Job queue parameters"; the first-in, first-out default).

use std::collections::BTreeSet;

use super::{
    instance_types,
    job::{JobKey, Needs, Phase, Text},
    state::State,
};

/// User guide, "Jobs stuck in RUNNABLE".
pub(super) const MAX_RESOURCE: &str = "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE - CE(s) associated with the job queue cannot meet the CPU requirement of the job.";
pub(super) const JOB_RESOURCE: &str = "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - The job resource requirement (vCPU/memory/GPU) is higher than that can be met by the CE(s) attached to the job queue.";
pub(super) const INVALID: &str =
    "ACTION_REQUIRED - CE(s) associated with the job queue are invalid.";

/// The machine that stands for all hosts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Machine {
    pub(super) has: Needs,
    /// Jobs larger than the machine wait for ever instead of running alone.
    pub(super) strict: bool,
}

/// What is to be done with the head of a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Decision {
    /// It gets a place.
    Place {
        key: JobKey,
        environment: String,
        /// It is larger than the machine and has it alone.
        oversize: bool,
    },
    /// It can never get one.
    Block { key: JobKey, reason: Text },
}

enum Room {
    Here {
        environment: String,
        oversize: bool,
    },
    /// Not now; whether the machine is what lacks room.
    Later {
        machine: bool,
    },
    Never(&'static str),
}

impl State {
    /// The next decision, if there is any. Made again and again until there is none. Queues that are `closed` are passed by.
    pub(super) fn next_decision(
        &mut self,
        machine: Machine,
        closed: &BTreeSet<String>,
    ) -> Option<Decision> {
        let mut order: Vec<(i64, JobKey, String)> = Vec::new();
        let names = self.queues.keys().filter(|name| !closed.contains(*name));
        let names: Vec<String> = names.cloned().collect();
        for name in names {
            if let Some(head) = self.head(&name) {
                let priority = self.queues.get(&name).map_or(0, |queue| queue.priority);
                order.push((-priority, head, name));
            }
        }
        order.sort();
        let mut full: Vec<String> = Vec::new();
        for (_, key, queue) in order {
            let environments = self
                .queues
                .get(&queue)
                .map(|queue| queue.environments.clone());
            let environments = environments.unwrap_or_default();
            if environments
                .iter()
                .any(|environment| full.contains(environment))
            {
                continue;
            }
            match self.room(key, &environments, machine) {
                Room::Here {
                    environment,
                    oversize,
                } => {
                    return Some(Decision::Place {
                        key,
                        environment,
                        oversize,
                    });
                }
                Room::Later { machine: true } => return None,
                Room::Later { machine: false } => full.extend(environments),
                Room::Never(reason) => {
                    let known = self.job(key).and_then(|job| job.status_reason.as_deref());
                    if known != Some(reason) {
                        let reason = reason.into();
                        return Some(Decision::Block { key, reason });
                    }
                }
            }
        }
        None
    }

    /// The first job of a queue that still waits there.
    fn head(&mut self, name: &str) -> Option<JobKey> {
        loop {
            let head = *self.queues.get(name)?.runnable.front()?;
            if self
                .job(head)
                .is_some_and(|job| job.phase == Phase::Runnable)
            {
                return Some(head);
            }
            self.queues.get_mut(name)?.runnable.pop_front();
        }
    }

    /// Makes a live and a replayed queue the same before the job is taken from it.
    pub(super) fn drop_dead_heads(&mut self, key: JobKey) {
        let queue = self
            .submission(key.submission)
            .map(|submission| submission.spec.queue.clone());
        if let Some(queue) = queue {
            self.head(&queue);
        }
    }

    fn room(&self, key: JobKey, environments: &[String], machine: Machine) -> Room {
        let needs = self.needs(key);
        let oversize = !needs.fits_in(machine.has);
        if oversize && machine.strict {
            return Room::Never(JOB_RESOURCE);
        }
        let mut possible = false;
        let mut never = MAX_RESOURCE;
        for name in environments {
            let Some(environment) = self.environments.get(name) else {
                continue;
            };
            if environment.invalid.is_some() {
                never = INVALID;
                continue;
            }
            if !instance_types::may_hold(&environment.compute_resources, needs) {
                never = JOB_RESOURCE;
                continue;
            }
            let max = environment.max_vcpus().saturating_mul(1000);
            possible |= needs.milli_vcpus <= max;
            if !environment.enabled || environment.used.milli_vcpus + needs.milli_vcpus > max {
                continue;
            }
            let mut after = self.used;
            after.add(needs);
            let fits = if oversize {
                self.placed.is_empty()
            } else {
                after.fits_in(machine.has)
            };
            return if fits {
                Room::Here {
                    environment: name.clone(),
                    oversize,
                }
            } else {
                Room::Later { machine: true }
            };
        }
        if possible || environments.is_empty() {
            Room::Later { machine: false }
        } else {
            Room::Never(never)
        }
    }
}
