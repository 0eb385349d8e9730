//! The jobs of a run: what its launch chain says was submitted, or was about to be. A job is known by the id that its launcher
//! noted, by the claims of its containers, or else by its name.

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
};

use anyhow::Result;
use aws::batch::{BatchError, BatchErrorKind, Client};
use datastore::ObjectStore;
use model::{
    Timestamp,
    batch::JobId,
    launch_record::{LaunchRecord, Member, Submission},
    layout,
    spec::Claim,
};

use super::{StoredRun, at_once, header, marks};

/// One submission of the chain.
#[derive(Debug, Clone)]
pub(crate) struct ChainJob {
    /// When it was about to be submitted, by the launcher's clock.
    pub(crate) at: Timestamp,
    pub(crate) submission: Arc<Submission>,
    /// What may still run: it has not told of an end, and was not revoked.
    pub(crate) unfinished: Vec<Member>,
    pub(crate) found: Found,
}

/// What became of a submission.
#[derive(Debug, Clone)]
pub(crate) enum Found {
    /// It is this job, or these: a lost reply may have made two. Arrays are named by their parents.
    Jobs(BTreeSet<JobId>),
    /// All its tasks have told of their ends.
    Over,
    /// Batch knows no job of its name.
    Nothing,
    /// It cannot be looked for by its name.
    Unknown(BatchError),
}

impl ChainJob {
    /// Its tasks, for people: `train/3`, or `train/3 and 7 more`.
    pub(crate) fn tasks(&self) -> String {
        let members = &self.submission.members;
        let first = members
            .first()
            .map(|first| format!("{}/{}", first.task.step, first.task.task));
        let first = first.unwrap_or_default();
        match members.len() {
            0 | 1 => first,
            more => format!("{first} and {} more", more - 1),
        }
    }
}

/// A submission and where it stands in the chain.
struct Recorded {
    seq: u64,
    at: Timestamp,
    submission: Submission,
}

/// What the datastore has of a run's jobs, by keys.
struct Keys {
    noted: HashSet<String>,
    claims: HashSet<String>,
    outcomes: HashSet<String>,
}

/// All jobs of the run, in the order of its chain.
pub(crate) async fn jobs(run: &StoredRun, client: &Client) -> Result<Vec<ChainJob>> {
    let records = run.chain().await?;
    let keys = Arc::new(Keys::of(run).await?);
    let recorded = records.into_iter().flat_map(recorded);
    let mut jobs = at_once(recorded, |one| {
        let (run, keys) = (run.clone(), Arc::clone(&keys));
        async move { of_submission(&run, &keys, one).await }
    })
    .await?;
    find_by_name(client, &mut jobs).await;
    Ok(jobs)
}

fn recorded(record: LaunchRecord) -> impl Iterator<Item = Recorded> {
    let LaunchRecord { seq, at, .. } = record;
    let submissions = record.submissions.into_iter();
    submissions.map(move |submission| Recorded {
        seq,
        at,
        submission,
    })
}

impl Keys {
    async fn of(run: &StoredRun) -> Result<Self> {
        // Boxed: large, and three of them.
        let list = |folder: String| {
            Box::pin(async move {
                let listed = run.store.list(&folder).await?;
                anyhow::Ok(listed.into_iter().map(|entry| entry.key).collect())
            })
        };
        let (flow, id) = (&run.flow, &run.run);
        let (noted, claims, outcomes) = tokio::try_join!(
            list(layout::job_folder(flow, id)),
            list(layout::claim_folder(flow, id)),
            list(layout::outcomes_folder(flow, id)),
        )?;
        Ok(Self {
            noted,
            claims,
            outcomes,
        })
    }
}

async fn of_submission(run: &StoredRun, keys: &Keys, recorded: Recorded) -> Result<ChainJob> {
    let Recorded {
        seq,
        at,
        submission,
    } = recorded;
    let mut ids = BTreeSet::new();
    if let Some(first) = submission.members.first() {
        let key = layout::job_id(&run.flow, &run.run, seq, first.index);
        if keys.noted.contains(&key) {
            ids.extend(marks::noted_job(&run.store, &key).await?);
        }
    }
    let has_ended = |member: &&Member| {
        let key = layout::outcome(&run.flow, &run.run, seq, member.index);
        keys.outcomes.contains(&key)
    };
    let members = submission.members.iter();
    let mut unfinished: Vec<_> = members
        .filter(|member| !has_ended(member))
        .cloned()
        .collect();
    let claimed = unfinished.iter().map(|member| claim_key(run, member));
    let claimed: Vec<_> = claimed.filter(|key| keys.claims.contains(key)).collect();
    let mut revoked = HashSet::new();
    let claims = at_once(claimed, |key| {
        let run = run.clone();
        async move { Ok((marks::claim(&run.store, &key).await?, key)) }
    });
    for (claim, key) in claims.await? {
        match claim {
            Some(Claim::Claimed { job, .. }) => {
                let job = JobId::new(job);
                ids.insert(job.parent().unwrap_or(job));
            }
            Some(Claim::Revoked { .. }) => {
                revoked.insert(key);
            }
            None => {}
        }
    }
    unfinished.retain(|member| !revoked.contains(&claim_key(run, member)));
    // What was revoked runs nothing, but its job may wait in the queue.
    let found = if !ids.is_empty() {
        Found::Jobs(ids)
    } else if unfinished.is_empty() && revoked.is_empty() {
        Found::Over
    } else {
        Found::Nothing
    };
    Ok(ChainJob {
        at,
        submission: Arc::new(submission),
        unfinished,
        found,
    })
}

/// Looks for what nobody has noted and no container has claimed. What is refused once is not asked for again.
async fn find_by_name(client: &Client, jobs: &mut [ChainJob]) {
    let mut refused = None;
    for job in jobs {
        let Found::Nothing = job.found else { continue };
        let Submission {
            queue, job_name, ..
        } = &*job.submission;
        let listed = match &refused {
            Some(error) => Err(BatchError::clone(error)),
            None => client.list_jobs(queue, job_name).await,
        };
        job.found = match listed {
            Ok(listed) => {
                // The filter does not regard case.
                let named = listed.into_iter().filter(|one| one.name == *job_name);
                let ids: BTreeSet<_> = named.map(|one| one.id).collect();
                if ids.is_empty() {
                    Found::Nothing
                } else {
                    Found::Jobs(ids)
                }
            }
            Err(error) => {
                if error.kind == BatchErrorKind::AccessDenied {
                    refused = Some(error.clone());
                }
                Found::Unknown(error)
            }
        };
    }
}

fn claim_key(run: &StoredRun, member: &Member) -> String {
    layout::claim(&run.flow, &member.task, member.attempt, member.launch)
}

/// From now on no container starts a task of this submission. One that has started is found by its claim.
pub(super) async fn revoke(run: &StoredRun, job: &ChainJob) -> Result<()> {
    let keys: Vec<_> = job
        .unfinished
        .iter()
        .map(|one| claim_key(run, one))
        .collect();
    let revoked = at_once(keys, |key| {
        let run = run.clone();
        async move { marks::revoke(&run.store, &key).await }
    });
    revoked.await.map(drop)
}

impl StoredRun {
    /// The job definition of its first job; none if it has no job.
    pub(crate) async fn first_definition(&self) -> Result<Option<String>> {
        for key in self.chain_keys().await? {
            if let Some(first) = header(&self.store, &key).await?.submissions.first() {
                return Ok(Some(first.definition.clone()));
            }
        }
        Ok(None)
    }
}

/// The region of a pinned job definition: `arn:aws:batch:REGION:ACCOUNT:job-definition/NAME:REVISION`
pub(crate) fn region_of(definition: &str) -> Option<String> {
    let mut parts = definition.split(':');
    let region = (parts.next() == Some("arn"))
        .then(|| parts.nth(2))
        .flatten()?;
    Some(region.to_owned()).filter(|region| !region.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_definition_tells_its_region() {
        let arn = "arn:aws-cn:batch:cn-north-1:123456789012:job-definition/metaflow_ff_1:2";
        assert_eq!(region_of(arn).as_deref(), Some("cn-north-1"));
        for other in ["metaflow_ff_1:2", "", "arn:aws:batch::1:job-definition/a:1"] {
            assert_eq!(region_of(other), None, "{other}");
        }
    }
}
