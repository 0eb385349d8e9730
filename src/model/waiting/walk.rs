//! The walk from top to bottom.

use super::{
    BlockedReason, Cause, Evidence, Obstructed, QueueLook,
    cause::Ahead,
    fit::{near_the_edge, obstacle},
};
use crate::{
    batch::{ComputeEnvironment, JobDetail, JobStatus, Platform, TimeLimit},
    failure,
};

/// RUNNABLE for less is nothing out of the ordinary: EC2 starts an instance, which joins its cluster. In milliseconds.
const HOSTS_TAKE: u64 = 10 * 60_000;
/// The same on Fargate.
const FARGATE_TAKES: u64 = 4 * 60_000;

/// Jobs that Batch lists of the front of a queue (Batch API reference, FrontOfQueueDetail).
const MOST_LISTED: usize = 100;

impl Cause {
    /// Whether it may change when the state of the job definition is known.
    pub fn needs_the_definition(&self) -> bool {
        matches!(
            self,
            Self::MemoryNearEdge(_)
                | Self::Spot(_)
                | Self::HostsDoNotJoin(_)
                | Self::NothingFound(_)
        )
    }
}

impl Evidence<'_> {
    /// Why the job is not running.
    pub fn cause(&self) -> Cause {
        let detail = &self.job.detail;
        match detail.status {
            JobStatus::Running => Cause::Running,
            JobStatus::Succeeded => Cause::Succeeded,
            JobStatus::Failed => failed(detail),
            JobStatus::Starting => match &detail.container_reason {
                Some(reason) => Cause::NotStarting(reason.clone()),
                None => Cause::Starting,
            },
            JobStatus::Submitted => Cause::Submitted,
            JobStatus::Pending if !self.job.is_in_line() => self.pending(),
            JobStatus::Pending | JobStatus::Runnable | JobStatus::Unknown(_) => self
                .look
                .map_or(Cause::NothingFound(None), |look| self.in_the_queue(look)),
        }
    }

    fn pending(&self) -> Cause {
        let open = self.dependencies.iter();
        let open = open.filter(|(_, status)| *status != JobStatus::Succeeded);
        let open: Vec<_> = open.cloned().collect();
        if open.is_empty() {
            Cause::Pending
        } else {
            Cause::Dependencies(open)
        }
    }

    fn in_the_queue(&self, look: &QueueLook) -> Cause {
        let queue = match &look.queue {
            Ok(Some(queue)) => Some(queue),
            Ok(None) => return Cause::NoQueue,
            Err(_) => None,
        };
        if let Some(queue) = queue {
            // A change of the queue is no obstacle.
            let status = queue.standing.status.as_deref();
            if !matches!(status, None | Some("VALID" | "UPDATING")) {
                return Cause::QueueInvalid(queue.standing.trouble().unwrap_or_default());
            }
            if queue.environments.is_empty() {
                return Cause::NoEnvironment;
            }
        }
        let environments: &[_] = look.environments.as_deref().unwrap_or_default();
        let mut usable = Vec::new();
        let mut obstructed = Vec::new();
        for environment in environments {
            match obstacle(environment, self.job.needs) {
                None => usable.push(environment),
                Some(obstacle) => obstructed.push(Obstructed {
                    environment: environment.name.clone(),
                    obstacle,
                }),
            }
        }
        if usable.is_empty() && !obstructed.is_empty() {
            return Cause::Environments(obstructed);
        }
        if let Some(cause) = self.said_by_batch() {
            return cause;
        }
        if queue.is_some_and(|queue| queue.standing.is_disabled()) {
            return Cause::QueueDisabled;
        }
        self.in_line(&usable)
    }

    /// What Batch itself says of the job, or of the one that blocks it.
    fn said_by_batch(&self) -> Option<Cause> {
        let said = self.job.detail.status_reason.as_deref();
        if let Some((reason, said)) = said.and_then(|said| Some((BlockedReason::read(said)?, said)))
        {
            let said = said.to_owned();
            return Some(Cause::Blocked { reason, said });
        }
        let head = self.front()?.head.as_ref()?;
        if head.id == self.job.detail.id {
            return None;
        }
        let said = head.status_reason.clone()?;
        BlockedReason::read(&said)?;
        let head = head.id.clone();
        Some(Cause::BehindBlocked { head, said })
    }

    fn in_line(&self, usable: &[&ComputeEnvironment]) -> Cause {
        let ahead = self.ahead();
        if let Some((used, max)) = self.full(usable) {
            return Cause::Full { used, max, ahead };
        }
        if let Ahead::Exactly(1..) | Ahead::AtLeast(1..) = ahead {
            return Cause::Behind(ahead);
        }
        let platform = usable.first().map_or(Platform::Ec2, |first| first.platform);
        let patience = if platform.is_fargate() {
            FARGATE_TAKES
        } else {
            HOSTS_TAKE
        };
        let said = self.job.detail.status_reason.as_deref();
        let is_undetermined = said.is_some_and(|said| said.starts_with("UNDETERMINED"));
        if !usable.is_empty() && !is_undetermined && self.waited().is_some_and(|w| w < patience) {
            return Cause::HostsStart(platform);
        }
        self.without_a_reason(usable)
    }

    /// vCPUs in use and those that there may be, when these are not enough for the job, too.
    fn full(&self, usable: &[&ComputeEnvironment]) -> Option<(u64, u64)> {
        let max: Option<Vec<u64>> = usable.iter().map(|one| one.max_vcpus).collect();
        let max: u64 = max.filter(|max| !max.is_empty())?.into_iter().sum();
        let desired: Option<Vec<u64>> = usable.iter().map(|one| one.desired_vcpus).collect();
        let desired: Option<u64> = desired.map(|all| all.into_iter().sum());
        let used = self.used().or(desired.map(|desired| desired as f64));
        let used = used.unwrap_or(0.0);
        let asked = self.job.needs.vcpus.unwrap_or(1.0);
        let is_full = desired.is_some_and(|desired| desired >= max) || used + asked > max as f64;
        let told = (used.ceil() as u64).max(desired.unwrap_or(0));
        is_full.then_some((told, max))
    }

    /// vCPUs that the queue's jobs use.
    fn used(&self) -> Option<f64> {
        self.front()?.used_vcpus
    }

    fn ahead(&self) -> Ahead {
        let Some(front) = self.front() else {
            return Ahead::Unknown;
        };
        let own = &self.job.detail.id;
        let is_own = |id: &_| *id == *own || self.is_child(id);
        match front.jobs.iter().position(is_own) {
            Some(place) => Ahead::Exactly(place),
            None if front.jobs.len() >= MOST_LISTED => Ahead::AtLeast(front.jobs.len()),
            None => Ahead::Unknown,
        }
    }

    fn is_child(&self, id: &crate::batch::JobId) -> bool {
        self.job.array.is_some() && id.parent().as_ref() == Some(&self.job.detail.id)
    }

    fn without_a_reason(&self, usable: &[&ComputeEnvironment]) -> Cause {
        if self.definition == Some(&Ok(Some(false))) {
            return Cause::DefinitionInactive;
        }
        if let Some(most) = near_the_edge(usable, self.job.needs) {
            return Cause::MemoryNearEdge(most);
        }
        let spot: Vec<_> = usable
            .iter()
            .filter(|one| matches!(one.platform, Platform::Spot | Platform::FargateSpot))
            .collect();
        if !spot.is_empty() && spot.len() == usable.len() {
            return Cause::Spot(spot.iter().filter_map(|one| one.bid_percentage).max());
        }
        let desired: u64 = usable.iter().filter_map(|one| one.desired_vcpus).sum();
        let asked = self.job.needs.vcpus.unwrap_or(1.0);
        let waits_for_a_host = |used: f64| desired as f64 >= used + asked;
        if self.used().is_some_and(waits_for_a_host) {
            return Cause::HostsDoNotJoin(desired);
        }
        let said = self.job.detail.status_reason.clone();
        Cause::NothingFound(said.filter(|said| !said.is_empty()))
    }
}

fn failed(detail: &JobDetail) -> Cause {
    if detail.exit_code.is_some() || detail.started_at.is_some() {
        return Cause::Failed {
            exit_code: detail.exit_code,
            reason: detail.status_reason.clone(),
        };
    }
    let evidence = failure::Evidence {
        outcome: None,
        job: Some(detail),
        claimed: false,
        ended_by_us: false,
        memory: None,
        time_limit: None::<TimeLimit>,
    };
    Cause::NeverRan(evidence.explanation().to_string())
}
