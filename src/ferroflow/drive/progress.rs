//! How far the run is: in the region below its lines, and in the line that comes every five minutes (`execute` in
//! metaflow/runtime.py).

use std::time::Instant;

use datastore::ObjectStore;

use super::Driver;
use crate::report::Tone;

impl<S: ObjectStore + 'static> Driver<S> {
    /// Shows what was printed, and how far the steps are.
    pub(super) fn show(&mut self) {
        let (run, steps, ahead) = (&self.run, &mut self.step_lines, self.states.of_steps());
        self.console
            .flush(|room| steps.of(&run.progress(), ahead, Instant::now(), room));
        self.events.flush();
    }

    pub(super) fn print_progress(&mut self) {
        let progress = self.run.progress();
        let running = progress.running;
        let steps: Vec<_> = progress
            .steps
            .iter()
            .filter(|step| step.running > 0)
            .map(|step| {
                format!(
                    "{} ({} running; {} done)",
                    step.step, step.running, step.done
                )
            })
            .collect();
        let waiting = match progress.queued {
            0 => "No tasks are waiting in the queue.".to_owned(),
            1 => "1 task is waiting in the queue.".to_owned(),
            n => format!("{n} tasks are waiting in the queue."),
        };
        let steps = steps.join(", ");
        let active = match running {
            0 => "No tasks are running.".to_owned(),
            1 => format!("1 task is running: {steps}."),
            n => format!("{n} tasks are running: {steps}."),
        };
        let not_started: Vec<_> = progress.not_started.iter().map(|s| s.as_str()).collect();
        let not_started = match not_started.as_slice() {
            [] => None,
            [one] => Some(format!("{one} step has not started")),
            many => Some(format!(
                "{} steps have not started: {}.",
                many.len(),
                many.join(", ")
            )),
        };
        self.say(Tone::System, &active);
        self.say(Tone::System, &waiting);
        if let Some(text) = not_started {
            self.say(Tone::System, &text);
        }
    }
}
