//! Ending the jobs of a run that was cancelled: TerminateJob, again and again until Batch says that they have ended.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use anyhow::Result;
use aws::batch::{BatchError, BatchErrorKind, Client, Described};
use model::{
    Timestamp,
    batch::{JobId, JobStatus, terminate_reason},
};
use tokio::time::{Instant, sleep, timeout};

use super::{
    StoredRun, at_once,
    jobs::{self, ChainJob, Found},
};

/// How long the end of jobs is waited for, and that much longer for each: ten of them can be told in a second.
const PATIENCE: Duration = Duration::from_mins(2);
const PATIENCE_PER_JOB: Duration = Duration::from_millis(200);

/// Pause between two questions.
const ROUND: Duration = Duration::from_secs(1);

/// Pause between two TerminateJob calls for one job.
const TERMINATE_AGAIN: Duration = Duration::from_secs(10);

/// How long one call of TerminateJob may take.
const TERMINATE_PATIENCE: Duration = Duration::from_secs(10);

/// Listings lag behind submissions.
const LISTING_LAG: Duration = Duration::from_secs(30);

/// Batch forgets jobs that have ended this long ago, and no others (Batch user guide, "Job states").
pub(crate) const FORGOTTEN: Duration = Duration::from_hours(7 * 24);

/// What became of the jobs of a run.
#[derive(Debug, Default)]
pub(crate) struct Ending {
    /// Jobs that have ended because they were told to.
    pub(crate) ended: usize,
    /// Jobs that had ended before.
    pub(crate) had_ended: usize,
    /// Jobs that have not ended.
    pub(crate) left: Vec<Left>,
    /// What could not be looked for.
    pub(crate) unfound: Vec<Unfound>,
}

/// A job that has not ended.
#[derive(Debug)]
pub(crate) struct Left {
    pub(crate) job: JobId,
    pub(crate) tasks: String,
    /// None where Batch did not show it.
    pub(crate) status: Option<JobStatus>,
    pub(crate) problem: Option<BatchError>,
}

/// A submission that may have become a job.
#[derive(Debug)]
pub(crate) struct Unfound {
    pub(crate) name: String,
    pub(crate) queue: String,
    pub(crate) tasks: String,
    pub(crate) why: BatchError,
}

/// Ends what is left of the run, whose lease has been told.
pub(crate) async fn end(run: &StoredRun, client: &Client) -> Result<Ending> {
    let mut ends = Ends::default();
    let start = Instant::now();
    loop {
        let jobs = jobs::jobs(run, client).await?;
        let is_new = ends.take(&jobs);
        let until = start + PATIENCE + PATIENCE_PER_JOB * ends.jobs.len() as u32;
        ends.end_all(client, until).await?;
        let is_late = Instant::now() >= until;
        let mut waits = false;
        for job in &jobs {
            match &job.found {
                Found::Unknown(why) => {
                    let name = job.submission.job_name.clone();
                    ends.unfound.insert(name, unfound(job, why));
                }
                Found::Nothing => waits |= is_recent(job.at, LISTING_LAG),
                Found::Jobs(_) | Found::Over => continue,
            }
            // Once nothing of it can start, it is looked for again: a container may have been faster.
            waits |= !job.unfinished.is_empty();
            jobs::revoke(run, job).await?;
        }
        // A launcher may have submitted more meanwhile.
        if is_late || !(is_new || waits) || ends.is_refused() {
            return Ok(ends.told());
        }
        if waits {
            sleep(ROUND).await;
        }
    }
}

fn unfound(job: &ChainJob, why: &BatchError) -> Unfound {
    Unfound {
        name: job.submission.job_name.clone(),
        queue: job.submission.queue.clone(),
        tasks: job.tasks(),
        why: why.clone(),
    }
}

/// By the clocks of two machines.
pub(crate) fn is_recent(at: Timestamp, within: Duration) -> bool {
    let age = jiff::Timestamp::now().as_millisecond().saturating_sub(at.0);
    u64::try_from(age).is_ok_and(|age| Duration::from_millis(age) < within)
}

#[derive(Debug, Default)]
struct Ends {
    jobs: BTreeMap<JobId, Known>,
    /// By the names of jobs.
    unfound: BTreeMap<String, Unfound>,
}

/// A job that is to end.
#[derive(Debug)]
struct Known {
    tasks: String,
    at: Timestamp,
    /// Whether all its tasks have told of their ends.
    finished: bool,
    /// When it was told last.
    told: Option<Instant>,
    status: Option<JobStatus>,
    has_ended: bool,
    problem: Option<BatchError>,
}

impl Ends {
    /// Whether there is one that was not known.
    fn take(&mut self, jobs: &[ChainJob]) -> bool {
        let before = self.jobs.len();
        for job in jobs {
            let Found::Jobs(ids) = &job.found else {
                continue;
            };
            self.unfound.remove(&job.submission.job_name);
            for id in ids {
                let known = self.jobs.entry(id.clone()).or_insert_with(|| Known {
                    tasks: job.tasks(),
                    at: job.at,
                    finished: false,
                    told: None,
                    status: None,
                    has_ended: false,
                    problem: None,
                });
                known.finished = job.unfinished.is_empty();
            }
        }
        self.jobs.len() > before
    }

    fn open(&self) -> Vec<JobId> {
        let open = self.jobs.iter().filter(|(_, known)| !known.has_ended);
        open.map(|(id, _)| id.clone()).collect()
    }

    /// Whether all that are left may not be ended by us.
    fn is_refused(&self) -> bool {
        let mut open = self
            .jobs
            .values()
            .filter(|known| !known.has_ended)
            .peekable();
        let refused = |known: &Known| {
            let problem = known.problem.as_ref();
            problem.is_some_and(|error| error.kind == BatchErrorKind::AccessDenied)
        };
        open.peek().is_some() && open.all(refused)
    }

    async fn end_all(&mut self, client: &Client, until: Instant) -> Result<()> {
        loop {
            let open = self.open();
            self.see(client.describe_jobs(&open).await)?;
            let open = self.open();
            if open.is_empty() || self.is_refused() || Instant::now() >= until {
                return Ok(());
            }
            let is_due = |id: &&JobId| {
                let told = self.jobs.get(id).and_then(|known| known.told);
                told.is_none_or(|at| at.elapsed() >= TERMINATE_AGAIN)
            };
            let due: BTreeSet<_> = open.iter().filter(is_due).cloned().collect();
            self.tell(client, due).await?;
            sleep(ROUND).await;
        }
    }

    fn see(&mut self, described: Described) -> Result<()> {
        if let Some(error) = described.error.filter(|error| !error.is_transient()) {
            return Err(error.into());
        }
        for (id, detail) in described.found {
            if let Some(known) = self.jobs.get_mut(&id) {
                known.has_ended = detail.status.is_terminal();
                known.status = Some(detail.status);
            }
        }
        for id in described.absent {
            if let Some(known) = self.jobs.get_mut(&id) {
                known.has_ended = known.finished || !is_recent(known.at, FORGOTTEN);
            }
        }
        Ok(())
    }

    async fn tell(&mut self, client: &Client, due: BTreeSet<JobId>) -> Result<()> {
        let told = at_once(due, |id| {
            let client = client.clone();
            async move {
                client.may_terminate().await;
                let call = client.terminate_job(&id, terminate_reason::CANCELLED);
                let problem = match timeout(TERMINATE_PATIENCE, call).await {
                    Ok(done) => done.err(),
                    // It is told again.
                    Err(_) => None,
                };
                Ok((id, problem))
            }
        });
        for (id, problem) in told.await? {
            if let Some(known) = self.jobs.get_mut(&id) {
                // One that failed is told again in the next round.
                known.told = problem.is_none().then(Instant::now).or(known.told);
                known.problem = problem;
            }
        }
        Ok(())
    }

    fn told(self) -> Ending {
        let mut ending = Ending {
            unfound: self.unfound.into_values().collect(),
            ..Ending::default()
        };
        for (job, known) in self.jobs {
            match (known.has_ended, known.told) {
                (true, Some(_)) => ending.ended += 1,
                (true, None) => ending.had_ended += 1,
                (false, _) => ending.left.push(Left {
                    job,
                    tasks: known.tasks,
                    status: known.status,
                    problem: known.problem,
                }),
            }
        }
        ending
    }
}
