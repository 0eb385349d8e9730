//! What the region says: one line for each step that has begun, and the last words of tasks that failed.

use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};

use model::StepName;
use scheduler::{Progress, StepProgress};

use super::{in_words, region::Line};

/// The rate is that of so much time.
const RATE_OVER: Duration = Duration::from_secs(30);

/// Numbers that a rate is made of are so far apart.
const RATE_EVERY: Duration = Duration::from_secs(1);

/// So many lines are for tasks that failed.
const FAILED_LINES: usize = 3;

/// Attempts of a step that were launched and do not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct InFlight {
    /// Their jobs wait.
    pub(crate) queued: usize,
    /// They are being prepared, or their containers start.
    pub(crate) starting: usize,
}

/// When steps began and ended, as far as somebody looked; the core knows no clock.
#[derive(Debug, Default)]
pub(crate) struct StepLines {
    clocks: HashMap<StepName, Clock>,
    /// What attempts that failed last had to say.
    failed: VecDeque<String>,
}

#[derive(Debug)]
struct Clock {
    began: Instant,
    /// When the last attempt had ended.
    ended: Option<Instant>,
    /// How many tasks had succeeded, at times.
    succeeded: VecDeque<(Instant, usize)>,
}

impl StepLines {
    /// Takes in what an attempt that failed has to say: its name, why, and its last line.
    pub(crate) fn failed(&mut self, text: String) {
        if self.failed.len() == FAILED_LINES {
            self.failed.pop_front();
        }
        self.failed.push_back(text);
    }

    /// The lines for how far a run is at `now`, `room` at most: then steps that run are shown before others, and steps
    /// before tasks that failed. `ahead` says which attempts do not run yet.
    pub(crate) fn of(
        &mut self,
        progress: &Progress<'_>,
        ahead: &HashMap<StepName, InFlight>,
        now: Instant,
        room: usize,
    ) -> Vec<Line> {
        for step in &progress.steps {
            self.watch(step, now);
        }
        let chosen = chosen(&progress.steps, room);
        let width = chosen.iter().map(|s| s.step.as_str().chars().count());
        let width = width.max().unwrap_or(0);
        let mut lines: Vec<_> = chosen
            .iter()
            .map(|step| {
                let ahead = ahead.get(step.step).copied().unwrap_or_default();
                self.line(step, ahead, now, width)
            })
            .collect();
        let left_out = progress.steps.len() - chosen.len();
        if left_out > 0 && room > 0 {
            lines.push(Line {
                text: format!(" and {left_out} more that have begun"),
                faint: true,
            });
        }
        let left = room.saturating_sub(lines.len());
        let skipped = self.failed.len().saturating_sub(left);
        lines.extend(self.failed.iter().skip(skipped).map(|text| Line {
            text: format!(" {text}"),
            faint: false,
        }));
        lines
    }

    fn watch(&mut self, step: &StepProgress<'_>, now: Instant) {
        if !self.clocks.contains_key(step.step) {
            let clock = Clock {
                began: now,
                ended: None,
                succeeded: VecDeque::new(),
            };
            self.clocks.insert(step.step.clone(), clock);
        }
        if let Some(clock) = self.clocks.get_mut(step.step) {
            if step.running > 0 {
                clock.ended = None;
            } else {
                clock.ended.get_or_insert(now);
            }
            clock.count(step.done - step.failed, now);
        }
    }

    fn line(&self, step: &StepProgress<'_>, ahead: InFlight, now: Instant, width: usize) -> Line {
        let clock = self.clocks.get(step.step);
        let elapsed = clock.map(|c| c.ended.unwrap_or(now).duration_since(c.began));
        let elapsed = in_words(elapsed.unwrap_or_default());
        let name = step.step.as_str();
        let rate = clock.filter(|_| step.running > 0 && step.tasks > 1);
        let rate = rate.and_then(Clock::rate).unwrap_or_default();
        Line {
            text: format!(
                " {name:width$}  {elapsed:>6}  {}{rate}",
                counts(step, ahead)
            ),
            faint: step.running == 0,
        }
    }
}

impl Clock {
    fn count(&mut self, succeeded: usize, now: Instant) {
        let is_due = |(at, _): &(Instant, usize)| now.duration_since(*at) >= RATE_EVERY;
        if self.succeeded.back().is_none_or(is_due) {
            self.succeeded.push_back((now, succeeded));
        }
        while self.succeeded.len() > 2 && now.duration_since(self.succeeded[1].0) >= RATE_OVER {
            self.succeeded.pop_front();
        }
    }

    /// Tasks that succeeded, by the second, minute or hour, whichever gives a number.
    fn rate(&self) -> Option<String> {
        let ((first, before), (last, now)) = (self.succeeded.front()?, self.succeeded.back()?);
        let seconds = last.duration_since(*first).as_secs_f64();
        if now <= before || seconds == 0.0 {
            return None;
        }
        let each_second = (now - before) as f64 / seconds;
        let units = [(1.0, "s"), (60.0, "min"), (3_600.0, "h")];
        let (times, unit) = units
            .into_iter()
            .find(|(times, _)| each_second * times >= 1.0)?;
        let rate = each_second * times;
        Some(if rate < 10.0 {
            format!(", {rate:.1}/{unit}")
        } else {
            format!(", {rate:.0}/{unit}")
        })
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

fn counts(step: &StepProgress<'_>, ahead: InFlight) -> String {
    let succeeded = step.done - step.failed;
    let running = step.running.saturating_sub(ahead.queued + ahead.starting);
    let states = [
        (step.waiting, "waiting"),
        (ahead.queued, "queued"),
        (ahead.starting, "starting"),
        (running, "running"),
    ];
    let mut states = states.into_iter().filter(|(count, _)| *count > 0);
    let mut parts: Vec<String> = Vec::new();
    if step.tasks > 1 {
        parts.extend(states.map(|(count, state)| format!("{count} {state}")));
        parts.push(format!("{succeeded} of {} done", step.tasks));
    } else if let Some((_, state)) = states.next_back() {
        parts.push(state.to_owned());
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
            waiting: 0,
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
        let shown = lines.of(&progress, &HashMap::new(), at(0), 9);
        assert_eq!(texts(&shown), [" start      0s  running"]);
        assert!(!shown[0].faint);
        progress.steps = vec![
            step(start, 0, 1, 0, 1),
            step(train, 12, 90, 2, 200),
            step(x, 0, 1, 1, 1),
            step(y, 1, 1, 1, 1),
        ];
        lines.of(&progress, &HashMap::new(), at(2), 9);
        let shown = lines.of(&progress, &HashMap::new(), at(75), 9);
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
        let shown = lines.of(&progress, &HashMap::new(), at(75), 3);
        assert_eq!(
            texts(&shown)[1..],
            [
                " y       1m13s  running, 1 failed",
                " and 2 more that have begun"
            ]
        );
        assert!(texts(&shown)[0].starts_with(" train"));
        assert_eq!(lines.of(&progress, &HashMap::new(), at(75), 0), []);
    }

    #[test]
    fn a_wide_step_has_states_and_a_rate() {
        let train = StepName::new("train").unwrap();
        let mut lines = StepLines::default();
        let begin = Instant::now();
        let mut at = |seconds: u64, done: usize, ahead: InFlight, tasks: usize| {
            let mut step = step(&train, 16, done, 0, tasks);
            step.waiting = tasks - done - 16;
            let progress = Progress {
                running: 16,
                queued: step.waiting,
                backing_off: 0,
                steps: vec![step],
                not_started: Vec::new(),
            };
            let ahead = HashMap::from([(train.clone(), ahead)]);
            let now = begin + Duration::from_secs(seconds);
            lines.of(&progress, &ahead, now, 9).remove(0).text
        };
        let ahead = |queued, starting| InFlight { queued, starting };
        assert_eq!(
            at(0, 0, ahead(14, 2), 1_000),
            " train      0s  984 waiting, 14 queued, 2 starting, 0 of 1000 done"
        );
        assert_eq!(
            at(10, 5, ahead(3, 2), 1_000),
            " train     10s  979 waiting, 3 queued, 2 starting, 11 running, 5 of 1000 done, 30/min"
        );
        for second in 11..60 {
            at(second, (second as usize - 10) * 15 + 5, ahead(0, 0), 1_000);
        }
        assert_eq!(
            at(60, 755, ahead(0, 0), 1_000),
            " train   1m00s  229 waiting, 16 running, 755 of 1000 done, 15/s"
        );
        assert_eq!(
            at(61, 984, ahead(0, 0), 1_000),
            " train   1m01s  16 running, 984 of 1000 done, 22/s"
        );
    }

    #[test]
    fn the_last_failed_tasks_have_what_room_is_left() {
        let names = ["a", "b"].map(|name| StepName::new(name).unwrap());
        let progress = Progress {
            running: 2,
            queued: 0,
            backing_off: 0,
            steps: names.iter().map(|name| step(name, 1, 0, 0, 1)).collect(),
            not_started: Vec::new(),
        };
        let mut lines = StepLines::default();
        for number in 0..5 {
            lines.failed(format!("a/{number} failed"));
        }
        let mut shown = |room| {
            let lines = lines.of(&progress, &HashMap::new(), Instant::now(), room);
            let texts = lines.into_iter().skip(2).map(|line| line.text);
            texts.collect::<Vec<_>>()
        };
        assert_eq!(shown(9), [" a/2 failed", " a/3 failed", " a/4 failed"]);
        assert_eq!(shown(3), [" a/4 failed"]);
        assert_eq!(shown(2), [""; 0]);
    }
}
