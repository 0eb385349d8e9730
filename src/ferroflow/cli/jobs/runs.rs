//! Which runs may have jobs, and which those are.

use std::collections::BTreeSet;

use anyhow::Result;
use aws::{batch::Client, s3::S3Store};
use datastore::ObjectStore;
use model::{
    FlowName, RunId, Timestamp,
    batch::{JobDetail, JobId},
    layout,
    lease::LeaseState,
    run_record::RunState,
};

use crate::stored_run::{ChainJob, Found, Orphan, StoredRun, at_once, jobs, orphan};

/// How a run stands.
#[derive(Debug)]
pub(super) struct Standing {
    pub(super) run: StoredRun,
    /// Name of the launcher's machine, where it is known.
    pub(super) host: Option<String>,
    /// Why nobody drives it.
    pub(super) orphan: Option<Orphan>,
    /// Whether it has told of an end, in its record and in its lease.
    has_ended: bool,
}

/// A job that has not ended.
#[derive(Debug)]
pub(super) struct OpenJob {
    pub(super) run: String,
    pub(super) tasks: Vec<String>,
    pub(super) attempt: u32,
    pub(super) id: Option<JobId>,
    pub(super) name: String,
    pub(super) queue: String,
    /// As Batch spells it, or why it is not known.
    pub(super) state: String,
    /// When its container started, or else when it was submitted.
    pub(super) since: Timestamp,
    pub(super) is_array: bool,
    /// Of an array: how many children have ended. That lags.
    pub(super) ended: u32,
    pub(super) orphan: Option<Orphan>,
}

/// Runs that have not told of an end, in the order of flows and runs.
pub(super) async fn worth_a_look(store: &S3Store) -> Result<Vec<Standing>> {
    let flows = store.folders(layout::OWN_FOLDER).await?;
    let flows = flows.iter().filter_map(|name| FlowName::new(name).ok());
    let runs = at_once(flows, |flow| {
        let store = store.clone();
        async move {
            let names = store.folders(&layout::flow_folder(&flow)).await?;
            let ids = names.iter().filter_map(|name| RunId::new(name).ok());
            let run = |run| StoredRun {
                store: store.clone(),
                flow: flow.clone(),
                run,
            };
            Ok(ids.map(run).collect::<Vec<_>>())
        }
    });
    let standings = at_once(runs.await?.into_iter().flatten(), |run| async move {
        standing(&run).await
    });
    let standings = standings.await?.into_iter().flatten();
    Ok(standings.filter(|it| !it.has_ended).collect())
}

/// How a run stands; none if nothing is known of it.
pub(super) async fn standing(run: &StoredRun) -> Result<Option<Standing>> {
    let (record, lease) = tokio::try_join!(run.record(), run.lease())?;
    // Only where nothing else tells who the launcher was.
    let opening = if record.is_none() && lease.is_none() {
        match run.opening().await? {
            Some(opening) => Some(opening),
            None => return Ok(None),
        }
    } else {
        None
    };
    let first = opening.as_ref().map(|opening| &opening.launcher);
    let by_lease = lease.as_ref().map(|found| &found.lease);
    let launcher = record.as_ref().map(|record| &record.launcher).or(first);
    let host = by_lease.map(|lease| lease.host.clone());
    Ok(Some(Standing {
        host: host.or_else(|| launcher.map(|launcher| launcher.host.clone())),
        orphan: orphan(lease.as_ref(), record.as_ref(), first),
        has_ended: record.is_some_and(|record| record.state != RunState::Running)
            && by_lease.is_none_or(|lease| lease.state == LeaseState::Finished),
        run: run.clone(),
    }))
}

/// The jobs of a run that have not ended.
pub(super) async fn open_jobs(standing: &Standing, client: &Client) -> Result<Vec<OpenJob>> {
    let jobs = jobs(&standing.run, client).await?;
    let all: BTreeSet<_> = jobs.iter().flat_map(ids).cloned().collect();
    let all: Vec<_> = all.into_iter().collect();
    let described = client.describe_jobs(&all).await;
    if let Some(error) = described.error {
        return Err(error.into());
    }
    let mut open = Vec::new();
    for job in &jobs {
        for id in ids(job) {
            let detail = described.found.get(id);
            // What Batch does not show has ended long ago, or is too new.
            let is_open = detail.is_some_and(|detail| !detail.status.is_terminal());
            if is_open {
                let ended = described.ended_children.get(id).copied().unwrap_or(0);
                open.push(open_job(standing, job, detail, ended));
            }
        }
        if let Found::Unknown(why) = &job.found {
            let state = format!("unknown: {why}");
            open.push(OpenJob {
                state,
                ..open_job(standing, job, None, 0)
            });
        }
    }
    Ok(open)
}

fn ids(job: &ChainJob) -> impl Iterator<Item = &JobId> {
    let ids = match &job.found {
        Found::Jobs(ids) => Some(ids),
        Found::Over | Found::Nothing | Found::Unknown(_) => None,
    };
    ids.into_iter().flatten()
}

fn open_job(
    standing: &Standing,
    job: &ChainJob,
    detail: Option<&JobDetail>,
    ended: u32,
) -> OpenJob {
    let members = &job.submission.members;
    let tasks = members
        .iter()
        .map(|one| format!("{}/{}", one.task.step, one.task.task));
    let since = detail.and_then(|detail| detail.started_at.or(detail.created_at));
    OpenJob {
        run: standing.run.to_string(),
        tasks: tasks.collect(),
        attempt: members.first().map_or(0, |first| first.attempt.0),
        id: detail.map(|detail| detail.id.clone()),
        name: job.submission.job_name.clone(),
        queue: job.submission.queue.clone(),
        state: detail
            .map(|detail| detail.status.to_string())
            .unwrap_or_default(),
        since: since.unwrap_or(job.at),
        is_array: job.submission.is_array,
        ended,
        orphan: standing.orphan,
    }
}
