//! Whose an object is, by its key: the inverse of [`model::layout`].

use std::fmt;

use model::{Attempt, FlowName, RunId, StepName, TaskId, TaskPath, layout::OWN_FOLDER};

/// A run in a datastore.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RunPlace {
    /// Bucket and prefix.
    root: String,
    pub(crate) flow: FlowName,
    pub(crate) run: RunId,
}

impl fmt::Display for RunPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.flow, self.run)
    }
}

/// What Ferroflow keeps about a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Own {
    Launch { seq: u64 },
    Claim(ClaimPlace),
    Outcome,
    Lease,
}

/// One launch of an attempt.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ClaimPlace {
    pub(crate) task: TaskPath,
    pub(crate) attempt: Attempt,
    pub(crate) launch: u32,
}

impl ClaimPlace {
    /// `run/step/task/attempt`
    pub(crate) fn attempt_path(&self) -> String {
        format!("{}/{}", self.task, self.attempt)
    }
}

/// What of Ferroflow's own an object is, if it is about a run.
pub(crate) fn own(bucket: &str, key: &str) -> Option<(RunPlace, Own)> {
    let folder = format!("{OWN_FOLDER}/");
    let (prefix, rest) = key.split_once(&folder)?;
    if !prefix.is_empty() && !prefix.ends_with('/') {
        return None;
    }
    let parts: Vec<_> = rest.split('/').collect();
    let [flow, run, ref what @ ..] = parts[..] else {
        return None;
    };
    let place = RunPlace {
        root: format!("{bucket}/{prefix}"),
        flow: flow.parse().ok()?,
        run: run.parse().ok()?,
    };
    let own = match *what {
        ["launch", seq] => Own::Launch {
            seq: seq.parse().ok()?,
        },
        ["claim", step, task, numbers] => {
            let (attempt, launch) = numbers.split_once('.')?;
            Own::Claim(ClaimPlace {
                task: task_path(&place.run, step, task)?,
                attempt: Attempt(attempt.parse().ok()?),
                launch: launch.parse().ok()?,
            })
        }
        ["outcome", _, _] => Own::Outcome,
        ["lease"] => Own::Lease,
        _ => return None,
    };
    Some((place, own))
}

/// The attempt whose result an object is part of: its artifacts and its end, which the task itself writes.
pub(crate) fn result_of<'a>(
    runs: impl IntoIterator<Item = &'a RunPlace>,
    bucket: &str,
    key: &str,
) -> Option<(RunPlace, TaskPath, Attempt)> {
    let (folder, file) = key.rsplit_once('/')?;
    let (attempt, name) = file.split_once('.')?;
    if !["data.json", "DONE.lock"].contains(&name) {
        return None;
    }
    let attempt = Attempt(attempt.parse().ok()?);
    let at = format!("{bucket}/{folder}");
    runs.into_iter().find_map(|place| {
        let of_run = format!("{}{}/{}/", place.root, place.flow, place.run);
        let (step, task) = at.strip_prefix(&of_run)?.split_once('/')?;
        Some((place.clone(), task_path(&place.run, step, task)?, attempt))
    })
}

fn task_path(run: &RunId, step: &str, task: &str) -> Option<TaskPath> {
    Some(TaskPath {
        run: run.clone(),
        step: StepName::new(step).ok()?,
        task: TaskId::new(task).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use model::layout;

    use super::*;

    #[test]
    fn keys_of_the_layout_are_known_again() {
        let flow: FlowName = "F".parse().unwrap();
        let task: TaskPath = "17/work/3".parse().unwrap();
        let run = &task.run;
        for prefix in ["", "a/b/"] {
            let find = |key: String| {
                let (place, own) = own("bucket", &format!("{prefix}{key}")).unwrap();
                assert_eq!((&place.flow, &place.run), (&flow, run));
                own
            };
            let launch = find(layout::launch_record(&flow, run, 7));
            assert_eq!(launch, Own::Launch { seq: 7 });
            let claim = ClaimPlace {
                task: task.clone(),
                attempt: Attempt(1),
                launch: 2,
            };
            let found = find(layout::claim(&flow, &task, Attempt(1), 2));
            assert_eq!(found, Own::Claim(claim));
            assert_eq!(find(layout::outcome(&flow, run, 7, 3)), Own::Outcome);
            assert_eq!(
                own("b", &format!("{prefix}{}", layout::bootstrap("00"))),
                None
            );
            assert_eq!(
                own("b", &format!("{prefix}{}", layout::run_record(&flow, run))),
                None
            );
        }
        assert_eq!(own("b", "not.ferroflow/F/17/lease"), None);
    }

    #[test]
    fn results_belong_to_attempts() {
        let (place, _) = own("b", "root/.ferroflow/F/17/lease").unwrap();
        let flow: FlowName = "F".parse().unwrap();
        let task: TaskPath = "17/work/3".parse().unwrap();
        let of = |key: String| result_of([&place], "b", &format!("root/{key}"));
        let done = of(layout::done_lock(&flow, &task, Attempt(2)));
        assert_eq!(done, Some((place.clone(), task.clone(), Attempt(2))));
        assert_eq!(of(layout::attempt_json(&flow, &task, Attempt(2))), None);
        assert_eq!(of("F/18/work/3/2.DONE.lock".to_owned()), None);
        assert_eq!(
            result_of([&place], "other", "root/F/17/work/3/2.DONE.lock"),
            None
        );
    }
}
