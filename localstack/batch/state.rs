//! The core: all that Batch knows. It does no I/O and has no clock; what it is told comes with its time.

use std::collections::{BTreeMap, HashMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::{
    event::Process,
    job::{Job, JobKey, Needs, Submission},
    resource::{ComputeEnvironment, JobDefinition, JobQueue, SchedulingPolicy},
};

/// Everything that survives a restart.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct State {
    /// Number of the next submission.
    pub(super) next: u64,
    pub(super) submissions: BTreeMap<u64, Submission>,
    pub(super) by_id: HashMap<String, u64>,
    /// Revisions of a name, the first at 0.
    pub(super) definitions: BTreeMap<String, Vec<JobDefinition>>,
    pub(super) queues: BTreeMap<String, JobQueue>,
    pub(super) environments: BTreeMap<String, ComputeEnvironment>,
    pub(super) policies: BTreeMap<String, SchedulingPolicy>,
    /// Submissions that the scheduler has not looked at.
    pub(super) fresh: VecDeque<u64>,
    /// Finished submissions, in the order of their ends.
    pub(super) finished: VecDeque<(i64, u64)>,
    /// Jobs that have a place on a host.
    #[serde(with = "pairs")]
    pub(super) placed: BTreeMap<JobKey, Placed>,
    /// What they take of the machine.
    pub(super) used: Needs,
}

/// A job with a place.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Placed {
    pub(super) environment: String,
    pub(super) process: Option<Process>,
}

impl State {
    /// The key of an id: a submission's uuid, or a child's `uuid:index`.
    pub(super) fn key(&self, id: &str) -> Option<JobKey> {
        let (id, index) = match id.split_once(':') {
            Some((id, index)) => (id, Some(index.parse().ok()?)),
            None => (id, None),
        };
        let key = JobKey {
            submission: *self.by_id.get(id)?,
            index,
        };
        self.job(key).map(|_| key)
    }

    pub(super) fn submission(&self, number: u64) -> Option<&Submission> {
        self.submissions.get(&number)
    }

    pub(super) fn job(&self, key: JobKey) -> Option<&Job> {
        self.submissions.get(&key.submission)?.job(key.index)
    }

    /// What the job was submitted with, and the definition that it names.
    pub(super) fn definition_of(&self, submission: &Submission) -> Option<&JobDefinition> {
        let key = &submission.spec.definition;
        let revisions = self.definitions.get(&key.name)?;
        revisions.get((key.revision as usize).checked_sub(1)?)
    }

    /// What a job takes.
    pub(super) fn needs(&self, key: JobKey) -> Needs {
        let submission = self.submission(key.submission);
        submission
            .map(|submission| submission.spec.needs)
            .unwrap_or_default()
    }

    pub(super) fn queue_of(&mut self, key: JobKey) -> Option<&mut JobQueue> {
        let submission = self.submissions.get(&key.submission)?;
        self.queues.get_mut(&submission.spec.queue)
    }
}

/// JSON has no maps with keys other than text.
mod pairs {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::{JobKey, Placed};

    pub(super) fn serialize<S: Serializer>(
        map: &BTreeMap<JobKey, Placed>,
        out: S,
    ) -> Result<S::Ok, S::Error> {
        map.iter().collect::<Vec<_>>().serialize(out)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        input: D,
    ) -> Result<BTreeMap<JobKey, Placed>, D::Error> {
        Ok(Vec::<(JobKey, Placed)>::deserialize(input)?
            .into_iter()
            .collect())
    }
}
