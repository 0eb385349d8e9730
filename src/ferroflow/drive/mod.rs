//! The driver: owns the scheduler core and one loop. A turn drains what has happened, lets the
//! core handle each event, lets it dispatch once, and carries out its commands on spawned tasks
//! that report back as happenings. Nothing else changes state.

mod batch;
mod commands;
mod failing;
mod halt;
mod local;
mod prepare;
mod progress;
mod record;
mod running;
mod start;
mod states;
mod take_over;
mod telling;

use std::{
    collections::{BTreeSet, HashMap, HashSet, VecDeque},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use anyhow::{Result, anyhow};
use compute::{
    host::{
        Host, HostEvents,
        protocol::{FinishOutcome, Prepared},
    },
    local::{LocalCompute, LocalEvent},
};
use datastore::{KnownValues, ObjectStore};
use model::{Attempt, Plan, StepName, TaskId, TaskKey, TaskPath, Timestamp, run_record::RunState};
use scheduler::{Command, Event, Outcome, Run, TimerId, Turn};
use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior},
};

pub(crate) use self::start::RunStart;
use self::{
    halt::Halting,
    prepare::Answered,
    record::{RECORD_INTERVAL, Recorder},
    running::Running,
    states::States,
};
use crate::{
    advice,
    batch::{Adopted, Batch, BatchEvent, Fenced, Recovered, Turns},
    disk::Disk,
    failpoint,
    report::{Console, Events, FRAME, Failures, StepLines, Tone},
    trouble::Trouble,
};

/// A run that cannot go on waits this long for its jobs to end.
const BREAKDOWN_GRACE: Duration = Duration::from_secs(45);

/// And this much longer for each: TerminateJob is called for ten of them a second.
const BREAKDOWN_GRACE_PER_JOB: Duration = Duration::from_millis(200);

/// Time between two progress lines (`PROGRESS_INTERVAL` in metaflow/runtime.py).
const PROGRESS_INTERVAL: Duration = Duration::from_mins(5);

/// Where a run hears of its attempts on Batch.
pub(crate) type BatchEvents = mpsc::UnboundedReceiver<BatchEvent>;

/// What can happen to a run.
#[derive(Debug)]
enum Happening {
    Prepared(Answered),
    /// An attempt on this machine stands in the launch chain.
    Recorded {
        task: TaskKey,
        attempt: Attempt,
        prepared: Box<Prepared>,
        start: local::Start,
    },
    Judged(local::Judged),
    Settled {
        task: TaskKey,
        attempt: Attempt,
        outcome: Outcome,
    },
    Due(TimerId),
    /// It is time to see whether there is room on the disk now.
    RoomIsDue,
    GraceOver,
    Broken(anyhow::Error),
    Fenced(Fenced),
}

/// Why a run cannot go on, and until when its jobs are waited for.
#[derive(Debug)]
struct Breakdown {
    error: anyhow::Error,
    until: Instant,
}

/// The driver of one run.
#[derive(Debug)]
pub(crate) struct Driver<S> {
    plan: Arc<Plan>,
    run: Run,
    host: Host,
    host_pid: u32,
    host_events: mpsc::UnboundedReceiver<HostEvents>,
    host_is_gone: bool,
    store: Arc<S>,
    known: Arc<KnownValues>,
    console: Console,
    step_lines: StepLines,
    events: Events,
    began: Instant,
    states: States,
    failures: Failures,
    /// Tasks whose next attempt waits for `minutes_between_retries`.
    delayed: HashSet<TaskKey>,
    /// Steps of which it was said that not all their tasks run at once.
    wide: BTreeSet<StepName>,
    local: LocalCompute,
    local_events: mpsc::Receiver<LocalEvent>,
    batch: Option<Batch>,
    batch_events: BatchEvents,
    reports: mpsc::UnboundedSender<Happening>,
    reported: mpsc::UnboundedReceiver<Happening>,
    notices: mpsc::UnboundedReceiver<String>,
    datastore: Rc<Trouble>,
    disk: Rc<Disk>,
    broken: Option<Breakdown>,
    /// Attempts that the host is not asked for yet.
    unasked: VecDeque<(TaskKey, Attempt)>,
    /// Attempts for which the host found no room on the disk.
    without_room: Vec<(TaskKey, Attempt)>,
    /// Questions that the host has not answered.
    open_questions: usize,
    /// Attempts in these.
    preparing: usize,
    task_ids: HashMap<TaskKey, TaskId>,
    attempts: HashMap<(TaskKey, Attempt), Running>,
    halting: Option<Halting>,
    recorder: Recorder,
    turns: Option<Turns>,
    recovered: Option<Recovered>,
    /// Attempts that the launcher before had handed to Batch, until the host has prepared them.
    adopted: HashMap<(TaskKey, Attempt), Adopted>,
    made_in_vain: take_over::MadeInVain,
    fenced: Option<Fenced>,
    host_failure: Option<FinishOutcome>,
    finished: Option<FinishOutcome>,
}

impl<S: ObjectStore + 'static> Driver<S> {
    /// Drives the run to its end and tells the host how it ended.
    pub(crate) async fn run(mut self) -> Result<()> {
        let mut progress = tokio::time::interval_at(
            tokio::time::Instant::now() + PROGRESS_INTERVAL,
            PROGRESS_INTERVAL,
        );
        let mut recording = tokio::time::interval(RECORD_INTERVAL);
        let mut frames = tokio::time::interval(FRAME);
        frames.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.tell_run_start();
        match self.recovered.take() {
            Some(recovered) => self.take_over(recovered),
            None => self.handle(Event::Begun),
        }
        loop {
            if let Some(fenced) = self.fenced.take() {
                self.local.signal_all(nix::sys::signal::Signal::SIGKILL);
                return Err(fenced.into());
            }
            if let Some(broken) = self.broken.take_if(|_| self.attempts.is_empty()) {
                self.say_failures();
                self.record_end(RunState::Failed).await;
                self.tell_run_end(RunState::Failed, Some(&format!("{:#}", broken.error)));
                return Err(broken.error);
            }
            if self.broken.is_none() {
                self.dispatch();
            }
            if let Some(batch) = &self.batch {
                batch.expect(self.unasked.len() + self.preparing);
            }
            if let Some(outcome) = self.finished.take() {
                return self.leave(&outcome).await;
            }
            self.show();
            let until = self.broken.as_ref().map(|broken| broken.until);
            tokio::select! {
                biased;
                // First, because a signal may be why the host refuses what it is asked.
                event = self.host_events.recv(), if !self.host_is_gone => self.on_host(event)?,
                Some(event) = self.local_events.recv() => self.on_local(event),
                Some(event) = self.batch_events.recv() => self.on_batch(event),
                Some(happening) = self.reported.recv() => self.on_happening(happening),
                Some(text) = self.notices.recv() => self.notice(&text),
                _ = progress.tick() => self.print_progress(),
                _ = recording.tick() => self.record_now_and_then(),
                _ = frames.tick(), if self.console.is_live() => {}
                () = wait_until(until) => self.attempts.clear(),
            }
            self.drain()?;
        }
    }

    /// Handles everything that is already there, so that one dispatch serves all of it.
    fn drain(&mut self) -> Result<()> {
        loop {
            if let Ok(event) = self.host_events.try_recv() {
                self.on_host(Some(event))?;
            } else if let Ok(event) = self.local_events.try_recv() {
                self.on_local(event);
            } else if let Ok(event) = self.batch_events.try_recv() {
                self.on_batch(event);
            } else if let Ok(happening) = self.reported.try_recv() {
                self.on_happening(happening);
            } else {
                return Ok(());
            }
        }
    }

    /// The run cannot go on: what runs is ended, jobs too, before that is reported.
    fn break_down(&mut self, error: anyhow::Error) {
        if self.broken.is_some() {
            return;
        }
        let text = format!("The run cannot go on: {}", advice::explained(&error));
        for line in text.lines() {
            self.say(Tone::Bad, line);
        }
        self.take_back_those_without_room();
        self.unasked.clear();
        self.local.signal_all(nix::sys::signal::Signal::SIGKILL);
        if let Some(batch) = &self.batch {
            batch.cancel();
        }
        let jobs = u32::try_from(self.attempts.len()).unwrap_or(u32::MAX);
        let until = Instant::now() + BREAKDOWN_GRACE + BREAKDOWN_GRACE_PER_JOB * jobs;
        self.broken = Some(Breakdown { error, until });
    }

    fn on_happening(&mut self, happening: Happening) {
        match happening {
            Happening::Prepared(answered) => self.on_prepared(answered),
            Happening::Recorded {
                task,
                attempt,
                prepared,
                start,
            } => {
                failpoint::reach("local-recorded");
                self.on_recorded(task, attempt, *prepared, start);
            }
            Happening::Judged(judged) => self.on_judged(judged),
            Happening::Settled {
                task,
                attempt,
                outcome,
            } => {
                failpoint::reach("settled");
                let succeeded = matches!(outcome, Outcome::Succeeded(_));
                self.recorder.change();
                self.handle(Event::TaskEnded {
                    task,
                    attempt,
                    outcome,
                });
                // The host needs the one that fails the run, to tell of it.
                if succeeded {
                    self.host.release(task);
                }
            }
            Happening::Due(timer) => self.handle(Event::Due(timer)),
            Happening::RoomIsDue => self.look_for_room(),
            Happening::GraceOver => self.on_grace_over(),
            Happening::Broken(error) => self.break_down(error),
            Happening::Fenced(fenced) => self.fenced = Some(fenced),
        }
    }

    fn on_host(&mut self, event: Option<HostEvents>) -> Result<()> {
        match event {
            Some(HostEvents::Signal(signo)) => self.on_signal(signo),
            Some(HostEvents::Gone) | None => return self.on_host_gone(),
        }
        Ok(())
    }

    /// Jobs go on without a launcher, for whoever resumes the run, unless that was being ended, or nobody expects it to
    /// outlive its host.
    fn on_host_gone(&mut self) -> Result<()> {
        self.host_is_gone = true;
        let gone = anyhow!("the flow host is gone; its tasks were killed");
        let ends_jobs = self.halting.is_some() || self.plan.ends_with_host;
        if !ends_jobs || self.batch.is_none() {
            self.local.signal_all(nix::sys::signal::Signal::SIGKILL);
            return Err(gone);
        }
        self.break_down(gone);
        Ok(())
    }

    fn handle(&mut self, event: Event) {
        if let Event::TaskEnded { task, attempt, .. }
        | Event::LaunchRefused { task, attempt }
        | Event::LaunchFailed { task, attempt } = event
        {
            self.now_is((task, attempt), None);
        }
        let (at, mut commands) = (now(), Vec::new());
        if let Some(turns) = &self.turns {
            turns.push(Turn::Event {
                at,
                event: event.clone(),
            });
        }
        self.run.handle(at, event, &mut commands);
        self.carry_out(commands);
    }

    fn dispatch(&mut self) {
        let (at, mut commands) = (now(), Vec::new());
        self.run.dispatch(at, &mut commands);
        if let Some(turns) = self.turns.as_ref().filter(|_| !commands.is_empty()) {
            turns.push(Turn::Dispatch { at });
        }
        self.carry_out(commands);
    }

    fn carry_out(&mut self, commands: Vec<Command>) {
        for command in commands {
            match command {
                Command::Launch(launch) => {
                    for &(task, attempt) in &launch.members {
                        self.on_launched(task, attempt);
                    }
                    self.unasked.extend(launch.members);
                }
                Command::Halt(cause) => self.halt(cause),
                Command::Wake { timer, at } => self.wake(timer, at),
                Command::Finish(outcome) => self.finished = Some(self.finish_outcome(outcome)),
            }
        }
        // Only now, so that siblings are asked for together.
        self.ask();
    }

    /// The core asks for it only before a retry on Batch, where Metaflow honours
    /// `minutes_between_retries`.
    fn wake(&mut self, timer: TimerId, at: Timestamp) {
        let delay = Duration::from_millis(at.0.saturating_sub(now().0).max(0).cast_unsigned());
        self.tell_pause(timer.task);
        self.delayed.insert(timer.task);
        self.tell_retry(timer.task, timer.attempt, delay);
        let reports = self.reports.clone();
        tokio::task::spawn_local(async move {
            tokio::time::sleep(delay).await;
            let _ = reports.send(Happening::Due(timer));
        });
    }

    /// Tells the host, then waits until it has closed its end.
    async fn leave(mut self, outcome: &FinishOutcome) -> Result<()> {
        self.say_failures();
        self.console.close();
        let state = record::state_after(outcome);
        self.record_end(state).await;
        if let Some(batch) = &self.batch {
            batch.finish().await;
        }
        self.tell_run_end(state, telling::error_of(outcome));
        self.host.finish(outcome);
        while let Some(event) = self.host_events.recv().await {
            if matches!(event, HostEvents::Gone) {
                break;
            }
        }
        Ok(())
    }

    fn step(&self, task: TaskKey) -> &StepName {
        self.run.task(task).step
    }

    fn path(&self, step: &StepName, task: TaskId) -> TaskPath {
        TaskPath {
            run: self.plan.run.clone(),
            step: step.clone(),
            task,
        }
    }

    fn say(&mut self, tone: Tone, text: &str) {
        self.console.say(tone, text);
    }
}

async fn wait_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// The wall clock.
fn now() -> Timestamp {
    Timestamp(jiff::Timestamp::now().as_millisecond())
}
