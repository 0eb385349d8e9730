//! DescribeJobs.

use std::collections::BTreeMap;

use aws_sdk_batch::types;
use model::{
    Timestamp,
    batch::{JobDetail, JobId, JobStatus},
};

use super::{BatchError, Client};

/// Ids in one call (Batch API reference, DescribeJobs).
pub(super) const MAX_JOBS_PER_DESCRIBE: usize = 100;

/// What Batch says of some jobs.
#[derive(Debug, Default)]
pub struct Described {
    /// The jobs that it shows.
    pub found: BTreeMap<JobId, JobDetail>,
    /// Of the array jobs among them, how many children have ended. That lags.
    pub ended_children: BTreeMap<JobId, u32>,
    /// The jobs that it was asked for and does not show: too new, too old, or never there.
    pub absent: Vec<JobId>,
    /// Why the jobs in neither part could not be asked for.
    pub error: Option<BatchError>,
}

impl Client {
    /// Asks for jobs, a hundred in a call. The jobs of a call that failed are in neither part of
    /// the answer.
    pub async fn describe_jobs(&self, ids: &[JobId]) -> Described {
        let mut described = Described::default();
        for chunk in ids.chunks(MAX_JOBS_PER_DESCRIBE) {
            match self.describe_chunk(chunk).await {
                Ok((found, ended_children)) => {
                    described.ended_children.extend(ended_children);
                    let absent = chunk.iter().filter(|id| !found.contains_key(id));
                    described.absent.extend(absent.cloned());
                    described.found.extend(found);
                }
                Err(error) => described.error = Some(error),
            }
        }
        described
    }

    async fn describe_chunk(
        &self,
        chunk: &[JobId],
    ) -> Result<(BTreeMap<JobId, JobDetail>, Vec<(JobId, u32)>), BatchError> {
        let ids: Vec<String> = chunk.iter().map(JobId::to_string).collect();
        let answer = self
            .repeatable("DescribeJobs", &self.limits.describe, async || {
                let call = self.sdk.describe_jobs().set_jobs(Some(ids.clone()));
                Ok(call.send().await?)
            })
            .await?;
        let ended = answer.jobs().iter().filter_map(ended_children).collect();
        let jobs = answer.jobs().iter().filter_map(job_detail);
        Ok((jobs.map(|job| (job.id.clone(), job)).collect(), ended))
    }
}

/// Of an array job.
fn ended_children(job: &types::JobDetail) -> Option<(JobId, u32)> {
    let summary = job.array_properties()?.status_summary()?;
    let count = |status: JobStatus| summary.get(status.as_str()).copied().unwrap_or(0);
    let ended = count(JobStatus::Succeeded) + count(JobStatus::Failed);
    Some((JobId::new(job.job_id()?), ended.unsigned_abs()))
}

pub(super) fn job_detail(job: &types::JobDetail) -> Option<JobDetail> {
    let container = job.container();
    let last = job.attempts().last();
    let last_container = last.and_then(|attempt| attempt.container());
    let text = |text: Option<&str>| text.map(str::to_owned);
    Some(JobDetail {
        // The SDK fills required members that an answer lacks with empty texts.
        id: JobId::new(job.job_id().filter(|id| !id.is_empty())?),
        name: job.job_name().unwrap_or_default().to_owned(),
        status: status(job.status()),
        status_reason: text(
            job.status_reason()
                .or_else(|| last.and_then(|attempt| attempt.status_reason())),
        ),
        container_reason: text(
            container
                .and_then(|container| container.reason())
                .or_else(|| last_container.and_then(|container| container.reason())),
        ),
        exit_code: container
            .and_then(types::ContainerDetail::exit_code)
            .or_else(|| last_container.and_then(types::AttemptContainerDetail::exit_code)),
        log_stream: text(
            container
                .and_then(|container| container.log_stream_name())
                .or_else(|| last_container.and_then(|container| container.log_stream_name())),
        ),
        is_terminated: job.is_terminated().unwrap_or(false),
        is_cancelled: job.is_cancelled().unwrap_or(false),
        created_at: time(job.created_at()),
        started_at: time(job.started_at()),
        stopped_at: time(job.stopped_at()),
    })
}

pub(super) fn status(status: Option<&types::JobStatus>) -> JobStatus {
    let text = status.map_or("", types::JobStatus::as_str);
    text.parse().unwrap_or_else(|never| match never {})
}

/// Batch counts milliseconds, and says 0 for what has not happened.
fn time(milliseconds: Option<i64>) -> Option<Timestamp> {
    milliseconds.filter(|at| *at > 0).map(Timestamp)
}
