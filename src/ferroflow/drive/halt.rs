//! Ending a run early: on a failure upstream lets running tasks go on for five seconds and then
//! kills them (`_killall` in metaflow/runtime.py). On a signal Ferroflow also passes it on.

use std::time::Duration;

use compute::host::protocol::FinishOutcome;
use datastore::ObjectStore;
use model::layout::Stream;
use nix::sys::signal::Signal;
use scheduler::{Event, HaltCause};

use super::{Driver, Happening, local::Judged, running::Running};
use crate::report::Tone;

/// How long running tasks may go on.
const GRACE: Duration = Duration::from_secs(5);

/// A run that is being ended.
#[derive(Debug)]
pub(super) struct Halting {
    /// The signal that ended it, 0 for a failure.
    pub(super) signo: i32,
    flushing_said: bool,
    pub(super) held: Vec<Judged>,
}

impl Halting {
    fn by(signo: i32) -> Self {
        Self {
            signo,
            flushing_said: false,
            held: Vec::new(),
        }
    }
}

impl<S: ObjectStore + 'static> Driver<S> {
    /// The first signal ends the run in order, a person's second one at once. Programs that end others send SIGTERM after
    /// a Ctrl-C, or time and again (Metaflow's Runner, Jupyter): that must not keep jobs from being terminated.
    pub(super) fn on_signal(&mut self, signo: i32) {
        match &mut self.halting {
            None => {
                self.halting = Some(Halting::by(signo));
                self.handle(Event::Interrupted);
            }
            Some(halting) if halting.signo == 0 => halting.signo = signo,
            Some(_) if signo == Signal::SIGINT as i32 => {
                self.kill_all();
                self.leave_at_once();
            }
            Some(_) => self.pass_on(signo),
        }
    }

    /// `ferroflow kill` has told the lease. This launcher ends as it does by Ctrl-C.
    pub(super) fn on_cancelled(&mut self) {
        if self.halting.is_none() {
            self.say(
                Tone::Bad,
                "The run was cancelled from elsewhere (`ferroflow kill`).",
            );
            self.on_signal(Signal::SIGINT as i32);
        }
    }

    /// Somebody will not wait until the jobs have ended, or the datastore answers: says which jobs may still run, and
    /// leaves. Tasks on this machine end at once, and their last words are waited for where they can be stored.
    fn leave_at_once(&mut self) {
        let jobs: Vec<_> = self.attempts.values().filter_map(Running::job).collect();
        if jobs.is_empty() && !self.datastore.is_lasting() {
            return;
        }
        let text = if jobs.is_empty() {
            "Leaving without the last logs of tasks: the datastore does not answer.".to_owned()
        } else {
            format!(
                "Leaving without waiting for {} jobs, which were told to end and may still run: {}. \
                 `ferroflow kill {}/{}` ends them.",
                jobs.len(),
                jobs.join(" "),
                self.plan.flow,
                self.plan.run
            )
        };
        self.say(Tone::Bad, &text);
        let signo = self.halting.as_ref().map_or(0, |halting| halting.signo);
        self.finished = Some(FinishOutcome::Interrupted { signo });
    }

    pub(super) fn halt(&mut self, cause: HaltCause) {
        match cause {
            HaltCause::Failed => {
                self.halting.get_or_insert(Halting::by(0));
                self.say(Tone::Bad, "Workflow failed.");
            }
            HaltCause::Interrupted => {
                self.say(
                    Tone::Bad,
                    "Workflow interrupted. Please avoid pressing Ctrl+C again to let the workflow clean up process finish.",
                );
                self.pass_on(self.halting.as_ref().map_or(0, |halting| halting.signo));
            }
        }
        if let Some(batch) = &self.batch {
            batch.cancel();
        }
        let running: Vec<_> = self.attempts.keys().copied().collect();
        self.say(
            Tone::Bad,
            &format!("Terminating {} active tasks...", running.len()),
        );
        for key in &running {
            for stream in [Stream::Stderr, Stream::Stdout] {
                self.system_log_line(*key, stream, "[KILLED BY ORCHESTRATOR]\n");
            }
            if let Some(attempt) = self.attempts.get_mut(key) {
                attempt.cleaned = true;
            }
        }
        self.drop_unasked();
        if running.is_empty() {
            self.say_flushing();
            return;
        }
        let reports = self.reports.clone();
        tokio::task::spawn_local(async move {
            tokio::time::sleep(GRACE).await;
            let _ = reports.send(Happening::GraceOver);
        });
    }

    fn pass_on(&self, signo: i32) {
        if let Ok(signal) = Signal::try_from(signo) {
            self.local.signal_all(signal);
        }
    }

    pub(super) fn on_grace_over(&mut self) {
        let left = self.local.running().count();
        if left > 0 {
            self.say(
                Tone::Bad,
                &format!(
                    "Killing {left} remaining tasks after having waited for {} seconds -- some tasks may not exit cleanly",
                    GRACE.as_secs()
                ),
            );
            self.kill_all();
        }
        self.say_flushing();
    }

    fn kill_all(&mut self) {
        for key in self.local.running().collect::<Vec<_>>() {
            if let Some(attempt) = self.attempts.get_mut(&key) {
                attempt.killed = true;
                attempt.cleaned = true;
            }
        }
        self.local.signal_all(Signal::SIGKILL);
    }

    /// Whether an ended attempt is told later: upstream says nothing of its tasks until all have
    /// ended or the grace is over.
    pub(super) fn held_back(&self) -> bool {
        let waiting = self.halting.as_ref().is_some_and(|h| !h.flushing_said);
        waiting && self.local.running().next().is_some()
    }

    /// Says once that what follows are the last words of tasks, then lets those speak that have
    /// waited for it.
    pub(super) fn say_flushing(&mut self) {
        let Some(halting) = self.halting.as_mut().filter(|h| !h.flushing_said) else {
            return;
        };
        halting.flushing_said = true;
        let held = std::mem::take(&mut halting.held);
        self.say(Tone::Bad, "Flushing logs...");
        for judged in held {
            self.on_judged(judged);
        }
    }
}
