//! No two processes of a task at the same time.

use std::collections::BTreeMap;

use model::TaskPath;

use crate::{
    Expectations, Finding, Promise,
    picture::{Picture, UserProcess},
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
                let too_long =
                    |earlier: &&&UserProcess<'_>| is_too_long(earlier, later, expectations);
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

/// Whether the earlier one lived on for longer than one may that Batch has called dead.
fn is_too_long(
    earlier: &UserProcess<'_>,
    later: &UserProcess<'_>,
    expectations: &Expectations,
) -> bool {
    let Some(ended) = earlier.ended else {
        return true;
    };
    let lived_on = ended.at - later.begun.at;
    ended.number > later.begun.number && lived_on > expectations.zombie.as_millis() as i64
}
