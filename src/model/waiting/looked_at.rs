//! What was looked at for a job that waits, in words.

use std::fmt::Write as _;

use super::evidence::{Evidence, Needs, QueueLook};
use crate::batch::{ComputeEnvironment, JobDetail, Platform, queue::name_of};
const FINE: &str = "ENABLED and VALID";

impl Evidence<'_> {
    /// What was looked at: a line for each call, with what it told.
    pub fn looked_at(&self) -> Vec<String> {
        let job = self.job;
        let mut all = Vec::new();
        if !job.is_unseen() {
            all.push(of_job(&job.detail, job.needs));
        }
        if let Some(look) = self.look {
            all.extend(of_look(look, name_of(&job.queue)));
        }
        if let Some(Ok(Some(active))) = self.definition {
            let state = if *active { "ACTIVE" } else { "INACTIVE" };
            all.push(format!("the job definition: {state}"));
        }
        all
    }

    /// The calls that told nothing.
    pub fn not_seen(&self) -> Vec<String> {
        let definition = self.definition.and_then(|seen| seen.as_ref().err());
        let of_queue = self.look.into_iter().flat_map(|look| {
            [
                look.queue.as_ref().err(),
                look.environments.as_ref().err(),
                look.front.as_ref().err(),
            ]
        });
        let all = of_queue.flatten().chain(definition);
        let mut all: Vec<_> = all.map(ToString::to_string).collect();
        all.dedup();
        all
    }
}

fn of_look(look: &QueueLook, queue: &str) -> Vec<String> {
    let mut all = Vec::new();
    match &look.queue {
        Ok(Some(queue)) => {
            let trouble = queue.standing.trouble();
            let standing = trouble.as_deref().map_or(FINE, without_it_is);
            let policy = if queue.has_scheduling_policy {
                ", with a scheduling policy: shares decide whose turn it is"
            } else {
                ""
            };
            all.push(format!("the queue `{}`: {standing}{policy}", queue.name));
        }
        Ok(None) => all.push(format!("the queue `{queue}`: not there")),
        Err(_) => {}
    }
    all.extend(look.environments.iter().flatten().map(of_environment));
    if let Ok(front) = &look.front {
        let mut text = format!("the front of the queue: {} RUNNABLE", front.jobs.len());
        if let Some(used) = front.used_vcpus {
            let _ = write!(text, ", {} in use", count(used));
        }
        all.push(text);
    }
    all
}

fn of_job(detail: &JobDetail, needs: Needs) -> String {
    let mut text = format!("the job: {}, {}", detail.status, asked(needs));
    if let Some(reason) = &detail.status_reason {
        let _ = write!(text, ", statusReason: {reason}");
    }
    text
}

fn of_environment(one: &ComputeEnvironment) -> String {
    let kind = match one.platform {
        Platform::Ec2 => "EC2",
        Platform::Spot => "Spot",
        Platform::Fargate => "Fargate",
        Platform::FargateSpot => "Fargate Spot",
    };
    let trouble = one.trouble();
    let standing = trouble.as_deref().map_or(FINE, without_it_is);
    let mut text = format!("the compute environment `{}`: {kind}, {standing}", one.name);
    match (one.desired_vcpus, one.max_vcpus) {
        (Some(desired), Some(max)) => {
            let _ = write!(text, ", desiredvCpus {desired} of maxvCpus {max}");
        }
        (None, Some(max)) => {
            let _ = write!(text, ", maxvCpus {max}");
        }
        _ => {}
    }
    if !one.instance_types.is_empty() {
        let _ = write!(text, ", {}", one.instance_types.join(" "));
    }
    if let Some(strategy) = &one.allocation_strategy {
        let _ = write!(text, ", {strategy}");
    }
    if let Some(bid) = one.bid_percentage {
        let _ = write!(text, ", bidPercentage {bid}");
    }
    text
}

pub(super) fn asked(needs: Needs) -> String {
    let mut parts = Vec::new();
    parts.extend(needs.vcpus.map(count));
    parts.extend(needs.memory.map(|memory| format!("{memory} MB")));
    if needs.gpus > 0 {
        parts.push(gpus(needs.gpus));
    }
    if parts.is_empty() {
        return "it does not say what it asks for".to_owned();
    }
    parts.join(", ")
}

pub(super) fn count(vcpus: f64) -> String {
    let unit = if (vcpus - 1.0).abs() < 1e-9 {
        "vCPU"
    } else {
        "vCPUs"
    };
    format!("{} {unit}", number(vcpus))
}

pub(super) fn gpus(gpus: u64) -> String {
    match gpus {
        1 => "1 GPU".to_owned(),
        gpus => format!("{gpus} GPUs"),
    }
}

pub(super) fn number(number: f64) -> String {
    format!("{}", (number * 1000.0).round() / 1000.0)
}

/// `it is X` as `X`.
pub(super) fn without_it_is(text: &str) -> &str {
    text.strip_prefix("it is ").unwrap_or(text)
}
