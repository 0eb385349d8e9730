//! What a history tells of runs, put together for the rules.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use model::{
    Attempt, TaskPath,
    launch_record::{LaunchRecord, Member, Submission},
    spec::{Claim, Ended, TaskOutcome},
};
use serde::{Deserialize, de::DeserializeOwned};

use crate::{
    Finding, History, Promise,
    history::{By, JobEnded, Line, Object, Process, Submitted, What},
    objects::{ClaimPlace, Own, RunPlace, own, result_of},
};

/// All of it.
#[derive(Debug)]
pub(crate) struct Picture<'a> {
    pub(crate) lines: &'a [Line],
    pub(crate) runs: BTreeMap<RunPlace, Run<'a>>,
    pub(crate) jobs: BTreeMap<&'a str, Job<'a>>,
    /// When Batch called a job terminal, by its id or that of the child.
    ended: BTreeMap<&'a str, &'a Line>,
    pub(crate) processes: Vec<Container<'a>>,
    /// The latest of these, by job and start.
    started: HashMap<(&'a str, &'a str), usize>,
}

/// A run whose tasks are launched on Batch.
#[derive(Debug, Default)]
pub(crate) struct Run<'a> {
    pub(crate) records: Vec<Record<'a>>,
    /// Of these, by their numbers.
    by_seq: HashMap<u64, usize>,
    users: Vec<UserProcess<'a>>,
    /// Of these, by the nonces of their claims.
    by_nonce: HashMap<String, usize>,
    /// And by their containers.
    by_container: HashMap<&'a str, Vec<usize>>,
    /// Who wrote each claim last: a nonce and a line.
    claims: BTreeMap<ClaimPlace, (String, usize)>,
    pub(crate) outcomes: Vec<Outcome<'a>>,
    pub(crate) leases: Vec<(&'a Line, Lease, &'a By)>,
    /// Ends and artifacts of attempts.
    pub(crate) results: Vec<TaskResult<'a>>,
}

/// A record of the launch chain.
#[derive(Debug)]
pub(crate) struct Record<'a> {
    pub(crate) line: &'a Line,
    pub(crate) by: &'a By,
    pub(crate) header: LaunchRecord,
}

/// User code: a container that holds its claim.
#[derive(Debug)]
pub(crate) struct UserProcess<'a> {
    pub(crate) place: ClaimPlace,
    pub(crate) by: &'a By,
    /// The claim.
    pub(crate) begun: &'a Line,
    /// The outcome or the end of the container; none if it lives on.
    pub(crate) ended: Option<&'a Line>,
    /// It has said that user code did not start.
    has_not_started: bool,
}

#[derive(Debug)]
pub(crate) struct Outcome<'a> {
    pub(crate) line: &'a Line,
    pub(crate) body: TaskOutcome,
    /// The launch whose claim has the outcome's nonce.
    pub(crate) of: Option<ClaimPlace>,
}

impl Outcome<'_> {
    pub(crate) fn is_success(&self) -> bool {
        matches!(self.body.ended, Ended::Exited { code: 0, .. })
    }

    /// Whether user code failed by itself.
    pub(crate) fn is_own_failure(&self) -> bool {
        match self.body.ended {
            Ended::NotStarted { .. } => false,
            Ended::Exited { code, stopped } => code != 0 && stopped.is_none(),
            Ended::Signaled { stopped, .. } => stopped.is_none() && self.body.oom_kills == 0,
        }
    }
}

/// The launcher's sign of life.
#[derive(Debug, Deserialize)]
pub(crate) struct Lease {
    pub(crate) state: LeaseState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LeaseState {
    Running,
    Cancelled,
    Finished,
}

#[derive(Debug)]
pub(crate) struct TaskResult<'a> {
    pub(crate) line: &'a Line,
    pub(crate) object: &'a Object,
    pub(crate) task: TaskPath,
    pub(crate) attempt: Attempt,
}

/// A submission that Batch has taken.
#[derive(Debug)]
pub(crate) struct Job<'a> {
    pub(crate) line: &'a Line,
    pub(crate) submitted: &'a Submitted,
    /// Of the job itself; of an array, of the parent.
    pub(crate) ended: Option<&'a Line>,
}

/// A process of a job, which the stack has started.
#[derive(Debug)]
pub(crate) struct Container<'a> {
    pub(crate) started: &'a Line,
    pub(crate) process: &'a Process,
    pub(crate) ended: Option<&'a Line>,
}

impl<'a> Picture<'a> {
    /// The picture, and what is wrong with the objects themselves.
    pub(crate) fn of(history: &'a History) -> (Self, Vec<Finding>) {
        let mut picture = Self {
            lines: &history.lines,
            runs: BTreeMap::new(),
            jobs: BTreeMap::new(),
            ended: BTreeMap::new(),
            processes: Vec::new(),
            started: HashMap::new(),
        };
        let mut findings = Vec::new();
        for line in &history.lines {
            match &line.what {
                What::Written(object) => findings.extend(picture.written(line, object)),
                What::Deleted(object) => findings.extend(deleted(line, object)),
                What::Submitted(submitted) => {
                    let job = Job {
                        line,
                        submitted,
                        ended: None,
                    };
                    picture.jobs.insert(&submitted.job_id, job);
                }
                What::JobEnded(JobEnded { job_id }) => {
                    picture.ended.entry(job_id).or_insert(line);
                    if let Some(job) = picture.jobs.get_mut(job_id.as_str()) {
                        job.ended.get_or_insert(line);
                    }
                }
                What::ProcessStarted(process) => picture.process_started(line, process),
                What::ProcessEnded(process) => picture.process_ended(line, process),
                _ => {}
            }
        }
        (picture, findings)
    }

    fn written(&mut self, line: &'a Line, object: &'a Object) -> Option<Finding> {
        let Some((place, own)) = own(&object.bucket, &object.key) else {
            let (place, task, attempt) = result_of(self.runs.keys(), &object.bucket, &object.key)?;
            self.runs
                .entry(place)
                .or_default()
                .results
                .push(TaskResult {
                    line,
                    object,
                    task,
                    attempt,
                });
            return None;
        };
        let run = self.runs.entry(place).or_default();
        let taken = match own {
            Own::Launch { seq } => run.launch(line, object, seq),
            Own::Claim(place) => run.claim(line, object, place),
            Own::Outcome => run.outcome(line, object),
            Own::Lease => read(object).map(|lease| run.leases.push((line, lease, &object.by))),
        };
        taken.err().map(|why| Finding {
            promise: Promise::Objects,
            text: format!("`{}` {why}", object.key),
            lines: vec![line.number],
        })
    }

    fn process_started(&mut self, line: &'a Line, process: &'a Process) {
        self.started
            .insert((&process.job_id, &process.task), self.processes.len());
        self.processes.push(Container {
            started: line,
            process,
            ended: None,
        });
    }

    fn process_ended(&mut self, line: &'a Line, process: &'a Process) {
        let started = (process.job_id.as_str(), process.task.as_str());
        if let Some(&started) = self.started.get(&started) {
            self.processes[started].ended = Some(line);
        }
        for run in self.runs.values_mut() {
            let of_container = run.by_container.get(process.task.as_str());
            for &user in of_container.into_iter().flatten() {
                run.users[user].ended.get_or_insert(line);
            }
        }
    }

    /// Whether Batch had called a job terminal before this line.
    pub(crate) fn had_ended(&self, job: Option<&str>, before: &Line) -> bool {
        let ended = job.and_then(|job| self.ended.get(job));
        ended.is_some_and(|ended| ended.number < before.number)
    }

    /// Programs that write launch chains.
    pub(crate) fn launchers(&self) -> BTreeSet<&'a By> {
        let records = self.runs.values().flat_map(|run| &run.records);
        records.map(|record| record.by).collect()
    }
}

/// What launches rely on stays as long as its run can be attached.
fn deleted(line: &Line, object: &Object) -> Option<Finding> {
    let (_, own) = own(&object.bucket, &object.key)?;
    (own != Own::Lease).then(|| Finding {
        promise: Promise::Objects,
        text: format!("`{}` was deleted", object.key),
        lines: vec![line.number],
    })
}

impl<'a> Run<'a> {
    fn launch(&mut self, line: &'a Line, object: &'a Object, seq: u64) -> Result<(), String> {
        let record: LaunchRecord = read(object)?;
        if record.seq != seq {
            return Err(format!("is the record {} of the chain", record.seq));
        }
        let before = self.by_seq.get(&seq).map(|&known| &self.records[known]);
        // Whoever does not know whether the first try has arrived may write the same again, where the store lets it.
        match before {
            Some(before) if before.header != record => {
                let line = before.line.number;
                Err(format!(
                    "was written before, with other words, in line {line}"
                ))
            }
            Some(_) => Ok(()),
            None => {
                self.by_seq.insert(seq, self.records.len());
                self.records.push(Record {
                    line,
                    by: &object.by,
                    header: record,
                });
                Ok(())
            }
        }
    }

    fn claim(
        &mut self,
        line: &'a Line,
        object: &'a Object,
        place: ClaimPlace,
    ) -> Result<(), String> {
        let claim: Claim = read(object)?;
        let nonce = match &claim {
            Claim::Claimed { nonce, .. } | Claim::Revoked { nonce } => nonce,
        };
        let mine = (nonce.clone(), line.number);
        let before = self.claims.insert(place.clone(), mine);
        // The same again, after a reply that was lost.
        if before.as_ref().is_some_and(|(other, _)| other == nonce) {
            return Ok(());
        }
        if let Claim::Claimed { nonce, .. } = claim {
            self.by_nonce.insert(nonce, self.users.len());
            if let Some(container) = &object.by.task {
                let users = self.by_container.entry(container).or_default();
                users.push(self.users.len());
            }
            self.users.push(UserProcess {
                place,
                by: &object.by,
                begun: line,
                ended: None,
                has_not_started: false,
            });
        }
        match before {
            Some((_, line)) => Err(format!("was written before, by another, in line {line}")),
            None => Ok(()),
        }
    }

    fn outcome(&mut self, line: &'a Line, object: &'a Object) -> Result<(), String> {
        let outcome: TaskOutcome = read(object)?;
        let user = self.by_nonce.get(&outcome.nonce);
        let user = user.map(|&user| &mut self.users[user]);
        let of = user.as_ref().map(|user| user.place.clone());
        if let Some(user) = user {
            user.ended.get_or_insert(line);
            user.has_not_started |= matches!(outcome.ended, Ended::NotStarted { .. });
        }
        let is_told_by_nobody = of.is_none();
        self.outcomes.push(Outcome {
            line,
            body: outcome,
            of,
        });
        if is_told_by_nobody {
            return Err("tells the end of what nobody has claimed".to_owned());
        }
        Ok(())
    }

    /// User code that was started, in the order of its claims.
    pub(crate) fn users(&self) -> impl Iterator<Item = &UserProcess<'a>> {
        self.users.iter().filter(|user| !user.has_not_started)
    }

    /// All attempts that were recorded, in the order of the chain.
    pub(crate) fn members(&self) -> impl Iterator<Item = (&Record<'a>, &Submission, &Member)> {
        self.records.iter().flat_map(|record| {
            let submissions = record.header.submissions.iter();
            submissions.flat_map(move |submission| {
                submission
                    .members
                    .iter()
                    .map(move |m| (record, submission, m))
            })
        })
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = (&Record<'a>, &str)> {
        self.records.iter().flat_map(|record| {
            let submissions = record.header.submissions.iter();
            submissions.map(move |submission| (record, submission.job_name.as_str()))
        })
    }
}

fn read<T: DeserializeOwned>(object: &Object) -> Result<T, String> {
    let Some(head) = &object.head else {
        return Err("does not begin with a line of JSON".to_owned());
    };
    T::deserialize(head).map_err(|error| format!("is not what it should be: {error}"))
}
