//! ListJobs, to find a job whose submission was not answered. Upstream's reference policy does
//! not grant it: [`super::BatchErrorKind::AccessDenied`] is an answer to expect.

use aws_sdk_batch::types::KeyValuesPair;
use model::batch::{JobId, JobStatus};

use super::{BatchError, Client, describe_jobs::status};

/// A job in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobSummary {
    /// Its id.
    pub id: JobId,
    /// Its name.
    pub name: String,
    /// Its state.
    pub status: JobStatus,
}

impl Client {
    /// The newest job of this name in a queue, whatever its state. Listings lag: a job that is
    /// not found may be there.
    pub async fn find_job(&self, queue: &str, name: &str) -> Result<Option<JobId>, BatchError> {
        let jobs = self.list_jobs(queue, name).await?;
        // The filter does not regard case.
        let found = jobs.into_iter().find(|job| job.name == name);
        Ok(found.map(|job| job.id))
    }

    /// The jobs of a queue with this name, or whose names begin with it if it ends in `*`; newest
    /// first. Children of array jobs are not among them.
    pub async fn list_jobs(&self, queue: &str, name: &str) -> Result<Vec<JobSummary>, BatchError> {
        let filter = KeyValuesPair::builder()
            .name("JOB_NAME")
            .values(name)
            .build();
        let mut jobs = Vec::new();
        let mut token = None;
        loop {
            let page = self
                .repeatable("ListJobs", &self.limits.list, async || {
                    let call = self
                        .sdk
                        .list_jobs()
                        .job_queue(queue)
                        .filters(filter.clone());
                    Ok(call.set_next_token(token.clone()).send().await?)
                })
                .await?;
            jobs.extend(page.job_summary_list().iter().filter_map(|job| {
                Some(JobSummary {
                    id: JobId::new(job.job_id()?),
                    name: job.job_name()?.to_owned(),
                    status: status(job.status()),
                })
            }));
            match page.next_token() {
                Some(next) => token = Some(next.to_owned()),
                None => return Ok(jobs),
            }
        }
    }
}
