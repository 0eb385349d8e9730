//! The service: the core behind a lock, and its journal.

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
    admission::Machine,
    event::{Effect, Entry, Event, Outcome},
    job::{Job, JobKey},
    past::Past,
    process::{Interpreters, MemoryWatch, Starter, machine},
    request::{Asked, Request},
    schedule::{Capacity, schedule},
    shapes,
    state::State,
};
use crate::{ApiError, Context, Journal, Reply, faults::Fault, simulate::Simulator};

/// AWS Batch of one stack.
pub struct Batch {
    shared: Arc<Shared>,
}

/// What the service, its scheduler and its jobs share.
pub(super) struct Shared {
    pub(super) context: Arc<Context>,
    pub(super) credentials: Arc<dyn JobCredentials>,
    pub(super) machine: Machine,
    /// Who plays containers.
    pub(super) simulator: Option<Arc<Simulator>>,
    pub(super) starter: Starter,
    pub(super) memory: Arc<MemoryWatch>,
    pub(super) interpreters: Interpreters,
    /// Images of which was said that they are not used.
    pub(super) images: Mutex<BTreeSet<String>>,
    core: Mutex<Core>,
    pub(super) wake: Arc<Notify>,
    /// Notified whenever nothing is left of an attempt.
    left: Notify,
    own: Weak<Shared>,
}

/// The core with what is needed to change it.
pub(super) struct Core {
    pub(super) state: State,
    pub(super) past: Past,
    pub(super) journal: Journal,
    pub(super) lines: usize,
    pub(super) last_at: i64,
    /// What runs, by job and attempt: one that was called a failure may live beside the next.
    pub(super) running: HashMap<(JobKey, u32), watch::Sender<Control>>,
    pub(super) capacity: Capacity,
    /// Submissions of which nothing is to be left that long after their end.
    pub(super) forget: HashMap<u64, Duration>,
    pub(super) closed: bool,
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
        Self::open_with(context, credentials, None)
    }

    /// The same, with somebody who plays the containers of some jobs.
    pub(crate) fn open_with(
        context: Arc<Context>,
        credentials: Arc<dyn JobCredentials>,
        simulator: Option<Arc<Simulator>>,
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
        let past = Past::new(context.clock.real(context.faults.longest_lag()));
        let machine = Machine {
            has: machine(),
            strict: context.strict,
        };
        let starter = Starter::new()?;
        let shared = Arc::new_cyclic(|own| Shared {
            own: Weak::clone(own),
            core: Mutex::new(Core {
                state,
                past,
                journal,
                lines: 0,
                last_at,
                running: HashMap::new(),
                capacity: Capacity::default(),
                forget: HashMap::new(),
                closed: false,
            }),
            starter,
            memory: Arc::default(),
            interpreters: Interpreters::new(folder.join("python")),
            images: Mutex::default(),
            wake: Arc::default(),
            left: Notify::new(),
            context,
            credentials,
            machine,
            simulator,
        });
        shared.recover()?;
        let (weak, wake) = (Arc::downgrade(&shared), Arc::clone(&shared.wake));
        tokio::spawn(schedule(weak, wake));
        Ok(Arc::new(Self { shared }))
    }

    /// Carries out one operation for the stack itself, with no fault.
    pub async fn call(&self, operation: &str, body: &[u8]) -> Reply {
        self.call_by(operation, body, Asked::default()).await
    }

    /// Carries out one operation, in AWS's spelling; `body` is its JSON. Called from a tokio task.
    #[expect(clippy::unused_async, reason = "operations may come to wait")]
    pub async fn call_by(&self, operation: &str, body: &[u8], asked: Asked) -> Reply {
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
        let request = Request {
            members,
            by: asked.by,
            fault: asked.fault,
        };
        let reply = self.shared.call(operation, &request, body.len());
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
        self.shared.shut();
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
        self.shared.shut();
    }
}

impl Core {
    /// What a request is told: what is true, or what was when a fault wants that.
    pub(super) fn told(&self, context: &Context, request: &Request) -> &State {
        match request.fault {
            Some(Fault::AsOf(lag)) => self.ago(context, lag),
            _ => &self.state,
        }
    }

    /// What was true that long ago.
    pub(super) fn ago(&self, context: &Context, lag: Duration) -> &State {
        let lag = context.clock.real(lag).as_millis() as i64;
        self.past.at(context.clock.now_ms() - lag, &self.state)
    }
}

impl Shared {
    pub(super) fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shut(&self) {
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
        core.past.remember(at, &core.state);
        core.state.handle(at, event, &mut effects);
        for effect in effects {
            self.carry_out(core, &effect);
        }
        Ok(())
    }

    fn carry_out(&self, core: &mut Core, effect: &Effect) {
        match effect {
            Effect::Stop(key) => {
                let attempt = core.state.job(*key).map_or(0, Job::attempt);
                if let Some(stop) = core.running.get(&(*key, attempt)) {
                    stop.send_replace(Control::Stop);
                }
            }
            Effect::Finished(key) => {
                self.tell_end(&core.state, *key);
                if key.index.is_none()
                    && let Some(after) = core.forget.remove(&key.submission)
                {
                    self.forget(key.submission, after);
                }
            }
        }
    }

    fn tell_end(&self, state: &State, key: JobKey) {
        let Some(submission) = state.submission(key.submission) else {
            return;
        };
        let Some(job) = submission.job(key.index) else {
            return;
        };
        let last = job.attempts.last();
        let detail = json!({
            "jobId": submission.id(key.index),
            "jobName": submission.spec.name,
            "index": key.index,
            "status": job.status().as_str(),
            "statusReason": job.status_reason,
            "attempts": job.attempts.len(),
            "exitCode": last.and_then(|last| last.exit_code),
            "reason": last.and_then(|last| last.reason.clone()),
        });
        self.record("job.ended", detail);
    }

    /// Has a submission forgotten later.
    fn forget(&self, submission: u64, after: Duration) {
        let (shared, after) = (self.own.clone(), self.context.clock.real(after));
        tokio::spawn(async move {
            tokio::time::sleep(after).await;
            let Some(shared) = shared.upgrade() else {
                return;
            };
            let mut core = shared.core();
            if let Err(error) = shared.apply(&mut core, Event::Forgotten { submission }) {
                tracing::error!(%error, "a job cannot be forgotten");
            }
        });
    }

    pub(super) fn record(&self, kind: &str, detail: Value) {
        self.context.record(kind, detail);
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
        let submission = core.state.submission(key.submission);
        if let Some(submission) = submission {
            let detail = json!({
                "jobId": submission.id(key.index),
                "jobName": submission.spec.name,
                "index": key.index,
                "attempt": attempt,
            });
            self.record("job.started", detail);
        }
    }

    /// What the attempt came to, whether or not its process has ended.
    pub(super) fn ended(&self, key: JobKey, attempt: u32, outcome: Outcome) {
        let event = Event::Ended {
            key,
            attempt,
            outcome,
        };
        let mut core = self.core();
        // A stack that stops leaves its jobs to the next one, which finds that they lost their host.
        if !core.closed
            && let Err(error) = self.apply(&mut core, event)
        {
            tracing::error!(%error, "a job is over and cannot be recorded");
        }
        drop(core);
        self.wake.notify_one();
    }

    /// Nothing of the attempt is left.
    pub(super) fn left(&self, key: JobKey, attempt: u32) {
        self.core().running.remove(&(key, attempt));
        self.left.notify_waiters();
    }
}
