//! What tells why a job is not running: read-only calls, each of which may be refused without harm (`model::waiting`).

use std::collections::HashMap;

use aws_sdk_batch::types;
use model::{
    batch::{JobId, JobStatus},
    waiting::{ArrayCounts, Front, Head, Needs, QueueLook, Seen, Unseen, WaitingJob},
};

use super::{
    BatchError, BatchErrorKind, Client, QueueError,
    describe_jobs::{MAX_JOBS_PER_DESCRIBE, job_detail},
    inspect_queue::queue,
};

impl From<BatchError> for Unseen {
    fn from(error: BatchError) -> Self {
        Self {
            action: error.action,
            code: error.code,
            message: error.message,
        }
    }
}

impl Client {
    /// What Batch says of these jobs, in the order asked for; without those that it does not show. More than a hundred take
    /// several calls.
    pub async fn waiting_jobs(&self, ids: &[JobId]) -> Seen<Vec<WaitingJob>> {
        let mut found = HashMap::new();
        for chunk in ids.chunks(MAX_JOBS_PER_DESCRIBE) {
            let asked: Vec<String> = chunk.iter().map(JobId::to_string).collect();
            let answer = self
                .repeatable("DescribeJobs", &self.limits.describe, async || {
                    let call = self.sdk.describe_jobs().set_jobs(Some(asked.clone()));
                    Ok(call.send().await?)
                })
                .await?;
            let jobs = answer.jobs().iter().filter_map(waiting_job);
            found.extend(jobs.map(|job| (job.detail.id.clone(), job)));
        }
        Ok(ids.iter().filter_map(|id| found.remove(id)).collect())
    }

    /// What there is to see of a queue.
    pub async fn look_at_queue(&self, name: &str) -> QueueLook {
        let queue = match self.named_queue(name).await {
            Ok(detail) => Ok(Some(queue(&detail))),
            Err(QueueError::Call(error)) => Err(Unseen::from(error)),
            Err(_) => Ok(None),
        };
        let environments = match &queue {
            Ok(Some(queue)) => self.environments_of(queue).await.map_err(Unseen::from),
            Ok(None) => Ok(Vec::new()),
            Err(unseen) => Err(unseen.clone()),
        };
        let front = match &queue {
            Ok(None) => Ok(Front::default()),
            _ => self.front_of_queue(name).await,
        };
        QueueLook {
            queue,
            environments,
            front,
        }
    }

    /// Whether a job definition is ACTIVE; none where Batch does not show it.
    pub async fn is_definition_active(&self, definition: &str) -> Seen<Option<bool>> {
        let answer = self
            .repeatable("DescribeJobDefinitions", &self.limits.setup, async || {
                let call = self.sdk.describe_job_definitions();
                Ok(call.job_definitions(definition).send().await?)
            })
            .await?;
        let first = answer.job_definitions().first();
        Ok(first.and_then(|first| Some(first.status()? == "ACTIVE")))
    }

    /// Who waits in a queue: as GetJobQueueSnapshot tells it, else as far as ListJobs does.
    async fn front_of_queue(&self, name: &str) -> Seen<Front> {
        let snapshot = self
            .repeatable("GetJobQueueSnapshot", &self.limits.list, async || {
                let call = self.sdk.get_job_queue_snapshot().job_queue(name);
                Ok(call.send().await?)
            })
            .await;
        let mut front = match snapshot {
            Ok(answer) => {
                let jobs = answer.front_of_queue().map(types::FrontOfQueueDetail::jobs);
                let ids = jobs.unwrap_or_default().iter().filter_map(|job| {
                    let (_, id) = job.job_arn()?.rsplit_once("job/")?;
                    Some(JobId::new(id))
                });
                Front {
                    jobs: ids.collect(),
                    used_vcpus: answer.queue_utilization().and_then(used_vcpus),
                    head: None,
                }
            }
            Err(error) if error.kind == BatchErrorKind::AccessDenied => {
                let listed = self.runnable_jobs(name).await;
                // What is asked for first is what is told to be missing.
                let jobs = listed.map_err(|_| Unseen::from(error))?;
                Front {
                    jobs,
                    ..Front::default()
                }
            }
            Err(error) => return Err(error.into()),
        };
        if let Some(first) = front.jobs.first().cloned() {
            let found = self.waiting_jobs(&[first]).await.unwrap_or_default();
            front.head = found.into_iter().next().map(|job| Head {
                id: job.detail.id,
                status_reason: job.detail.status_reason,
            });
        }
        Ok(front)
    }

    /// The oldest RUNNABLE jobs of a queue, as a page of ListJobs has them.
    async fn runnable_jobs(&self, name: &str) -> Result<Vec<JobId>, BatchError> {
        let page = self
            .repeatable("ListJobs", &self.limits.list, async || {
                let call = self.sdk.list_jobs().job_queue(name);
                let call = call.job_status(types::JobStatus::Runnable);
                Ok(call.send().await?)
            })
            .await?;
        let mut jobs: Vec<_> = page
            .job_summary_list()
            .iter()
            .filter_map(|job| Some((job.created_at(), JobId::new(job.job_id()?))))
            .collect();
        // The newest come first; those that were submitted at the same time keep their order.
        jobs.reverse();
        jobs.sort_by_key(|(at, _)| *at);
        Ok(jobs.into_iter().map(|(_, id)| id).collect())
    }
}

fn used_vcpus(utilization: &types::QueueSnapshotUtilizationDetail) -> Option<f64> {
    let all = utilization.total_capacity_usage().iter();
    let mut vcpus = all.filter(|usage| usage.capacity_unit() == Some("VCPU"));
    vcpus.find_map(types::QueueSnapshotCapacityUsage::quantity)
}

fn waiting_job(job: &types::JobDetail) -> Option<WaitingJob> {
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    let depends_on = job.depends_on().iter();
    Some(WaitingJob {
        detail: job_detail(job)?,
        queue: text(job.job_queue()),
        definition: text(job.job_definition()),
        needs: job.container().map(needs).unwrap_or_default(),
        array: job.array_properties().and_then(array_counts),
        depends_on: depends_on
            .filter_map(|one| one.job_id().map(JobId::new))
            .collect(),
    })
}

fn array_counts(array: &types::ArrayPropertiesDetail) -> Option<ArrayCounts> {
    let size = array.size().filter(|size| *size > 0)?;
    let summary = array.status_summary();
    let runnable = summary.and_then(|summary| summary.get(JobStatus::Runnable.as_str()));
    Some(ArrayCounts {
        size: size.unsigned_abs(),
        runnable: runnable.copied().unwrap_or(0).unsigned_abs(),
    })
}

/// The requirements, or the members of old, which have zeros where they are not used.
fn needs(container: &types::ContainerDetail) -> Needs {
    let required = |kind: &types::ResourceType| {
        let all = container.resource_requirements().iter();
        all.filter(|one| one.r#type() == Some(kind))
            .find_map(|one| one.value())
    };
    let of_old = |number: Option<i32>| number.filter(|number| *number > 0);
    Needs {
        vcpus: required(&types::ResourceType::Vcpu)
            .and_then(|text| text.parse().ok())
            .or(of_old(container.vcpus()).map(f64::from)),
        memory: required(&types::ResourceType::Memory)
            .and_then(|text| text.parse().ok())
            .or(of_old(container.memory()).map(|mib| u64::from(mib.unsigned_abs()))),
        gpus: required(&types::ResourceType::Gpu)
            .and_then(|text| text.parse().ok())
            .unwrap_or(0),
    }
}
