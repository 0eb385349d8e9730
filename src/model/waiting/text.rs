//! A cause in words: what it is, and what to do.

use std::fmt::Write as _;

use super::{
    BlockedReason, Cause, Obstacle, Obstructed,
    cause::Ahead,
    evidence::{Evidence, Needs},
    looked_at::{asked, count, gpus, number},
};
use crate::batch::queue::name_of;

/// What is told of a cause. Parts of sentences that begin with a small letter and have no full stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// What it is.
    pub what: String,
    /// What to do; none where there is nothing to be done.
    pub fix: Option<String>,
}

impl Told {
    fn new(what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            fix: Some(fix.into()),
        }
    }

    fn fine(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            fix: None,
        }
    }
}

const DISABLED: &str = "aws batch update-compute-environment --state ENABLED";
const RUNBOOK: &str =
    "the runbook AWSSupport-TroubleshootAWSBatchJob of AWS Systems Manager looks at the rest";

impl Evidence<'_> {
    /// The cause in words.
    pub fn told(&self, cause: &Cause) -> Told {
        let queue = name_of(&self.job.queue);
        let needs = self.job.needs;
        match cause {
            Cause::Running => Told::fine("it runs"),
            Cause::Succeeded => Told::fine("it has ended well"),
            Cause::NeverRan(explanation) => {
                Told::fine(uncapitalised(explanation.trim_end_matches('.')))
            }
            Cause::Failed { exit_code, reason } => Told::new(
                ended(*exit_code, reason.as_deref()),
                "`ferroflow status` and the task's log tell more",
            ),
            Cause::NotStarting(reason) => Told::new(
                format!("it has a host, and its container does not start: {reason}"),
                "check the image's name, and that the hosts (on Fargate, the execution role) may pull it",
            ),
            Cause::Starting => Told::fine(
                "it has a host, which pulls the image: a large one takes minutes, and there is no time limit for it",
            ),
            Cause::Submitted => Told::fine("AWS Batch has taken it and not looked at it yet"),
            Cause::Dependencies(open) => {
                let open: Vec<_> = open
                    .iter()
                    .map(|(id, status)| format!("{id} ({status})"))
                    .collect();
                Told::fine(format!("it waits for other jobs: {}", open.join(", ")))
            }
            Cause::Pending => Told::fine(
                "it is PENDING, and AWS Batch does not say what for: a dependency, or a consumable resource",
            ),
            Cause::NoQueue => Told::new(
                format!("AWS Batch has no queue `{queue}`"),
                "name another by METAFLOW_BATCH_JOB_QUEUE or @batch(queue=…); jobs of a queue that was deleted do not come back",
            ),
            Cause::QueueInvalid(trouble) => Told::new(
                format!("the queue `{queue}` runs nothing: {trouble}"),
                "mend what AWS says, or name another queue by METAFLOW_BATCH_JOB_QUEUE",
            ),
            Cause::NoEnvironment => Told::new(
                format!("the queue `{queue}` has no compute environment"),
                "give it one: aws batch update-job-queue --compute-environment-order",
            ),
            Cause::Environments(all) => environments(queue, all),
            Cause::Blocked { reason, said } => Told::new(
                format!("AWS Batch says: {}", said.trim_end_matches('.')),
                of_blocked(*reason, needs),
            ),
            Cause::BehindBlocked { head, said } => Told::new(
                format!(
                    "job {head}, which is first in the queue `{queue}`, blocks all others. AWS Batch says of it: {}",
                    said.trim_end_matches('.')
                ),
                format!(
                    "whoever it belongs to has to mend what it waits for, or to end it (aws batch terminate-job --job-id {head} --reason blocked)"
                ),
            ),
            Cause::QueueDisabled => Told::new(
                format!(
                    "the queue `{queue}` is DISABLED: it takes no new jobs, and nothing else was found that keeps this one from its host"
                ),
                "enable it: aws batch update-job-queue --state ENABLED",
            ),
            Cause::Full { used, max, ahead } => Told::fine(format!(
                "it waits for room in the queue `{queue}`, where {used} of {max} vCPUs are taken{}. A higher maxvCpus lets more run at once",
                before(*ahead)
            )),
            Cause::Behind(ahead) => Told::fine(format!(
                "it waits for its turn in the queue `{queue}`{}",
                before(*ahead)
            )),
            Cause::HostsStart(platform) => Told::fine(format!(
                "nothing is wrong so far: hosts of the queue `{queue}` are being started, which takes {} as a rule",
                if platform.is_fargate() {
                    "a minute or so"
                } else {
                    "2 to 6 minutes"
                }
            )),
            Cause::DefinitionInactive => Told::new(
                format!(
                    "its job definition `{}` is INACTIVE, and nothing else was found",
                    name_of(&self.job.definition)
                ),
                "submit it again: the run registers a new revision",
            ),
            Cause::MemoryNearEdge(most) => Told::new(
                format!(
                    "it asks for {} MB, and the largest host that the queue `{queue}` may have has {most} MB nominally, of which ECS offers 2 to 7 % less",
                    needs.memory.unwrap_or_default()
                ),
                format!(
                    "ask for at most {} MB by @resources(memory=…), or allow larger instance types",
                    (*most as f64 * 0.93) as u64
                ),
            ),
            Cause::Spot(bid) => spot(queue, *bid),
            Cause::HostsDoNotJoin(desired) => Told::new(
                format!(
                    "AWS Batch has ordered hosts for the queue `{queue}` ({desired} vCPUs), and the job still has none: instances cannot be had, or do not join the cluster"
                ),
                "look at the Auto Scaling group's activity, and for its instances at the way to ECS (NAT gateway or VPC endpoints), their instance profile and their quota of vCPUs",
            ),
            Cause::NothingFound(said) => self.nothing_found(said.as_deref()),
        }
    }

    fn nothing_found(&self, said: Option<&str>) -> Told {
        let mut what = "nothing was found that keeps it from running".to_owned();
        if let Some(said) = said {
            let _ = write!(what, ", and AWS Batch says: {}", said.trim_end_matches('.'));
        }
        let not_seen = self.not_seen();
        if !not_seen.is_empty() {
            let _ = write!(what, "; not seen were {}", not_seen.join(", "));
        }
        let mut fix = "what AWS Batch does not tell may be the cause: the account's quota of vCPUs, capacity, subnets, the network and the instance profile of the hosts".to_owned();
        let _ = write!(fix, "; {RUNBOOK}");
        if !not_seen.is_empty() {
            fix = format!("let the credentials make the calls that were not seen. Else {fix}");
        }
        Told::new(what, fix)
    }
}

fn environments(queue: &str, all: &[Obstructed]) -> Told {
    let texts: Vec<_> = all.iter().map(obstructed).collect();
    let fix = all
        .first()
        .map(|first| of_obstacle(&first.environment, &first.obstacle));
    let what = match &texts[..] {
        [only] => format!("{only} (it is the only one of the queue `{queue}`)"),
        _ => format!(
            "none of the compute environments of the queue `{queue}` can run it: {}",
            texts.join("; ")
        ),
    };
    Told { what, fix }
}

fn obstructed(one: &Obstructed) -> String {
    let name = &one.environment;
    let it = format!("the compute environment `{name}`");
    match &one.obstacle {
        Obstacle::Missing => format!("{it} does not exist"),
        Obstacle::Disabled => format!("{it} is DISABLED"),
        Obstacle::Invalid(None) => format!("{it} is INVALID"),
        Obstacle::Invalid(Some(reason)) => {
            format!("{it} is INVALID: {}", reason.trim_end_matches('.'))
        }
        Obstacle::NotReady(status) => format!("{it} is {status}"),
        Obstacle::MaxVcpus { max, asked } => format!(
            "{it} allows {} (maxvCpus), and the job asks for {}",
            count(*max as f64),
            number(*asked)
        ),
        Obstacle::NoGpuOnFargate => {
            format!("{it} is of Fargate, which has no GPUs, and the job asks for one")
        }
        Obstacle::NoGpu(types) => format!(
            "{it} has no hosts with GPUs ({}), and the job asks for one",
            types.join(", ")
        ),
        Obstacle::Vcpus {
            asked,
            most,
            instance_type,
        } => format!(
            "the largest host of {it}, {instance_type}, has {}, and the job asks for {}",
            count(*most as f64),
            number(*asked)
        ),
        Obstacle::Memory {
            asked,
            most,
            instance_type,
        } => format!(
            "the largest host of {it}, {instance_type}, has {most} MB nominally, of which ECS keeps some, and the job asks for {asked} MB"
        ),
        Obstacle::Gpus {
            asked,
            most,
            instance_type,
        } => format!(
            "the largest host of {it}, {instance_type}, has {}, and the job asks for {asked}",
            gpus(*most)
        ),
        Obstacle::Together(types) => format!(
            "no host of {it} has all at once that the job asks for ({})",
            types.join(", ")
        ),
        Obstacle::FargateShape { vcpus, memory, .. } => format!(
            "{it} is of Fargate, which has no hosts with {} and {memory} MB",
            count(*vcpus)
        ),
    }
}

fn of_obstacle(environment: &str, obstacle: &Obstacle) -> String {
    match obstacle {
        Obstacle::Missing => "give the queue another: aws batch update-job-queue --compute-environment-order".to_owned(),
        Obstacle::Disabled => format!("enable it: {DISABLED} --compute-environment {environment}"),
        Obstacle::Invalid(reason) => of_invalid(reason.as_deref()).to_owned(),
        Obstacle::NotReady(_) => "wait until AWS has done with it, or give the queue another".to_owned(),
        Obstacle::MaxVcpus { max, asked } => format!(
            "raise its maxvCpus to {} or more, or ask for at most {max} by @resources(cpu=…)",
            asked.ceil()
        ),
        Obstacle::NoGpuOnFargate | Obstacle::NoGpu(_) => {
            "name a queue with hosts that have GPUs by @batch(queue=…), allow such instance types (g5, g6, p4d, …), or ask for none by @resources(gpu=0)".to_owned()
        }
        Obstacle::Vcpus { most, .. } => {
            format!("ask for at most {most} by @resources(cpu=…), or allow larger instance types")
        }
        Obstacle::Memory { most, .. } => format!(
            "ask for at most {} MB by @resources(memory=…), or allow larger instance types",
            (*most as f64 * 0.93) as u64
        ),
        Obstacle::Gpus { most, .. } => {
            format!("ask for at most {most} by @resources(gpu=…), or allow larger instance types")
        }
        Obstacle::Together(_) => "ask for less by @resources, or allow larger instance types".to_owned(),
        Obstacle::FargateShape { next: Some((vcpus, memory)), .. } => format!(
            "@resources(cpu={}, memory={memory}) is the next that it has",
            number(*vcpus)
        ),
        Obstacle::FargateShape { next: None, .. } => {
            "Fargate has none so large: name a queue with EC2 hosts by @batch(queue=…)".to_owned()
        }
    }
}

/// By what AWS says of an INVALID compute environment.
fn of_invalid(reason: Option<&str>) -> &'static str {
    let has = |part: &str| reason.is_some_and(|reason| reason.contains(part));
    if has("sts:AssumeRole") {
        "its service role must exist, be given by its full ARN, and trust batch.amazonaws.com; without one AWS uses AWSServiceRoleForBatch"
    } else if has("not authorized") || has("AccessDenied") {
        "let its service role do what AWS says, e.g. by the policy AWSBatchServiceRole; without one AWS uses AWSServiceRoleForBatch"
    } else if has("joined the underlying ECS Cluster") {
        "its instances need a way to ECS (NAT gateway or VPC endpoints), an instance profile with AmazonEC2ContainerServiceforEC2Role, and an image with the ECS agent; then disable and enable it"
    } else {
        "mend what AWS says, then disable and enable it (aws batch update-compute-environment)"
    }
}

fn of_blocked(reason: BlockedReason, needs: Needs) -> String {
    match reason {
        BlockedReason::Capacity | BlockedReason::OtherCapacity => {
            "it may have some later; more instance types and Availability Zones, or on-demand instances beside Spot, have more".to_owned()
        }
        BlockedReason::MaxResource => match needs.vcpus {
            Some(asked) => format!(
                "raise maxvCpus of a compute environment of the queue to {} or more, or ask for less by @resources(cpu=…)",
                asked.ceil()
            ),
            None => "raise maxvCpus of a compute environment of the queue, or ask for less by @resources(cpu=…)".to_owned(),
        },
        BlockedReason::JobResource => format!(
            "ask for less than {} by @resources, or allow larger instance types",
            asked(needs)
        ),
        BlockedReason::ServiceRole => {
            "let the service role of the compute environment do what Batch needs (policy AWSBatchServiceRole), or leave it out: then AWS uses AWSServiceRoleForBatch".to_owned()
        }
        BlockedReason::InstanceConfiguration => {
            "an instance type is not to be had in the Availability Zones of the subnets, or does not go with the image or the launch template: correct them".to_owned()
        }
        BlockedReason::ActionRequired => {
            "look at its compute environments (aws batch describe-compute-environments), and mend what their statusReason says".to_owned()
        }
        BlockedReason::OtherMisconfiguration => "mend what AWS says".to_owned(),
    }
}

fn spot(queue: &str, bid: Option<u64>) -> Told {
    let price = match bid {
        Some(bid) if bid < 100 => format!(" at {bid} % of the on-demand price or less"),
        _ => String::new(),
    };
    let fix = match bid {
        Some(bid) if bid < 100 => {
            "leave bidPercentage out (100), allow more instance types, or use a queue of on-demand instances"
        }
        _ => {
            "allow more instance types and Availability Zones, or use a queue of on-demand instances"
        }
    };
    Told::new(
        format!(
            "the queue `{queue}` has Spot hosts only, and AWS Batch does not say whether there are any{price}; nothing else was found"
        ),
        fix,
    )
}

fn before(ahead: Ahead) -> String {
    match ahead {
        Ahead::Exactly(0) => ", and is next".to_owned(),
        Ahead::Exactly(1) => ", behind 1 other job".to_owned(),
        Ahead::Exactly(jobs) => format!(", behind {jobs} other jobs"),
        Ahead::AtLeast(jobs) => format!(", behind {jobs} or more other jobs"),
        Ahead::Unknown => String::new(),
    }
}

fn ended(exit_code: Option<i32>, reason: Option<&str>) -> String {
    let code = exit_code.map_or_else(String::new, |code| format!(" with exit code {code}"));
    let reason = reason.map_or_else(String::new, |reason| {
        format!(": {}", reason.trim_end_matches('.'))
    });
    format!("it has ended, FAILED{code}{reason}")
}

/// A name such as AWS stays as it is.
fn uncapitalised(text: &str) -> String {
    let mut chars = text.chars();
    match (chars.next(), chars.clone().next()) {
        (Some(first), Some(second)) if !second.is_uppercase() => {
            first.to_lowercase().chain(chars).collect()
        }
        _ => text.to_owned(),
    }
}
