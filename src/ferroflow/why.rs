//! Why jobs on AWS Batch are not running, asked of Batch: for `ferroflow why`, and for the line that a run says by itself.
//! The walk from what was seen to a cause: `model::waiting`.

use std::{
    collections::{HashMap, hash_map::Entry},
    time::Duration,
};

use aws::batch::Client;
use model::{
    Timestamp,
    batch::{JobId, JobStatus, queue::name_of},
    waiting::{Cause, Evidence, Outlook, QueueLook, Seen, Told, WaitingJob},
};

use crate::report::in_words;

/// Ids that a paragraph names; the others are counted.
const NAMED: usize = 3;

/// Jobs that are not running for the same reason.
#[derive(Debug)]
pub(crate) struct Paragraph {
    /// The jobs; not none.
    pub(crate) jobs: Vec<WaitingJob>,
    pub(crate) cause: Cause,
    pub(crate) told: Told,
    /// What was looked at, of the first of them.
    pub(crate) looked_at: Vec<String>,
    /// The calls that were refused or failed.
    pub(crate) not_seen: Vec<String>,
    /// How long the first of them has waited.
    pub(crate) waited: Option<Duration>,
}

/// Asks why these jobs are not running. Calls that fail are told, and none of them is fatal.
pub(crate) async fn examine(client: &Client, jobs: Vec<WaitingJob>) -> Vec<Paragraph> {
    let mut looks = HashMap::<String, QueueLook>::new();
    let mut definitions = HashMap::<String, Seen<Option<bool>>>::new();
    let mut paragraphs: Vec<Paragraph> = Vec::new();
    for group in groups(jobs) {
        let job = &group[0];
        if job.is_in_line() && !looks.contains_key(&job.queue) {
            let look = client.look_at_queue(&job.queue).await;
            looks.insert(job.queue.clone(), look);
        }
        let dependencies = dependencies(client, job).await;
        let mut evidence = Evidence {
            job,
            look: looks.get(&job.queue).filter(|_| job.is_in_line()),
            definition: None,
            dependencies: &dependencies,
            now: Timestamp(jiff::Timestamp::now().as_millisecond()),
        };
        let mut cause = evidence.cause();
        if cause.needs_the_definition() && !job.definition.is_empty() {
            if let Entry::Vacant(place) = definitions.entry(job.definition.clone()) {
                place.insert(client.is_definition_active(&job.definition).await);
            }
            evidence.definition = definitions.get(&job.definition);
            cause = evidence.cause();
        }
        let paragraph = Paragraph {
            told: evidence.told(&cause),
            looked_at: evidence.looked_at(),
            not_seen: evidence.not_seen(),
            waited: evidence.waited().map(Duration::from_millis),
            cause,
            jobs: group,
        };
        add(&mut paragraphs, paragraph);
    }
    paragraphs.sort_by_key(|paragraph| {
        let outlook = paragraph.cause.outlook();
        std::cmp::Reverse(match outlook {
            Outlook::Over => Outlook::Healthy,
            other => other,
        })
    });
    paragraphs
}

/// Jobs that cannot differ in their cause, the longest waiting first.
fn groups(mut jobs: Vec<WaitingJob>) -> Vec<Vec<WaitingJob>> {
    jobs.sort_by_key(|job| job.detail.created_at);
    let mut groups: Vec<Vec<WaitingJob>> = Vec::new();
    for job in jobs {
        let is_alike = |group: &&mut Vec<WaitingJob>| {
            let (one, other) = (&group[0], &job);
            let (a, b) = (&one.detail, &other.detail);
            one.queue == other.queue
                && one.definition == other.definition
                && one.needs == other.needs
                && one.depends_on == other.depends_on
                && one.is_in_line() == other.is_in_line()
                && a.status == b.status
                && a.status_reason == b.status_reason
                && a.container_reason == b.container_reason
                && a.exit_code == b.exit_code
        };
        match groups.iter_mut().find(is_alike) {
            Some(group) => group.push(job),
            None => groups.push(vec![job]),
        }
    }
    groups
}

async fn dependencies(client: &Client, job: &WaitingJob) -> Vec<(JobId, JobStatus)> {
    if job.depends_on.is_empty() || job.detail.status != JobStatus::Pending {
        return Vec::new();
    }
    let found = client.waiting_jobs(&job.depends_on).await;
    let found = found.unwrap_or_default().into_iter();
    found
        .map(|job| (job.detail.id, job.detail.status))
        .collect()
}

/// Those that wait behind one that Batch calls blocked wait for the same.
fn add(paragraphs: &mut Vec<Paragraph>, mut new: Paragraph) {
    let same = |known: &&mut Paragraph| known.waits_as(&new) || known.is_what_blocks(&new);
    if let Some(known) = paragraphs.iter_mut().find(same) {
        known.jobs.append(&mut new.jobs);
        return;
    }
    // The first in line may come last.
    let is_behind = |known: &&mut Paragraph| new.is_what_blocks(known);
    match paragraphs.iter_mut().find(is_behind) {
        Some(behind) => {
            new.jobs.append(&mut behind.jobs);
            *behind = new;
        }
        None => paragraphs.push(new),
    }
}

impl Paragraph {
    /// Whether the jobs of both wait for the same.
    fn waits_as(&self, other: &Self) -> bool {
        let (one, another) = (&self.jobs[0], &other.jobs[0]);
        one.queue == another.queue
            && one.detail.status == another.detail.status
            && self.cause == other.cause
    }

    /// Whether the jobs of `other` wait behind one of these, of which Batch says why.
    fn is_what_blocks(&self, other: &Self) -> bool {
        let Cause::BehindBlocked { head, .. } = &other.cause else {
            return false;
        };
        matches!(self.cause, Cause::Blocked { .. })
            && self.jobs.iter().any(|job| job.detail.id == *head)
    }

    /// `3 jobs (…:0, …:1, …:2) are RUNNABLE, for 2m05s`
    pub(crate) fn subject(&self) -> String {
        let ids: Vec<_> = self.jobs.iter().map(|job| job.detail.id.as_str()).collect();
        let status = &self.jobs[0].detail.status;
        let waited = match (self.waited, self.cause.outlook()) {
            (Some(waited), outlook) if outlook != Outlook::Over => {
                format!(", submitted {} ago", in_words(waited))
            }
            _ => String::new(),
        };
        match ids[..] {
            [_] if self.jobs[0].is_unseen() => {
                format!("jobs in the queue `{}`", name_of(&self.jobs[0].queue))
            }
            [id] => format!("job {id} is {status}{waited}"),
            _ => {
                let named = ids[..ids.len().min(NAMED)].join(", ");
                let more = if ids.len() > NAMED { ", …" } else { "" };
                let count = ids.len();
                format!("{count} jobs ({named}{more}) are {status}{waited}")
            }
        }
    }

    /// All of it in one line.
    pub(crate) fn line(&self) -> String {
        let fix = self.told.fix.as_deref().map(capitalised);
        let fix = fix.map(|fix| format!(" {fix}.")).unwrap_or_default();
        let subject = capitalised(&self.subject());
        format!("{subject}: {}.{fix}", self.told.what)
    }

    /// What makes it another cause than one that was told before.
    pub(crate) fn kind(&self) -> (String, &'static str) {
        let queue = name_of(&self.jobs[0].queue).to_owned();
        (queue, self.cause.label())
    }
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_uppercase().chain(chars).collect(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(id: &str, vcpus: f64) -> WaitingJob {
        let mut job = WaitingJob::unseen("arn:aws:batch:r:1:job-queue/q", "d:1");
        job.detail.id = JobId::new(id);
        job.needs.vcpus = Some(vcpus);
        job
    }

    fn paragraph(jobs: Vec<WaitingJob>, cause: Cause) -> Paragraph {
        Paragraph {
            jobs,
            cause,
            told: Told {
                what: "it waits".to_owned(),
                fix: Some("mend it".to_owned()),
            },
            looked_at: Vec::new(),
            not_seen: Vec::new(),
            waited: Some(Duration::from_secs(125)),
        }
    }

    fn ids(paragraphs: &[Paragraph]) -> Vec<String> {
        let ids = |one: &Paragraph| {
            let ids: Vec<_> = one.jobs.iter().map(|job| job.detail.id.as_str()).collect();
            ids.join(" ")
        };
        paragraphs.iter().map(ids).collect()
    }

    #[test]
    fn who_waits_for_the_same_is_told_together() {
        let behind = |head: &str| Cause::BehindBlocked {
            head: JobId::new(head),
            said: "ACTION_REQUIRED".to_owned(),
        };
        let blocked = || Cause::Blocked {
            reason: model::waiting::BlockedReason::ActionRequired,
            said: "ACTION_REQUIRED".to_owned(),
        };
        let mut all = Vec::new();
        add(&mut all, paragraph(vec![job("a", 1.0)], behind("c")));
        add(&mut all, paragraph(vec![job("b", 2.0)], behind("c")));
        add(&mut all, paragraph(vec![job("c", 1.0)], blocked()));
        assert_eq!(ids(&all), ["c a b"]);
        add(&mut all, paragraph(vec![job("d", 3.0)], behind("c")));
        assert_eq!(ids(&all), ["c a b d"]);
        // What keeps the first from running need not be what the others ask for.
        let mut all = Vec::new();
        add(&mut all, paragraph(vec![job("a", 1.0)], behind("c")));
        add(
            &mut all,
            paragraph(vec![job("c", 9.0)], Cause::NoEnvironment),
        );
        assert_eq!(ids(&all), ["a", "c"]);
    }

    #[test]
    fn a_line_has_jobs_cause_and_fix() {
        let jobs = ["a", "b", "c", "d"].map(|id| job(id, 1.0)).to_vec();
        let many = paragraph(jobs, Cause::NoQueue);
        assert_eq!(
            many.line(),
            "4 jobs (a, b, c, …) are RUNNABLE, submitted 2m05s ago: it waits. Mend it."
        );
        let one = paragraph(vec![job("a", 1.0)], Cause::Succeeded);
        assert_eq!(one.subject(), "job a is RUNNABLE");
        let unseen = WaitingJob::unseen("arn:aws:batch:r:1:job-queue/q", "d:1");
        let unseen = paragraph(vec![unseen], Cause::NoQueue);
        assert_eq!(unseen.subject(), "jobs in the queue `q`");
    }
}
