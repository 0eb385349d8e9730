//! What the region says: one line for each step that has begun.

use std::{collections::HashMap, time::Instant};

use model::StepName;
use scheduler::{Progress, StepProgress};

use super::{in_words, region::Line};

/// When steps began and ended, as far as somebody looked; the core knows no clock.
#[derive(Debug, Default)]
pub(crate) struct StepLines {
    clocks: HashMap<StepName, Clock>,
}

#[derive(Debug)]
struct Clock {
    began: Instant,
    /// When the last attempt had ended.
    ended: Option<Instant>,
}

impl StepLines {
    /// The lines for how far a run is at `now`, `room` at most: then steps that run are shown before others.
    pub(crate) fn of(&mut self, progress: &Progress<'_>, now: Instant, room: usize) -> Vec<Line> {
        for step in &progress.steps {
            self.watch(step, now);
        }
        let chosen = chosen(&progress.steps, room);
        let width = chosen.iter().map(|s| s.step.as_str().chars().count());
        let width = width.max().unwrap_or(0);
        let mut lines: Vec<_> = chosen
            .iter()
            .map(|step| self.line(step, now, width))
            .collect();
        let left_out = progress.steps.len() - chosen.len();
        if left_out > 0 && room > 0 {
            lines.push(Line {
                text: format!(" and {left_out} more that have begun"),
                faint: true,
            });
        }
        lines
    }

    fn watch(&mut self, step: &StepProgress<'_>, now: Instant) {
        if !self.clocks.contains_key(step.step) {
            let clock = Clock {
                began: now,
                ended: None,
            };
            self.clocks.insert(step.step.clone(), clock);
        }
        if let Some(clock) = self.clocks.get_mut(step.step) {
            if step.running > 0 {
                clock.ended = None;
            } else {
                clock.ended.get_or_insert(now);
            }
        }
    }

    fn line(&self, step: &StepProgress<'_>, now: Instant, width: usize) -> Line {
        let clock = self.clocks.get(step.step);
        let elapsed = clock.map(|c| c.ended.unwrap_or(now).duration_since(c.began));
        let elapsed = in_words(elapsed.unwrap_or_default());
        let name = step.step.as_str();
        Line {
            text: format!(" {name:width$}  {elapsed:>6}  {}", counts(step)),
            faint: step.running == 0,
        }
    }
}

/// In the order in which they began. Where they are too many, the last row says so.
fn chosen<'a, 'b>(steps: &'a [StepProgress<'b>], room: usize) -> Vec<&'a StepProgress<'b>> {
    if steps.len() <= room {
        return steps.iter().collect();
    }
    let mut order: Vec<_> = (0..steps.len()).collect();
    order.sort_by_key(|&at| (steps[at].running == 0, std::cmp::Reverse(at)));
    order.truncate(room.saturating_sub(1));
    order.sort_unstable();
    order.into_iter().map(|at| &steps[at]).collect()
}

fn counts(step: &StepProgress<'_>) -> String {
    let succeeded = step.done - step.failed;
    let mut parts = Vec::new();
    if step.tasks > 1 {
        if step.running > 0 {
            parts.push(format!("{} running", step.running));
        }
        parts.push(format!("{succeeded} of {} done", step.tasks));
    } else if step.running > 0 {
        parts.push("running".to_owned());
    } else if succeeded > 0 {
        parts.push("done".to_owned());
    }
    match step.failed {
        0 => {}
        1 if parts.is_empty() => parts.push("failed".to_owned()),
        failed => parts.push(format!("{failed} failed")),
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn step(
        step: &StepName,
        running: usize,
        done: usize,
        failed: usize,
        tasks: usize,
    ) -> StepProgress<'_> {
        StepProgress {
            step,
            running,
            done,
            failed,
            tasks,
        }
    }

    fn texts(lines: &[Line]) -> Vec<&str> {
        lines.iter().map(|line| line.text.as_str()).collect()
    }

    #[test]
    fn a_line_has_counts_and_time() {
        let names = ["start", "train", "x", "y"].map(|name| StepName::new(name).unwrap());
        let [start, train, x, y] = &names;
        let mut progress = Progress {
            running: 0,
            queued: 0,
            backing_off: 0,
            steps: vec![step(start, 1, 0, 0, 1)],
            not_started: Vec::new(),
        };
        let mut lines = StepLines::default();
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let shown = lines.of(&progress, at(0), 9);
        assert_eq!(texts(&shown), [" start      0s  running"]);
        assert!(!shown[0].faint);
        progress.steps = vec![
            step(start, 0, 1, 0, 1),
            step(train, 12, 90, 2, 200),
            step(x, 0, 1, 1, 1),
            step(y, 1, 1, 1, 1),
        ];
        lines.of(&progress, at(2), 9);
        let shown = lines.of(&progress, at(75), 9);
        assert_eq!(
            texts(&shown),
            [
                " start      2s  done",
                " train   1m13s  12 running, 88 of 200 done, 2 failed",
                " x          0s  failed",
                " y       1m13s  running, 1 failed",
            ]
        );
        assert!(shown[0].faint);
        let shown = lines.of(&progress, at(75), 3);
        assert_eq!(
            texts(&shown)[1..],
            [
                " y       1m13s  running, 1 failed",
                " and 2 more that have begun"
            ]
        );
        assert!(texts(&shown)[0].starts_with(" train"));
        assert_eq!(lines.of(&progress, at(75), 0), []);
    }
}
