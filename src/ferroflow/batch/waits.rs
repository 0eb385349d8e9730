//! The line about jobs that wait: once some have been RUNNABLE for a while, Batch is asked why, and the run says it. In the
//! background, within the budget of Batch calls, and never fatal.

use std::{
    collections::{BTreeSet, HashMap},
    env,
    time::Duration,
};

use aws::batch::Client;
use model::batch::{JobId, JobStatus};
use tokio::{sync::watch as signal, time::Instant};

use super::{Troubles, watch::Watcher};
use crate::{duration, why};

/// Environment variable: after how long in RUNNABLE a job is asked about, or `off`.
pub(crate) const WHY_AFTER: &str = "FERROFLOW_WHY_AFTER";

/// Without [`WHY_AFTER`].
const DEFAULT_AFTER: Duration = Duration::from_mins(2);

const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_hours(30 * 24);

/// It is asked again after so many times as long: ten minutes.
const AGAIN: u32 = 5;

/// Jobs that are looked at: one DescribeJobs call.
const LOOKED_AT: usize = 100;

/// After how long in RUNNABLE it is said why; never without one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WhyAfter(Option<Duration>);

/// [`WHY_AFTER`] makes no sense.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{WHY_AFTER} is `{0}`\nhint: it is a time of at least a second, such as 90s or 5m, or `off`; 2m unless it is set"
)]
pub(crate) struct WhyAfterError(String);

impl WhyAfter {
    /// What the environment says.
    pub(crate) fn of_environment() -> Result<Self, WhyAfterError> {
        match env::var_os(WHY_AFTER) {
            Some(text) => Self::parse(&text.to_string_lossy()),
            None => Ok(Self(Some(DEFAULT_AFTER))),
        }
    }

    fn parse(text: &str) -> Result<Self, WhyAfterError> {
        match text {
            "" => Ok(Self(Some(DEFAULT_AFTER))),
            "off" => Ok(Self(None)),
            text => match duration::parse(text) {
                Some(after) if (SHORTEST..=LONGEST).contains(&after) => Ok(Self(Some(after))),
                _ => Err(WhyAfterError(text.to_owned())),
            },
        }
    }
}

/// Says why jobs wait, until the run is cancelled.
pub(super) async fn tell(
    after: WhyAfter,
    client: Client,
    watcher: Watcher,
    troubles: Troubles,
    mut cancelled: signal::Receiver<bool>,
) {
    let Some(after) = after.0 else { return };
    let asked = tell_on_and_on(after, &client, &watcher, &troubles);
    tokio::select! {
        () = asked => {}
        // Or the engine ends.
        _ = cancelled.wait_for(|cancelled| *cancelled) => {}
    }
}

async fn tell_on_and_on(after: Duration, client: &Client, watcher: &Watcher, troubles: &Troubles) {
    let tick = (after / 8).clamp(Duration::from_millis(100), Duration::from_secs(5));
    let mut since = HashMap::<JobId, Instant>::new();
    let mut next = Instant::now();
    let mut said = BTreeSet::new();
    loop {
        tokio::time::sleep(tick).await;
        let due = due(watcher, &mut since, after);
        if due.is_empty() || Instant::now() < next {
            continue;
        }
        let runnable = match client.waiting_jobs(&due).await {
            Ok(mut jobs) => {
                jobs.retain(|job| job.detail.status == JobStatus::Runnable);
                jobs
            }
            Err(unseen) => {
                tracing::info!(%unseen, "cannot ask why jobs wait");
                Vec::new()
            }
        };
        if runnable.is_empty() {
            next = Instant::now() + after;
            continue;
        }
        for paragraph in why::examine(client, runnable).await {
            if said.insert(paragraph.kind()) {
                troubles.batch.say(paragraph.line());
            }
        }
        next = Instant::now() + after * AGAIN;
    }
}

/// The jobs that have waited long enough, those that surely wait first.
fn due(watcher: &Watcher, since: &mut HashMap<JobId, Instant>, after: Duration) -> Vec<JobId> {
    let now = Instant::now();
    let waiting = watcher.waiting();
    since.retain(|id, _| waiting.contains_key(id));
    for id in waiting.keys() {
        since.entry(id.clone()).or_insert(now);
    }
    let mut due: Vec<_> = waiting
        .into_iter()
        .filter(|(id, _)| since.get(id).is_some_and(|since| *since + after <= now))
        .collect();
    due.sort_by_key(|(_, in_line)| *in_line);
    due.truncate(LOOKED_AT);
    due.into_iter().map(|(id, _)| id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_or_off() {
        let seconds = |seconds| Ok(WhyAfter(Some(Duration::from_secs(seconds))));
        assert_eq!(WhyAfter::parse(""), seconds(120));
        assert_eq!(WhyAfter::parse("1"), seconds(1));
        assert_eq!(WhyAfter::parse("600"), seconds(600));
        assert_eq!(WhyAfter::parse("5m"), seconds(300));
        assert_eq!(WhyAfter::parse("off"), Ok(WhyAfter(None)));
        for bad in ["0", "-1", "2d", "1.5", "on", "99999999999999999999"] {
            assert_eq!(WhyAfter::parse(bad), Err(WhyAfterError(bad.to_owned())));
        }
    }
}
