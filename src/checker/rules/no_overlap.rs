//! No two processes of a task at the same time; but where Batch has called a live container dead, the next one cannot know:
//! then for as long as it takes the container to see that it has a successor.

use std::{collections::BTreeMap, time::Duration};

use model::TaskPath;

use crate::{
    Expectations, Finding, Promise,
    picture::{Picture, Run, UserProcess},
};

pub(super) fn check(picture: &Picture<'_>, expectations: &Expectations) -> Vec<Finding> {
    let mut findings = Vec::new();
    for run in picture.runs.values() {
        let mut tasks: BTreeMap<&TaskPath, Vec<&UserProcess<'_>>> = BTreeMap::new();
        for user in run.users() {
            tasks.entry(&user.place.task).or_default().push(user);
        }
        for (task, users) in tasks {
            for (nth, later) in users.iter().enumerate() {
                let earlier = users.iter().take(nth);
                // Two of one attempt are another rule's.
                let earlier = earlier.filter(|user| user.place.attempt != later.place.attempt);
                let too_long = |earlier: &&&UserProcess<'_>| {
                    let called_dead = picture.had_ended(earlier.by.job.as_deref(), later.begun);
                    let allowed = if called_dead {
                        of_zombies(run, expectations)
                    } else {
                        Duration::ZERO
                    };
                    is_too_long(earlier, later, allowed)
                };
                findings.extend(earlier.filter(too_long).map(|earlier| {
                    Finding {
                        promise: Promise::NoOverlap,
                        text: format!(
                            "attempt {} of {task} was started while attempt {} was running",
                            later.place.attempt, earlier.place.attempt
                        ),
                        lines: [Some(earlier.begun), Some(later.begun), earlier.ended]
                            .into_iter()
                            .flatten()
                            .map(|line| line.number)
                            .collect(),
                    }
                }));
            }
        }
    }
    findings
}

/// How long a task may live on that Batch has called dead. Containers of runs with a lease look for their successors.
fn of_zombies(run: &Run<'_>, expectations: &Expectations) -> Duration {
    if run.leases.is_empty() {
        expectations.zombie
    } else {
        expectations.zombie.max(expectations.lease.cadence)
    }
}

/// Whether the earlier one lived on for longer than it may.
fn is_too_long(earlier: &UserProcess<'_>, later: &UserProcess<'_>, allowed: Duration) -> bool {
    let Some(ended) = earlier.ended else {
        return true;
    };
    let lived_on = ended.at - later.begun.at;
    ended.number > later.begun.number && lived_on > allowed.as_millis() as i64
}
