//! Job queues and compute environments, as AWS Batch describes them (Batch API reference, JobQueueDetail and
//! ComputeEnvironmentDetail).

use super::Platform;

/// Whether something takes and runs jobs, in AWS's words. A member that an answer lacks says nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Standing {
    /// `ENABLED` or `DISABLED`: what its owner wants.
    pub state: Option<String>,
    /// `VALID`, `INVALID`, `UPDATING`, …: what AWS makes of it.
    pub status: Option<String>,
    /// Why it has this status.
    pub reason: Option<String>,
}

impl Standing {
    /// Whether its owner has switched it off.
    pub fn is_disabled(&self) -> bool {
        self.state
            .as_deref()
            .is_some_and(|state| state != "ENABLED")
    }

    /// Whether AWS calls it broken.
    pub fn is_invalid(&self) -> bool {
        self.status.as_deref() == Some("INVALID")
    }

    /// Why it takes no jobs or runs none, if that is so: `it is DISABLED and INVALID: …`.
    pub fn trouble(&self) -> Option<String> {
        let state = self.state.as_deref().filter(|state| *state != "ENABLED");
        let status = self.status.as_deref().filter(|status| *status != "VALID");
        let words: Vec<_> = [state, status].into_iter().flatten().collect();
        if words.is_empty() {
            return None;
        }
        // Of its status: what is DISABLED may well be healthy.
        let reason = self.reason.as_ref().filter(|_| status.is_some());
        let reason = reason.filter(|reason| !reason.is_empty());
        let reason = reason
            .map(|reason| format!(": {reason}"))
            .unwrap_or_default();
        Some(format!("it is {}{reason}", words.join(" and ")))
    }
}

/// A job queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queue {
    /// Its name.
    pub name: String,
    /// How it stands.
    pub standing: Standing,
    /// Names or ARNs of its compute environments, in the order in which they are tried.
    pub environments: Vec<String>,
    /// Whether it has a scheduling policy; without one it is first in, first out.
    pub has_scheduling_policy: bool,
}

/// A compute environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComputeEnvironment {
    /// Its name.
    pub name: String,
    /// How it stands; none where the queue names it and AWS does not show it.
    pub standing: Option<Standing>,
    /// What hosts it has.
    pub platform: Platform,
    /// How many vCPUs its hosts may have together; none where AWS does not say so (unmanaged ones).
    pub max_vcpus: Option<u64>,
    /// How many it wants at the moment; AWS does not say so of Fargate.
    pub desired_vcpus: Option<u64>,
    /// Types, families, or `optimal`; empty on Fargate and where it is unmanaged.
    pub instance_types: Vec<String>,
    /// Spot: the highest price, in percent of the on-demand price.
    pub bid_percentage: Option<u64>,
    /// Spot: which pools hosts are taken from.
    pub allocation_strategy: Option<String>,
}

impl ComputeEnvironment {
    /// One that is named, and is not there.
    pub fn missing(named: &str) -> Self {
        Self {
            name: name_of(named).to_owned(),
            standing: None,
            platform: Platform::Ec2,
            max_vcpus: None,
            desired_vcpus: None,
            instance_types: Vec::new(),
            bid_percentage: None,
            allocation_strategy: None,
        }
    }

    /// Why no job starts there, in AWS's words.
    pub fn trouble(&self) -> Option<String> {
        match &self.standing {
            Some(standing) => standing.trouble(),
            None => Some("it does not exist".to_owned()),
        }
    }
}

/// The name in `arn:aws:batch:eu-north-1:123456789012:job-queue/name` and its like; a name stays as it is.
pub fn name_of(arn: &str) -> &str {
    arn.rsplit_once('/').map_or(arn, |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_is_told_in_the_words_of_aws() {
        let standing = |state: &str, status: &str, reason: Option<&str>| Standing {
            state: Some(state.to_owned()),
            status: Some(status.to_owned()),
            reason: reason.map(str::to_owned),
        };
        for (standing, trouble) in [
            (Standing::default(), None),
            (standing("ENABLED", "VALID", Some("Healthy")), None),
            (
                standing("DISABLED", "VALID", Some("Healthy")),
                Some("it is DISABLED"),
            ),
            (
                standing("DISABLED", "DELETING", Some("")),
                Some("it is DISABLED and DELETING"),
            ),
            (
                standing("DISABLED", "INVALID", Some("CLIENT_ERROR - x")),
                Some("it is DISABLED and INVALID: CLIENT_ERROR - x"),
            ),
        ] {
            assert_eq!(standing.trouble().as_deref(), trouble);
        }
        assert_eq!(
            ComputeEnvironment::missing("e").trouble().as_deref(),
            Some("it does not exist")
        );
    }

    #[test]
    fn names_are_the_ends_of_arns() {
        assert_eq!(name_of("arn:aws:batch:eu-north-1:1:job-queue/q"), "q");
        assert_eq!(name_of("q"), "q");
    }
}
