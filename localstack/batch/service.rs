//! The service: the core behind a lock, its journal, and the task that lets it place jobs.

use std::{
    collections::{BTreeSet, HashMap},
    fmt, io,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::sync::{Notify, watch};

use super::{
    JobCredentials,
    admission::{Decision, Machine},
    event::{Effect, Entry, Event, Outcome, Snapshot, Whole},
    job::JobKey,
    process::{Interpreters, MemoryWatch, Starter, machine},
    request::Request,
    run::{self, Order},
    shapes,
    state::State,
};
use crate::{ApiError, Context, Journal, Reply};

/// How long finished jobs can be described (user guide, "Job states").
const RETENTION: Duration = Duration::from_hours(7 * 24);
/// The journal is written anew when that many lines have come since.
const LINES_PER_SNAPSHOT: usize = 200_000;

/// AWS Batch of one stack.
pub struct Batch {
    shared: Arc<Shared>,
}

/// What the service, its scheduler and its jobs share.
pub(super) struct Shared {
    pub(super) context: Arc<Context>,
    pub(super) credentials: Arc<dyn JobCredentials>,
    pub(super) machine: Machine,
    pub(super) starter: Starter,
    pub(super) memory: Arc<MemoryWatch>,
    pub(super) interpreters: Interpreters,
    /// Images of which was said that they are not used.
    pub(super) images: Mutex<BTreeSet<String>>,
    core: Mutex<Core>,
    wake: Arc<Notify>,
    /// Notified whenever a job has left its place.
    left: Notify,
}

/// The core with what is needed to change it.
pub(super) struct Core {
    pub(super) state: State,
    journal: Journal,
    lines: usize,
    last_at: i64,
    running: HashMap<JobKey, watch::Sender<Control>>,
    closed: bool,
}

/// What a running job is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Control {
    /// Go on.
    Run,
    /// Somebody asked for its end.
    Stop,
    /// The stack ends.
    Kill,
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch")
            .field("folder", &self.shared.context.folder)
            .finish_non_exhaustive()
    }
}

impl Batch {
    /// Opens `<folder>/batch` and replays its journal. Jobs that had a place lost their host; what is left of their
    /// processes is killed. Called in a tokio runtime.
    pub fn open(
        context: Arc<Context>,
        credentials: Arc<dyn JobCredentials>,
    ) -> io::Result<Arc<Self>> {
        let folder = context.folder.join("batch");
        let (journal, entries) = Journal::open::<Entry>(folder.join("journal.jsonl"))?;
        let mut state = State::default();
        let mut last_at = 0;
        let mut effects = Vec::new();
        for Entry { at, event } in entries {
            state.handle(at, event, &mut effects);
            effects.clear();
            last_at = at.max(last_at);
        }
        let machine = Machine {
            has: machine(),
            strict: context.strict,
        };
        let shared = Arc::new(Shared {
            core: Mutex::new(Core {
                state,
                journal,
                lines: 0,
                last_at,
                running: HashMap::new(),
                closed: false,
            }),
            starter: Starter::new()?,
            memory: Arc::default(),
            interpreters: Interpreters::new(folder.join("python")),
            images: Mutex::default(),
            wake: Arc::default(),
            left: Notify::new(),
            context,
            credentials,
            machine,
        });
        shared.recover()?;
        let (weak, wake) = (Arc::downgrade(&shared), Arc::clone(&shared.wake));
        tokio::spawn(schedule(weak, wake));
        Ok(Arc::new(Self { shared }))
    }

    /// Carries out one operation, in AWS's spelling; `body` is its JSON. Called from a tokio task.
    #[expect(clippy::unused_async, reason = "operations may come to wait")]
    pub async fn call(&self, operation: &str, body: &[u8]) -> Reply {
        let body = if body.is_empty() { b"{}" } else { body };
        let mut request: Value = serde_json::from_slice(body).map_err(|error| ApiError {
            status: 400,
            code: "SerializationException",
            message: format!("the request is no JSON: {error}"),
        })?;
        Self::check_known(operation)?;
        shapes::prune(operation, &mut request);
        shapes::check(operation, &request)?;
        let Value::Object(members) = request else {
            return Err(ApiError::client("the request is no object"));
        };
        let reply = self.shared.call(operation, &Request(members), body.len());
        self.shared.wake.notify_one();
        if cfg!(debug_assertions)
            && let Ok(reply) = &reply
            && let Err(text) = shapes::is_reply(operation, reply)
        {
            return Err(ApiError::server(format!(
                "the answer of {operation} is not as AWS's: {text}"
            )));
        }
        reply
    }

    /// Ends all jobs' processes; the stack stops. The jobs lose their hosts, as after a crash.
    pub async fn stop(&self) {
        self.shared.close();
        loop {
            let left = self.shared.left.notified();
            tokio::pin!(left);
            left.as_mut().enable();
            if self.shared.core().running.is_empty() {
                break;
            }
            left.await;
        }
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        self.shared.close();
    }
}

impl Shared {
    pub(super) fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        let mut core = self.core();
        core.closed = true;
        for stop in core.running.values() {
            stop.send_replace(Control::Kill);
        }
        drop(core);
        self.wake.notify_one();
    }

    /// Tells the core what happened and has done what it wants done. Nothing has happened if the journal cannot be written.
    pub(super) fn apply(&self, core: &mut Core, event: Event) -> Result<(), ApiError> {
        let at = self.context.clock.now_ms().max(core.last_at);
        core.last_at = at;
        let entry = [Entry { at, event }];
        core.journal.append(&entry).map_err(|error| {
            ApiError::server(format!(
                "the journal of the stack cannot be written: {error}"
            ))
        })?;
        core.lines += 1;
        let mut effects = Vec::new();
        let [Entry { event, .. }] = entry;
        core.state.handle(at, event, &mut effects);
        for effect in effects {
            self.carry_out(core, &effect);
        }
        Ok(())
    }

    fn carry_out(&self, core: &Core, effect: &Effect) {
        match effect {
            Effect::Stop(key) => {
                if let Some(stop) = core.running.get(key) {
                    stop.send_replace(Control::Stop);
                }
            }
            Effect::Finished(key) => {
                let Some(submission) = core.state.submission(key.submission) else {
                    return;
                };
                let Some(job) = submission.job(key.index) else {
                    return;
                };
                let detail = json!({
                    "jobId": submission.id(key.index), "jobName": submission.spec.name, "status": job.status().as_str(),
                    "statusReason": job.status_reason, "attempts": job.attempts.len(),
                });
                self.record("job.ended", detail);
            }
        }
    }

    pub(super) fn record(&self, kind: &str, detail: Value) {
        self.context
            .history
            .record(self.context.clock.now_ms(), kind, detail);
    }

    /// What was running when the last process of this stack ended has lost its host.
    fn recover(self: &Arc<Self>) -> io::Result<()> {
        let mut core = self.core();
        let placed: Vec<_> = core
            .state
            .placed
            .iter()
            .map(|(key, placed)| (*key, placed.process))
            .collect();
        for (key, process) in placed {
            let Some((id, attempt)) =
                core.state
                    .submission(key.submission)
                    .and_then(|submission| {
                        let job = submission.job(key.index)?;
                        Some((submission.id(key.index), job.attempt()))
                    })
            else {
                continue;
            };
            super::process::sweep(process, &id);
            let outcome = run::host_lost(&id, attempt);
            let event = Event::Ended {
                key,
                attempt,
                outcome,
            };
            self.apply(&mut core, event).map_err(io::Error::other)?;
        }
        let jobs = self.context.folder.join("batch/jobs");
        match std::fs::remove_dir_all(&jobs) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(%error, folder = %jobs.display(), "folders of old jobs cannot be removed");
            }
            _ => {}
        }
        self.expire(&mut core).map_err(io::Error::other)?;
        self.first_resources(&mut core).map_err(io::Error::other)?;
        Self::compact(&mut core)
    }

    fn expire(&self, core: &mut Core) -> Result<(), ApiError> {
        let kept = self.context.clock.real(RETENTION).as_millis() as i64;
        let before = self.context.clock.now_ms() - kept;
        match core.state.finished.front() {
            Some((at, _)) if *at < before => self.apply(core, Event::Expired { before }),
            _ => Ok(()),
        }
    }

    fn compact(core: &mut Core) -> io::Result<()> {
        let Core {
            state,
            journal,
            last_at,
            ..
        } = core;
        let event = Whole::Snapshot(state);
        journal.rewrite(std::iter::once(Snapshot {
            at: *last_at,
            event,
        }))?;
        core.lines = 0;
        Ok(())
    }

    /// Looks at new submissions and places jobs until nothing more can be placed.
    fn pass(self: &Arc<Self>) -> Result<(), ApiError> {
        let mut core = self.core();
        if core.closed {
            return Ok(());
        }
        self.expire(&mut core)?;
        while let Some(submission) = core.state.fresh.front().copied() {
            self.apply(&mut core, Event::Considered { submission })?;
        }
        while let Some(decision) = core.state.next_decision(self.machine) {
            match decision {
                Decision::Block { key, reason } => {
                    self.apply(&mut core, Event::Blocked { key, reason })?;
                }
                Decision::Place {
                    key,
                    environment,
                    oversize,
                } => {
                    self.apply(&mut core, Event::Placed { key, environment })?;
                    self.start(&mut core, key, oversize);
                }
            }
        }
        if core.lines > LINES_PER_SNAPSHOT {
            let compacted = Self::compact(&mut core);
            compacted.map_err(|error| {
                ApiError::server(format!("the journal cannot be shortened: {error}"))
            })?;
        }
        Ok(())
    }

    fn start(self: &Arc<Self>, core: &mut Core, key: JobKey, oversize: bool) {
        let Some(order) = Order::new(&self.context, &core.state, key) else {
            return;
        };
        if oversize {
            tracing::warn!(
                job.id = order.job_id,
                "the job asks for more than this machine has, and runs alone"
            );
        }
        let (stop, stopped) = watch::channel(Control::Run);
        core.running.insert(key, stop);
        let shared = Arc::clone(self);
        tokio::spawn(async move {
            let attempt = order.attempt;
            let outcome = run::run(&shared, order, stopped).await;
            shared.ended(key, attempt, outcome);
        });
    }

    /// The process of this attempt is there.
    pub(super) fn running(
        &self,
        key: JobKey,
        attempt: u32,
        process: Option<super::event::Process>,
    ) {
        let event = Event::Running {
            key,
            attempt,
            process,
        };
        let mut core = self.core();
        if let Err(error) = self.apply(&mut core, event) {
            tracing::error!(%error, "a job is running and cannot be recorded");
        }
    }

    fn ended(&self, key: JobKey, attempt: u32, outcome: Outcome) {
        let event = Event::Ended {
            key,
            attempt,
            outcome,
        };
        let mut core = self.core();
        core.running.remove(&key);
        // A stack that stops leaves its jobs to the next one, which finds that they lost their host.
        if !core.closed
            && let Err(error) = self.apply(&mut core, event)
        {
            tracing::error!(%error, "a job is over and cannot be recorded");
        }
        drop(core);
        self.left.notify_waiters();
        self.wake.notify_one();
    }
}

/// The scheduler: one task for all jobs, which sleeps while nothing happens.
async fn schedule(shared: Weak<Shared>, wake: Arc<Notify>) {
    loop {
        match shared.upgrade() {
            None => return,
            Some(shared) if shared.core().closed => return,
            Some(shared) => {
                if let Err(error) = shared.pass() {
                    tracing::error!(%error, "jobs cannot be placed");
                }
            }
        }
        wake.notified().await;
    }
}
