//! Asking the flow host for command lines: attempts one by one, siblings of a foreach together.

use std::{rc::Rc, sync::Arc};

use bytes::Bytes;
use compute::host::{
    HostError, PrepareSiblings, SiblingKey,
    protocol::{DatastoreWrite, FinishOutcome, Prepare, Prepared},
};
use datastore::{ObjectStore, PutOptions};
use model::{Attempt, TaskKey, TaskPath};
use scheduler::{Event, FailureClass, Outcome};
use tokio::task::JoinSet;

use super::{Driver, Happening};
use crate::{batch::Fenced, disk, failpoint};

/// So many that the host never waits for the next one.
const MAX_OPEN_QUESTIONS: usize = 4;

/// Siblings in one question: the host answers them in a tenth of a second.
const MAX_SIBLINGS: usize = 250;

/// What upstream's launcher writes for attempts, at a time.
const WRITES_AT_ONCE: usize = 32;

/// Attempts that the host was asked for together, and its answers in their order.
#[derive(Debug)]
pub(super) struct Answered {
    attempts: Vec<(TaskKey, Attempt)>,
    answers: Result<Vec<Prepared>, HostError>,
}

impl<S: ObjectStore + 'static> Driver<S> {
    /// Asks the host for the command lines of attempts. It answers one question at a time, so the
    /// others wait here, where they can be dropped.
    pub(super) fn ask(&mut self) {
        while self.open_questions < MAX_OPEN_QUESTIONS && !self.disk.is_full() {
            let attempts = self.next_siblings();
            let Some(first) = attempts.first().copied() else {
                return;
            };
            self.open_questions += 1;
            self.preparing += attempts.len();
            if attempts.len() == 1 {
                self.prepare(first);
            } else {
                self.prepare_siblings(attempts);
            }
        }
    }

    /// The next attempt, and with it those after it that are first attempts of its siblings, if they go to Batch.
    fn next_siblings(&mut self) -> Vec<(TaskKey, Attempt)> {
        let alike = |(task, attempt): (TaskKey, Attempt)| {
            let view = self.run.task(task);
            let on_batch = (self.plan.steps.get(view.step)).is_some_and(|step| step.batch);
            let is_child = view.split_index.is_some() && attempt.0 == 0;
            // Another launcher may have made some of them, whose ids are used.
            let is_new = !self.reuses_ids(view.step) && !self.task_ids.contains_key(&task);
            (is_child && on_batch && is_new).then(|| (view.step.clone(), view.inputs.to_vec()))
        };
        let Some(first) = self.unasked.front().copied() else {
            return Vec::new();
        };
        let count = match alike(first) {
            None => 1,
            Some(kind) => {
                let next = self.unasked.iter().take(MAX_SIBLINGS);
                let siblings = next.take_while(|other| alike(**other).as_ref() == Some(&kind));
                siblings.count()
            }
        };
        self.unasked.drain(..count).collect()
    }

    /// The run ended before the host was asked: nothing has been done for these attempts.
    pub(super) fn drop_unasked(&mut self) {
        self.take_back_those_without_room();
        for (task, attempt) in std::mem::take(&mut self.unasked) {
            self.end_adopted((task, attempt));
            self.not_started(task, attempt);
        }
    }

    /// Of an attempt that is not gone on with, whose job may run.
    fn end_adopted(&mut self, key: (TaskKey, Attempt)) {
        let adopted = self.adopted.remove(&key);
        if let (Some(adopted), Some(batch), Some(id)) =
            (adopted, &self.batch, self.task_ids.get(&key.0))
        {
            let path = self.path(self.step(key.0), id.clone());
            batch.end_adopted(path, key.1, adopted);
        }
    }

    pub(super) fn not_started(&mut self, task: TaskKey, attempt: Attempt) {
        let outcome = Outcome::Failed(FailureClass::NoRetry);
        self.handle(Event::TaskEnded {
            task,
            attempt,
            outcome,
        });
    }

    fn prepare(&mut self, (task, attempt): (TaskKey, Attempt)) {
        self.reuse_id(task);
        let view = self.run.task(task);
        let inputs = self.input_paths(task);
        let question = Prepare {
            id: 0,
            task,
            step: view.step,
            attempt,
            split_index: view.split_index,
            max_user_code_retries: view.max_user_code_retries,
            input_paths: &inputs,
            task_id: self.task_ids.get(&task),
        };
        let answer = self.host.prepare(question);
        let answer = async { answer.await.map(|prepared| vec![prepared]) };
        self.wait_for(vec![(task, attempt)], answer);
    }

    fn prepare_siblings(&mut self, attempts: Vec<(TaskKey, Attempt)>) {
        let Some((first, _)) = attempts.first().copied() else {
            return;
        };
        let member = |(task, _): &(TaskKey, Attempt)| SiblingKey {
            task: *task,
            split_index: self.run.task(*task).split_index.unwrap_or_default(),
        };
        let members: Vec<_> = attempts.iter().map(member).collect();
        let (view, inputs) = (self.run.task(first), self.input_paths(first));
        let question = PrepareSiblings {
            id: 0,
            step: view.step,
            members: &members,
            max_user_code_retries: view.max_user_code_retries,
            input_paths: &inputs,
        };
        let answer = self.host.prepare_siblings(question);
        self.wait_for(attempts, answer);
    }

    /// Waits for an answer, and has written what belongs to it.
    fn wait_for(
        &self,
        attempts: Vec<(TaskKey, Attempt)>,
        answer: impl Future<Output = Result<Vec<Prepared>, HostError>> + 'static,
    ) {
        let reports = self.reports.clone();
        let (store, datastore) = (Arc::clone(&self.store), Rc::clone(&self.datastore));
        tokio::task::spawn_local(async move {
            let answers = answer.await;
            let writes = answers.iter().flatten().flat_map(|answer| &answer.writes);
            let write = async || write_all(&store, writes.clone()).await;
            let happening = match datastore.outlast(|| false, write).await {
                Ok(()) => Happening::Prepared(Answered { attempts, answers }),
                Err(error) => Happening::Broken(error),
            };
            let _ = reports.send(happening);
        });
    }

    fn input_paths(&self, task: TaskKey) -> Vec<TaskPath> {
        let view = self.run.task(task);
        if view.inputs.is_empty() {
            return vec![self.plan.params.clone()];
        }
        view.inputs
            .iter()
            .filter_map(|input| {
                let id = self.task_ids.get(input)?.clone();
                Some(self.path(self.step(*input), id))
            })
            .collect()
    }

    pub(super) fn on_prepared(&mut self, answered: Answered) {
        let Answered {
            mut attempts,
            answers,
        } = answered;
        failpoint::reach("prepared");
        self.open_questions -= 1;
        self.preparing -= attempts.len();
        match answers {
            Ok(answers) => {
                self.disk.found_room();
                self.ask_again(attempts.split_off(answers.len().min(attempts.len())));
                for ((task, attempt), prepared) in attempts.into_iter().zip(answers) {
                    self.on_answer(task, attempt, prepared);
                }
            }
            // What is not on Batch ends with a full disk, as upstream's runs do.
            Err(HostError::Full { error, .. }) if self.batch.is_some() => {
                if self.without_room.is_empty() {
                    self.disk.begin_waiting(&error);
                }
                self.without_room.append(&mut attempts);
            }
            Err(error) => self.on_not_prepared(attempts, error),
        }
        if self.open_questions == 0 && !self.without_room.is_empty() {
            self.wait_for_room();
        }
        self.ask();
    }

    fn wait_for_room(&mut self) {
        if self.halting.is_some() || self.broken.is_some() {
            return self.drop_unasked();
        }
        let reports = self.reports.clone();
        tokio::task::spawn_local(async move {
            disk::pause().await;
            let _ = reports.send(Happening::RoomIsDue);
        });
    }

    pub(super) fn look_for_room(&mut self) {
        if self.without_room.is_empty() {
            return;
        }
        if self.disk.is_awaited_by_others() {
            return self.wait_for_room();
        }
        self.take_back_those_without_room();
        self.ask();
    }

    pub(super) fn take_back_those_without_room(&mut self) {
        if self.without_room.is_empty() {
            return;
        }
        self.disk.stop_waiting();
        for attempt in self.without_room.drain(..).rev() {
            self.unasked.push_front(attempt);
        }
    }

    /// The host did not come to these siblings.
    fn ask_again(&mut self, left: Vec<(TaskKey, Attempt)>) {
        for attempt in left.into_iter().rev() {
            self.unasked.push_front(attempt);
        }
        if self.halting.is_some() || self.broken.is_some() {
            self.drop_unasked();
        }
    }

    fn on_answer(&mut self, task: TaskKey, attempt: Attempt, prepared: Prepared) {
        self.task_ids.insert(task, prepared.task_id.clone());
        if self.halting.is_some() || self.broken.is_some() {
            // The run ended while the host was preparing: nothing has started.
            self.end_adopted((task, attempt));
            self.not_started(task, attempt);
        } else {
            self.start(task, attempt, prepared);
        }
    }

    fn on_not_prepared(&mut self, attempts: Vec<(TaskKey, Attempt)>, error: HostError) {
        let failure = match error {
            HostError::TakenOver => {
                let why = "another one makes its tasks".to_owned();
                if let Some(batch) = &self.batch {
                    batch.close();
                }
                self.fenced = Some(Fenced { why });
                return;
            }
            HostError::Refused { id, .. } | HostError::Full { id, .. } => {
                FinishOutcome::HostError { id }
            }
            other => FinishOutcome::InternalError {
                message: other.to_string(),
            },
        };
        self.host_failure.get_or_insert(failure);
        for (task, attempt) in attempts {
            self.handle(Event::LaunchFailed { task, attempt });
        }
    }
}

/// What upstream's launcher writes before attempts start.
async fn write_all<S: ObjectStore + 'static>(
    store: &Arc<S>,
    writes: impl Iterator<Item = &DatastoreWrite>,
) -> anyhow::Result<()> {
    let mut open = JoinSet::new();
    for DatastoreWrite { key, body } in writes {
        if open.len() >= WRITES_AT_ONCE
            && let Some(done) = open.join_next().await
        {
            done??;
        }
        let (store, key, body) = (Arc::clone(store), key.clone(), Bytes::from(body.clone()));
        open.spawn_local(async move { store.put(&key, body, PutOptions::default()).await });
    }
    while let Some(done) = open.join_next().await {
        done??;
    }
    Ok(())
}
