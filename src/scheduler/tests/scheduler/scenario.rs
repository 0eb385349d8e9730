//! A small language for scenarios: each act is one turn of the driver, and what the scheduler asked
//! for in it is compared as text, such as `launch work[2]`, `launch train.1 on batch`, `halt Failed`.

use std::{collections::BTreeMap, fmt::Debug};

use model::{Attempt, Fanout, NodeKind, Plan, TaskKey, Timestamp, Transition, plan::Retry};
use scheduler::{Command, Event, FailureClass, Outcome, Place, Run, RunOutcome, TimerId};

use crate::flow;

pub(crate) struct Scenario {
    plan: Plan,
    run: Option<Run>,
    now: i64,
    log: Vec<String>,
    keys: BTreeMap<String, TaskKey>,
    pub(crate) ended: Option<RunOutcome>,
}

impl Scenario {
    pub(crate) fn new(lines: &[&str]) -> Self {
        Self {
            plan: flow::plan(lines),
            run: None,
            now: 0,
            log: Vec::new(),
            keys: BTreeMap::new(),
            ended: None,
        }
    }

    pub(crate) fn max_workers(mut self, workers: u32) -> Self {
        self.plan.limits.max_workers = workers;
        self
    }

    pub(crate) fn max_num_splits(mut self, splits: u32) -> Self {
        self.plan.limits.max_num_splits = splits;
        self
    }

    pub(crate) fn retry(mut self, step: &str, user: u32, error: u32) -> Self {
        let plan = self.plan.steps.get_mut(&flow::name(step)).expect("a step");
        plan.retry = Retry {
            user,
            error,
            minutes_between: plan.retry.minutes_between,
        };
        self
    }

    pub(crate) fn batch(mut self, step: &str, minutes_between: u32) -> Self {
        let plan = self.plan.steps.get_mut(&flow::name(step)).expect("a step");
        plan.batch = true;
        plan.retry.minutes_between = minutes_between;
        self
    }

    pub(crate) fn begin(mut self) -> Self {
        self.run = Some(Run::new(flow::arc(&self.plan)).expect("a good plan"));
        self.event(Event::Begun);
        self
    }

    pub(crate) fn run(&self) -> &Run {
        self.run.as_ref().expect("begun")
    }

    /// The task goes on as the graph says.
    pub(crate) fn done(&mut self, task: &str) -> &mut Self {
        let next = self.next_of(task);
        self.goes_on(task, next, Fanout::One)
    }

    /// The task splits into so many children.
    pub(crate) fn splits(&mut self, task: &str, splits: u64) -> &mut Self {
        let next = self.next_of(task);
        self.goes_on(task, next, Fanout::Foreach { splits })
    }

    /// The switch takes this case.
    pub(crate) fn chooses(&mut self, task: &str, case: &str) -> &mut Self {
        self.goes_on(task, vec![case.to_owned()], Fanout::One)
    }

    pub(crate) fn goes_on(&mut self, task: &str, next: Vec<String>, fanout: Fanout) -> &mut Self {
        let next = next.iter().map(|step| flow::name(step)).collect();
        self.ends(task, Outcome::Succeeded(Transition { next, fanout }))
    }

    pub(crate) fn fails(&mut self, task: &str) -> &mut Self {
        self.ends(task, Outcome::Failed(FailureClass::User))
    }

    pub(crate) fn exits_202(&mut self, task: &str) -> &mut Self {
        self.ends(task, Outcome::Failed(FailureClass::NoRetry))
    }

    pub(crate) fn is_lost(&mut self, task: &str) -> &mut Self {
        self.is_lost_at_most(3, task)
    }

    /// Lost in a way that is free as long as fewer than `free` attempts were lost.
    pub(crate) fn is_lost_at_most(&mut self, free: u32, task: &str) -> &mut Self {
        self.ends(task, Outcome::Lost { free })
    }

    pub(crate) fn ends(&mut self, task: &str, outcome: Outcome) -> &mut Self {
        let (task, attempt) = self.current(task);
        self.event(Event::TaskEnded {
            task,
            attempt,
            outcome,
        })
    }

    pub(crate) fn is_refused(&mut self, task: &str) -> &mut Self {
        let (task, attempt) = self.current(task);
        self.event(Event::LaunchRefused { task, attempt })
    }

    pub(crate) fn cannot_launch(&mut self, task: &str) -> &mut Self {
        let (task, attempt) = self.current(task);
        self.event(Event::LaunchFailed { task, attempt })
    }

    pub(crate) fn is_due(&mut self, task: &str) -> &mut Self {
        let (task, attempt) = self.current(task);
        self.event(Event::Due(TimerId { task, attempt }))
    }

    pub(crate) fn interrupt(&mut self) -> &mut Self {
        self.event(Event::Interrupted)
    }

    pub(crate) fn event(&mut self, event: Event) -> &mut Self {
        self.events(vec![event])
    }

    /// Several events in one turn, one millisecond apart from the turn before.
    pub(crate) fn events(&mut self, events: Vec<Event>) -> &mut Self {
        self.now += 1;
        let mut out = Vec::new();
        let run = self.run.as_mut().expect("begun");
        for event in events {
            run.handle(Timestamp(self.now), event, &mut out);
        }
        run.dispatch(Timestamp(self.now), &mut out);
        for command in out {
            assert_eq!(self.ended, None, "{command:?} after the end");
            let line = self.render(&command);
            self.log.push(line);
        }
        self
    }

    /// What the scheduler asked for since the last time.
    pub(crate) fn expect(&mut self, commands: &[&str]) -> &mut Self {
        assert_eq!(self.log, commands);
        self.log.clear();
        self
    }

    /// Nothing more was asked for.
    pub(crate) fn assert_quiet(&mut self) {
        self.expect(&[]);
        let in_flight = self.run().in_flight();
        assert_eq!(
            self.ended.is_some(),
            in_flight == 0,
            "{in_flight} in flight"
        );
    }

    pub(crate) fn inputs(&self, task: &str) -> Vec<String> {
        let view = self.run().task(self.key(task));
        view.inputs.iter().map(|&key| self.label(key)).collect()
    }

    pub(crate) fn split_index(&self, task: &str) -> Option<u64> {
        self.run().task(self.key(task)).split_index
    }

    pub(crate) fn is_free(&self, task: &str) -> bool {
        self.run().task(self.key(task)).free
    }

    pub(crate) fn max_user_code_retries(&self, task: &str) -> u32 {
        self.run().task(self.key(task)).max_user_code_retries
    }

    pub(crate) fn key(&self, task: &str) -> TaskKey {
        *self
            .keys
            .get(task)
            .unwrap_or_else(|| panic!("{task} was not launched"))
    }

    fn current(&self, task: &str) -> (TaskKey, Attempt) {
        let key = self.key(task);
        (key, self.run().task(key).attempt)
    }

    fn next_of(&self, task: &str) -> Vec<String> {
        let step = self.run().task(self.key(task)).step;
        let nodes = &self.plan.graph.nodes;
        let node = nodes.iter().find(|node| node.name == *step);
        let node = node.expect("a step");
        assert!(node.kind != NodeKind::SplitSwitch, "{task} has to choose");
        node.next.iter().map(ToString::to_string).collect()
    }

    fn label(&self, key: TaskKey) -> String {
        let step = self.run().task(key).step;
        let index = self.run().index(key);
        match (&index.foreach[..], &index.iterations[..]) {
            ([], []) => step.to_string(),
            (_, []) => format!("{step}{}", index.to_string().replace("[]", "")),
            _ => format!("{step}{index}"),
        }
    }

    fn render(&mut self, command: &Command) -> String {
        match command {
            Command::Launch(launch) => {
                let [(key, attempt)] = launch.members[..] else {
                    panic!("{launch:?}");
                };
                let label = self.label(key);
                assert_eq!(*self.keys.entry(label).or_insert(key), key);
                let place = match launch.place {
                    Place::Local => "",
                    Place::Batch => " on batch",
                };
                format!("launch {}{place}", self.attempt_label(key, attempt))
            }
            Command::Halt(cause) => format!("halt {cause:?}"),
            Command::Wake { timer, at } => {
                let minutes = (at.0 - self.now) / 60_000;
                let attempt = self.attempt_label(timer.task, timer.attempt);
                format!("wake {attempt} in {minutes} min")
            }
            Command::Finish(outcome) => {
                self.ended = Some(outcome.clone());
                match outcome {
                    RunOutcome::Failed(failure) => format!("finish: {failure}"),
                    other => format!("finish {}", debug(other)),
                }
            }
        }
    }

    fn attempt_label(&self, key: TaskKey, attempt: Attempt) -> String {
        let label = self.label(key);
        match attempt.0 {
            0 => label,
            later => format!("{label}.{later}"),
        }
    }
}

fn debug(value: &impl Debug) -> String {
    format!("{value:?}")
}
