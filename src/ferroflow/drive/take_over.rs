//! A run that another launcher has begun: the core repeats what it did there, and what was in flight is found again.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    fs,
    path::{Path, PathBuf},
    rc::Rc,
    sync::Arc,
};

use anyhow::{Context, anyhow};
use compute::host::protocol::Prepared;
use datastore::{AttemptRef, ObjectStore, TaskResult};
use model::{Attempt, StepName, TaskId, TaskKey, launch_record::LocalMember};
use scheduler::{Command, Outcome};

use super::{Driver, Happening, local::Start, states::Ahead};
use crate::{
    batch::{Fenced, Found, Recovered},
    report::Tone,
};

/// An id that a metadata provider gives.
type TaskNumber = u64;

/// Tasks of a step that were made, and of which the launch chain knows nothing.
pub(super) type MadeInVain = HashMap<StepName, BTreeSet<TaskNumber>>;

impl<S: ObjectStore + 'static> Driver<S> {
    pub(super) fn take_over(&mut self, recovered: Recovered) {
        let Recovered {
            turns,
            tasks,
            attempts,
            ..
        } = recovered;
        let mut commands = Vec::new();
        for turn in turns {
            self.run.repeat(turn, &mut commands);
        }
        self.task_ids = tasks;
        self.announce_host();
        self.made_in_vain = self.made_in_vain();
        if self.run.is_ending() {
            let error = anyhow!("the run was being ended when its launcher died: resume it");
            return self.break_down(error);
        }
        self.wait_on(commands);
        let launched: Vec<_> = self.run.launched().collect();
        let progress = self.run.progress();
        let done: usize = progress.steps.iter().map(|step| step.done).sum();
        let jobs = launched
            .iter()
            .filter(|key| matches!(attempts.get(key), Some(Found::Batch(_))));
        let text = format!(
            "Attached: {done} tasks had ended, {} were in flight, {} of them on AWS Batch.",
            launched.len(),
            jobs.count()
        );
        self.say(Tone::System, &text);
        for key in launched {
            self.now_is(key, Some(Ahead::Starting));
            match attempts.get(&key) {
                Some(Found::Local) => self.look_after(key),
                Some(Found::Batch(adopted)) => {
                    self.adopted.insert(key, adopted.clone());
                    self.unasked.push_back(key);
                }
                // It was decided, and nothing more than a task made of it.
                None => self.unasked.push_back(key),
            }
        }
        self.ask();
    }

    /// Tells the host of the launcher before, which may live, to make no more tasks (python/ferroflow/attach.py).
    fn announce_host(&self) {
        const NAME: &str = "ferroflow-host";
        let Some(run) = self.metadata_folder() else {
            return;
        };
        // It appears as a whole.
        let draft = run.join(format!("_meta/{NAME}.{}", std::process::id()));
        let written = fs::write(&draft, self.host_pid.to_string())
            .and_then(|()| fs::rename(&draft, run.join("_meta").join(NAME)));
        if let Err(error) = written {
            tracing::warn!(%error, "the run's folder does not take the name of its host");
        }
    }

    /// The run's folder of the local metadata provider, where it has that.
    fn metadata_folder(&self) -> Option<PathBuf> {
        let root = Path::new(self.plan.metadata_root.as_ref()?);
        let flow = root.join(self.plan.flow.as_str());
        Some(flow.join(self.plan.run.as_str()))
    }

    /// Ids of tasks that were made, and of which the launch chain knows nothing: the launcher died first.
    fn made_in_vain(&self) -> MadeInVain {
        let known: HashSet<_> = self.task_ids.values().map(TaskId::as_str).collect();
        let steps = self.plan.steps.keys();
        let in_vain = steps.map(|step| {
            let made = self.made(step).into_iter();
            let unknown = made.filter(|id| !known.contains(id.as_str()));
            // Other ids are not a provider's.
            let numbers = unknown.filter_map(|id| id.parse().ok());
            (step.clone(), numbers.collect::<BTreeSet<_>>())
        });
        in_vain.filter(|(_, numbers)| !numbers.is_empty()).collect()
    }

    /// The tasks of a step that there are: the folders of the local provider, or what the host has heard of a service.
    fn made(&self, step: &StepName) -> Vec<String> {
        let Some(run) = self.metadata_folder() else {
            let made = self
                .plan
                .tasks_made
                .iter()
                .filter_map(|made| made.get(step));
            return made.flatten().map(ToString::to_string).collect();
        };
        let entries = fs::read_dir(run.join(step.as_str())).into_iter().flatten();
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        names.collect()
    }

    /// Whether tasks of this step are to be given ids of tasks that were made in vain.
    pub(super) fn reuses_ids(&self, step: &StepName) -> bool {
        self.made_in_vain.contains_key(step)
    }

    /// A task that was made is not made a second time: the first would be seen for ever as one that never ran.
    pub(super) fn reuse_id(&mut self, task: TaskKey) {
        if self.task_ids.contains_key(&task) {
            return;
        }
        let step = self.run.task(task).step;
        let Some(made) = self.made_in_vain.get_mut(step) else {
            return;
        };
        let number = made.pop_first();
        if made.is_empty() {
            self.made_in_vain.remove(step);
        }
        if let Some(id) = number.and_then(|number| TaskId::new(number.to_string()).ok()) {
            self.task_ids.insert(task, id);
        }
    }

    /// Retries that waited for their time go on waiting.
    fn wait_on(&mut self, commands: Vec<Command>) {
        let waiting: HashSet<_> = self.run.waiting().collect();
        for command in commands {
            if let Command::Wake { timer, at } = command
                && waiting.contains(&timer)
            {
                self.wake(timer, at);
            }
        }
    }

    /// A process of the launcher's machine has ended with it, perhaps after its work was done.
    fn look_after(&mut self, (task, attempt): (TaskKey, Attempt)) {
        let Some(id) = self.task_ids.get(&task).cloned() else {
            return;
        };
        let path = self.path(self.step(task), id);
        let (store, flow) = (Arc::clone(&self.store), self.plan.flow.clone());
        let (known, datastore) = (Arc::clone(&self.known), Rc::clone(&self.datastore));
        let reports = self.reports.clone();
        tokio::task::spawn_local(async move {
            let at = AttemptRef {
                flow: &flow,
                task: &path,
                attempt,
            };
            let read = async || {
                let result = datastore::task_result::read(&*store, at, &known).await;
                result.with_context(|| format!("cannot read the results of task {path}"))
            };
            let happening = match datastore.outlast(|| false, read).await {
                Ok(TaskResult::Succeeded(transition)) => Happening::Settled {
                    task,
                    attempt,
                    outcome: Outcome::Succeeded(transition),
                },
                Ok(_) => Happening::Settled {
                    task,
                    attempt,
                    // No fault of its own: as often as there are numbers of attempts, to which the scheduler sees.
                    outcome: Outcome::Lost {
                        free: Attempt::LIMIT,
                    },
                },
                Err(error) => Happening::Broken(error),
            };
            let _ = reports.send(happening);
        });
    }

    /// An attempt on this machine of a run with jobs stands in the launch chain before it starts: whoever takes the run over
    /// must know that it has ended with us.
    pub(super) fn record_and_start(
        &mut self,
        task: TaskKey,
        attempt: Attempt,
        prepared: Prepared,
        start: Start,
    ) {
        let Some(batch) = &self.batch else {
            return self.start_local(task, attempt, prepared, start);
        };
        let recording = batch.record_local(LocalMember {
            key: task,
            task: self.path(self.step(task), prepared.task_id.clone()),
            attempt,
        });
        let reports = self.reports.clone();
        tokio::task::spawn_local(async move {
            let happening = match recording.await {
                Ok(()) => Happening::Recorded {
                    task,
                    attempt,
                    prepared: Box::new(prepared),
                    start,
                },
                Err(error) => match error.downcast::<Fenced>() {
                    Ok(fenced) => Happening::Fenced(fenced),
                    Err(error) => Happening::Broken(error),
                },
            };
            let _ = reports.send(happening);
        });
    }

    pub(super) fn on_recorded(
        &mut self,
        task: TaskKey,
        attempt: Attempt,
        prepared: Prepared,
        start: Start,
    ) {
        if self.halting.is_some() || self.broken.is_some() {
            self.not_started(task, attempt);
        } else {
            self.start_local(task, attempt, prepared, start);
        }
    }
}
