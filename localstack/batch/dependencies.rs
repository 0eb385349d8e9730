//! What jobs wait for: other jobs, children of other arrays, the child before.

use std::collections::VecDeque;

use super::{
    event::Effect,
    job::{Body, DependencyKind, Dependent, Job, JobKey, Phase, Submission},
    lifecycle::{DEPENDENT_FAILED, Finish, OVERRIDES_TOO_LONG},
    state::State,
};

impl State {
    /// Resolves dependencies and makes children.
    pub(super) fn considered(&mut self, at: i64, number: u64, effects: &mut Vec<Effect>) {
        if self.fresh.front() == Some(&number) {
            self.fresh.pop_front();
        }
        let Some(submission) = self.submissions.get(&number) else {
            return;
        };
        if submission.whole().phase != Phase::Submitted {
            return;
        }
        let spec = submission.spec.clone();
        let mut finishes = Vec::new();
        if let Some(size) = spec.size {
            let sequential = spec
                .depends_on
                .iter()
                .any(|on| on.kind == DependencyKind::Sequential);
            self.spawn_children(at, number, size, sequential);
        }
        let mut failure: Option<&'static str> = spec.overlong.then_some(OVERRIDES_TOO_LONG);
        for on in &spec.depends_on {
            let other = on.job.as_deref().and_then(|id| self.key(id));
            let Some(other) = other else { continue };
            match (on.kind, spec.size) {
                (DependencyKind::NToN, Some(size)) => {
                    self.tie_children(number, other.submission, size, &mut finishes);
                }
                (DependencyKind::Sequential, _) => {}
                _ => match self.job(other).map(|job| job.phase) {
                    Some(Phase::Failed { .. }) => failure = failure.or(Some(DEPENDENT_FAILED)),
                    None | Some(Phase::Succeeded { .. }) => {}
                    Some(_) => self.tie(number, other, DependencyKind::Whole),
                },
            }
        }
        if let Some(reason) = failure {
            self.fail_whole(number, &reason.into(), &mut finishes);
        }
        self.finish_all(at, finishes, effects);
        self.release(at, number, effects);
    }

    fn spawn_children(&mut self, at: i64, number: u64, size: u32, sequential: bool) {
        let Some(Submission {
            body:
                Body::Array {
                    children,
                    counts,
                    updated_at,
                    ..
                },
            ..
        }) = self.submissions.get_mut(&number)
        else {
            return;
        };
        let unmet = |index: u32| u32::from(sequential && index > 0);
        *children = (0..size)
            .map(|index| {
                Job::new(
                    Phase::Pending {
                        unmet: unmet(index),
                    },
                    at,
                )
            })
            .collect();
        let pending = Phase::Pending { unmet: 0 };
        counts[pending.status() as usize] = size;
        *updated_at = at;
    }

    /// Makes a submission wait for a job. A child that is waited for is kept with its array.
    fn tie(&mut self, number: u64, other: JobKey, kind: DependencyKind) {
        if let Some(other_submission) = self.submissions.get_mut(&other.submission) {
            other_submission.dependents.push(Dependent {
                submission: number,
                kind,
                of_index: other.index,
            });
            if kind == DependencyKind::Whole
                && let Some(submission) = self.submissions.get_mut(&number)
            {
                submission.unmet += 1;
            }
        }
    }

    /// Makes child n wait for child n.
    fn tie_children(&mut self, number: u64, other: u64, size: u32, finishes: &mut Vec<Finish>) {
        for index in 0..size {
            let of = |submission| JobKey {
                submission,
                index: Some(index),
            };
            match self.job(of(other)).map(|job| job.phase) {
                // Submissions are looked at in their order: the other one has its children.
                None | Some(Phase::Succeeded { .. }) => {}
                Some(Phase::Failed { .. }) => finishes.push(Finish {
                    key: of(number),
                    failure: Some(DEPENDENT_FAILED.into()),
                }),
                Some(_) => self.add_unmet(of(number)),
            }
        }
        let other = JobKey {
            submission: other,
            index: None,
        };
        self.tie(number, other, DependencyKind::NToN);
    }

    fn add_unmet(&mut self, key: JobKey) {
        if let Some(Phase::Pending { unmet }) = self.job_mut(key).map(|job| &mut job.phase) {
            *unmet += 1;
        }
    }

    /// Once nothing is waited for by the whole, what can run becomes RUNNABLE.
    pub(super) fn release(&mut self, at: i64, number: u64, effects: &mut Vec<Effect>) {
        let Some(submission) = self.submissions.get(&number) else {
            return;
        };
        if submission.whole().status().is_terminal() {
            return;
        }
        let waits = submission.unmet > 0;
        let whole = JobKey {
            submission: number,
            index: None,
        };
        match &submission.body {
            Body::Plain(_) if waits => self.set_phase(at, whole, Phase::Pending { unmet: 0 }),
            Body::Plain(_) => self.runnable(at, whole, effects),
            Body::Array { children, .. } => {
                let ready: Vec<u32> = (0..)
                    .zip(children)
                    .filter(|(_, child)| !waits && child.phase == Phase::Pending { unmet: 0 })
                    .map(|(index, _)| index)
                    .collect();
                self.set_phase(at, whole, Phase::Pending { unmet: 0 });
                for index in ready {
                    let key = JobKey {
                        submission: number,
                        index: Some(index),
                    };
                    self.runnable(at, key, effects);
                }
            }
        }
    }

    pub(super) fn tell_dependents(
        &mut self,
        at: i64,
        key: JobKey,
        succeeded: bool,
        open: &mut VecDeque<Finish>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(submission) = self.submissions.get(&key.submission) else {
            return;
        };
        let sequential = submission
            .spec
            .depends_on
            .iter()
            .any(|on| on.kind == DependencyKind::Sequential);
        let dependents = submission.dependents.clone();
        let mut met = Vec::new();
        if let Some(index) = key.index {
            if sequential {
                met.push(JobKey {
                    submission: key.submission,
                    index: Some(index + 1),
                });
            }
            let n_to_n = dependents
                .iter()
                .filter(|dependent| dependent.kind == DependencyKind::NToN);
            met.extend(n_to_n.map(|dependent| JobKey {
                submission: dependent.submission,
                index: Some(index),
            }));
        }
        for key in met {
            let failure = Some(DEPENDENT_FAILED.into());
            if succeeded {
                self.met(at, key, effects);
            } else if self.job(key).is_some() {
                open.push_back(Finish { key, failure });
            }
        }
        let whole = |dependent: &&Dependent| {
            dependent.kind == DependencyKind::Whole && dependent.of_index == key.index
        };
        for dependent in dependents.iter().filter(whole) {
            let number = dependent.submission;
            if succeeded {
                if let Some(submission) = self.submissions.get_mut(&number) {
                    submission.unmet = submission.unmet.saturating_sub(1);
                    if submission.unmet == 0 {
                        self.release(at, number, effects);
                    }
                }
            } else {
                let mut finishes = Vec::new();
                self.fail_whole(number, &DEPENDENT_FAILED.into(), &mut finishes);
                open.extend(finishes);
            }
        }
    }

    /// A child waits for one job less.
    fn met(&mut self, at: i64, key: JobKey, effects: &mut Vec<Effect>) {
        let waits = self
            .submission(key.submission)
            .is_some_and(|submission| submission.unmet > 0);
        let Some(Phase::Pending { unmet }) = self.job_mut(key).map(|job| &mut job.phase) else {
            return;
        };
        *unmet = unmet.saturating_sub(1);
        if *unmet == 0 && !waits {
            self.runnable(at, key, effects);
        }
    }
}
