//! The line that says every five minutes how far the run is (`execute` in metaflow/runtime.py).

use datastore::ObjectStore;

use super::Driver;
use crate::report::Tone;

impl<S: ObjectStore + 'static> Driver<S> {
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
