//! The jobs of a run that have not begun, by the names that its chain has.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use anyhow::Result;
use aws::batch::{BatchErrorKind, Client};
use model::{
    StepName,
    batch::{JobId, JobStatus},
    waiting::{Unseen, WaitingJob},
};

use super::{
    cannot_ask,
    chain::{Chain, Launch},
};

/// Jobs that are looked at: a few DescribeJobs calls.
const LOOKED_AT: usize = 500;

/// What became of looking for them.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    pub(super) jobs: Vec<WaitingJob>,
    /// How many jobs there are that may be looked at, and how many were.
    pub(super) open: usize,
    pub(super) looked_at: usize,
    /// How many tasks have begun, or have ended.
    pub(super) begun: usize,
    /// Of each step: how many tasks have a job that Batch does not show.
    pub(super) not_found: BTreeMap<StepName, usize>,
    /// Why jobs could not be looked for by their names; then each queue is looked at, once.
    pub(super) cannot_list: Option<Unseen>,
}

pub(super) async fn waiting(client: &Client, chain: &Chain) -> Result<Waiting> {
    let open: Vec<_> = chain.open().collect();
    let mut waiting = Waiting {
        begun: chain.len() - open.len(),
        ..Waiting::default()
    };
    let mut ids = Vec::new();
    for (queue, launches) in by_queue(&open) {
        let prefix = common_prefix(launches.iter().map(|launch| launch.job_name.as_str()));
        let listed = match client.list_jobs(queue, &pattern(&launches, &prefix)).await {
            Ok(listed) => listed,
            Err(error) if error.kind == BatchErrorKind::AccessDenied => {
                waiting.cannot_list = Some(error.into());
                waiting.jobs.push(of_queue(queue, &launches));
                continue;
            }
            // A queue that is gone, which is found by looking at it.
            Err(error) if error.kind == BatchErrorKind::Refused => {
                waiting.jobs.push(of_queue(queue, &launches));
                Vec::new()
            }
            Err(error) => return Err(cannot_ask(error.into())),
        };
        let known: HashMap<_, _> = listed
            .into_iter()
            .rev()
            .map(|job| (job.name, job.id))
            .collect();
        for launch in launches {
            let Some(id) = known.get(&launch.job_name) else {
                let step = launch.task.step.clone();
                *waiting.not_found.entry(step).or_default() += 1;
                continue;
            };
            ids.push(match launch.index {
                Some(index) => id.child(index),
                None => id.clone(),
            });
        }
    }
    let asked = &ids[..ids.len().min(LOOKED_AT)];
    (waiting.open, waiting.looked_at) = (ids.len(), asked.len());
    let jobs = client.waiting_jobs(asked).await.map_err(cannot_ask)?;
    let shown: BTreeSet<JobId> = jobs.iter().map(|job| job.detail.id.clone()).collect();
    tracing::info!(asked = asked.len(), shown = shown.len(), "looked at jobs");
    for job in jobs {
        match job.detail.status {
            // It begins just now.
            JobStatus::Running | JobStatus::Succeeded => waiting.begun += 1,
            _ => waiting.jobs.push(job),
        }
    }
    Ok(waiting)
}

fn of_queue(queue: &str, launches: &[&Launch]) -> WaitingJob {
    let definition = launches.first().map(|launch| launch.definition.as_str());
    WaitingJob::unseen(queue, definition.unwrap_or_default())
}

fn by_queue<'a>(open: &[&'a Launch]) -> BTreeMap<&'a str, Vec<&'a Launch>> {
    let mut queues = BTreeMap::<_, Vec<_>>::new();
    for launch in open {
        queues
            .entry(launch.queue.as_str())
            .or_default()
            .push(*launch);
    }
    queues
}

/// The filter of ListJobs: a name, or what all names begin with.
fn pattern(launches: &[&Launch], prefix: &str) -> String {
    if launches.iter().all(|launch| launch.job_name == prefix) {
        prefix.to_owned()
    } else {
        format!("{prefix}*")
    }
}

/// Names are of ASCII letters, digits, `-` and `_`.
fn common_prefix<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let mut names = names.into_iter();
    let first = names.next().unwrap_or_default();
    let common = |prefix: &'a str, name: &str| {
        let same = prefix.bytes().zip(name.bytes()).take_while(|(a, b)| a == b);
        prefix.get(..same.count()).unwrap_or_default()
    };
    names.fold(first, common).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_a_common_beginning() {
        for (names, prefix) in [
            (&["u-F-1-start-1-0-L0-ab"][..], "u-F-1-start-1-0-L0-ab"),
            (&["u-F-1-a-2-0-L1-ab", "u-F-1-a-3-0-L2-cd"], "u-F-1-a-"),
            (&["same", "same"], "same"),
            (&["a", "b"], ""),
            (&[], ""),
        ] {
            assert_eq!(common_prefix(names.iter().copied()), prefix);
        }
    }
}
