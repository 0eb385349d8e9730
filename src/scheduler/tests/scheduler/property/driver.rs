//! Drives one run: ends attempts in a random order, repeats old events, invents impossible ones,
//! and checks what must hold at each turn.

use std::collections::{BTreeMap, BTreeSet};

use model::{Attempt, Fanout, NodeKind, Plan, TaskKey, Timestamp, Transition, plan::Retry};
use scheduler::{Command, Event, FailureClass, Launch, Outcome, Place, Run, RunOutcome, TimerId};

use crate::{
    flow,
    property::{
        chance::{Chance, Fate},
        reference::label,
        shape::Shape,
    },
};

/// What was seen of a run.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) tasks: BTreeMap<String, SeenTask>,
    pub(crate) labels: BTreeMap<TaskKey, String>,
    pub(crate) outcome: RunOutcome,
    pub(crate) interrupted: bool,
}

#[derive(Debug)]
pub(crate) struct SeenTask {
    pub(crate) inputs: Vec<String>,
    pub(crate) split_index: Option<u64>,
    pub(crate) attempts: Vec<u32>,
}

pub(crate) struct Driver {
    plan: Plan,
    run: Run,
    chance: Chance,
    turn: u32,
    in_flight: Vec<(TaskKey, Attempt)>,
    timers: BTreeSet<(Timestamp, TimerId)>,
    history: Vec<Event>,
    tasks: BTreeMap<String, SeenTask>,
    labels: BTreeMap<TaskKey, String>,
    halts: u32,
    outcome: Option<RunOutcome>,
    interrupt_at: Option<u32>,
}

impl Driver {
    pub(crate) fn new(shape: &Shape, chance: Chance, max_workers: u32, interrupted: bool) -> Self {
        let start = flow::name(shape.head());
        let mut plan = flow::plan_of(shape.nodes(), start, flow::name("end"));
        plan.limits.max_workers = max_workers;
        for (step, plan) in &mut plan.steps {
            let decorators = chance.decorators(step.as_str());
            plan.batch = decorators.batch;
            plan.retry = Retry {
                user: decorators.user,
                error: decorators.error,
                minutes_between: decorators.minutes_between,
            };
        }
        Self {
            run: Run::new(flow::arc(&plan)).expect("a good plan"),
            plan,
            chance,
            turn: 0,
            in_flight: Vec::new(),
            timers: BTreeSet::new(),
            history: Vec::new(),
            tasks: BTreeMap::new(),
            labels: BTreeMap::new(),
            halts: 0,
            outcome: None,
            interrupt_at: interrupted.then(|| 1 + chance.draw("interrupt", 20)),
        }
    }

    pub(crate) fn drive(mut self) -> Seen {
        self.deliver(vec![Event::Begun]);
        while self.outcome.is_none() {
            self.turn += 1;
            let events = self.next_events();
            assert!(!events.is_empty(), "nothing runs, but the run does not end");
            self.deliver(events);
            self.bother();
        }
        self.bother();
        assert_eq!(self.run.in_flight(), 0);
        Seen {
            tasks: self.tasks,
            labels: self.labels,
            outcome: self.outcome.expect("it ended"),
            interrupted: self.interrupt_at.is_some(),
        }
    }

    fn draw(&self, what: &str, limit: usize) -> usize {
        let what = format!("{what} at turn {}", self.turn);
        self.chance.draw(&what, limit as u32) as usize
    }

    /// Some of what can happen now.
    fn next_events(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        if self.interrupt_at == Some(self.turn) {
            events.push(Event::Interrupted);
        }
        let count = 1 + self.draw("how many", 3);
        for nth in 0..count.min(self.in_flight.len()) {
            let which = self.draw(&format!("which {nth}"), self.in_flight.len());
            let (task, attempt) = self.in_flight.swap_remove(which);
            events.push(self.end_of(task, attempt));
        }
        if events.is_empty() || self.draw("timer", 3) == 0 {
            events.extend(self.timers.pop_first().map(|(_, timer)| Event::Due(timer)));
        }
        events
    }

    fn end_of(&self, task: TaskKey, attempt: Attempt) -> Event {
        let step = self.run.task(task).step.as_str();
        let decorators = self.chance.decorators(step);
        let outcome = match self.chance.fate(&self.labels[&task], attempt.0, decorators) {
            Fate::IsRefused => return Event::LaunchRefused { task, attempt },
            Fate::Exits202 => Outcome::Failed(FailureClass::NoRetry),
            Fate::Fails => Outcome::Failed(FailureClass::User),
            Fate::IsLost => Outcome::Lost { free: 3 },
            Fate::Succeeds => Outcome::Succeeded(self.transition(task)),
        };
        Event::TaskEnded {
            task,
            attempt,
            outcome,
        }
    }

    fn transition(&self, task: TaskKey) -> Transition {
        let step = self.run.task(task).step;
        let index = self.run.index(task);
        let label = &self.labels[&task];
        let nodes = &self.plan.graph.nodes;
        let node = nodes.iter().find(|node| node.name == *step);
        let node = node.expect("a step");
        let one = |at: usize| vec![node.next[at].clone()];
        let next = match node.kind {
            NodeKind::SplitSwitch if node.is_recursive() => {
                let times = self.chance.repetitions(step.as_str(), &index.foreach);
                one(usize::from(index.iterations == [times]))
            }
            NodeKind::SplitSwitch => one(self.chance.case(label, node.next.len())),
            _ => node.next.clone(),
        };
        let fanout = match node.kind {
            NodeKind::Foreach => Fanout::Foreach {
                splits: self.chance.width(label).into(),
            },
            _ => Fanout::One,
        };
        Transition { next, fanout }
    }

    /// One turn.
    fn deliver(&mut self, events: Vec<Event>) {
        let now = Timestamp(i64::from(self.turn));
        let mut out = Vec::new();
        for event in events {
            self.run.handle(now, event.clone(), &mut out);
            self.history.push(event);
        }
        self.run.dispatch(now, &mut out);
        for command in out {
            self.obey(command);
        }
        assert_eq!(self.run.in_flight(), self.in_flight.len());
        assert!(self.in_flight.len() <= self.plan.limits.max_workers as usize);
    }

    fn obey(&mut self, command: Command) {
        assert_eq!(self.outcome, None, "{command:?} after the end");
        match command {
            Command::Launch(launch) => self.launch(&launch),
            Command::Halt(_) => {
                self.halts += 1;
                assert_eq!(self.halts, 1);
            }
            Command::Wake { timer, at } => {
                assert!(at.0 >= i64::from(self.turn) + 60_000);
                let view = self.run.task(timer.task);
                assert!(self.plan.steps[view.step].batch);
                assert!(timer.attempt.0 <= view.max_user_code_retries);
                assert!(self.timers.insert((at, timer)));
            }
            Command::Finish(outcome) => {
                assert!(self.in_flight.is_empty());
                let halted = matches!(outcome, RunOutcome::Failed(_) | RunOutcome::Interrupted);
                assert_eq!(self.halts == 1, halted);
                self.outcome = Some(outcome);
            }
        }
    }

    fn launch(&mut self, launch: &Launch) {
        assert_eq!(self.halts, 0, "{launch:?} after the run was halted");
        let [(task, attempt)] = launch.members[..] else {
            panic!("{launch:?}");
        };
        let view = self.run.task(task);
        let label = label(view.step.as_str(), &self.run.index(task));
        let inputs = view.inputs.iter().map(|key| self.labels[key].clone());
        let seen = self.tasks.entry(label.clone()).or_insert_with(|| SeenTask {
            inputs: inputs.collect(),
            split_index: view.split_index,
            attempts: Vec::new(),
        });
        assert_eq!(view.attempt, attempt);
        assert_eq!(attempt.0 as usize, seen.attempts.len(), "of {label}");
        assert!(attempt.0 < Attempt::LIMIT);
        seen.attempts.push(view.max_user_code_retries);
        let batch = self.plan.steps[view.step].batch && attempt.0 <= view.max_user_code_retries;
        assert_eq!(launch.place == Place::Batch, batch);
        let known = self.labels.entry(task).or_insert_with(|| label.clone());
        assert_eq!(*known, label);
        assert!(!self.in_flight.iter().any(|&(other, _)| other == task));
        self.in_flight.push((task, attempt));
    }

    /// Events that are too late or about nothing: no command may follow.
    fn bother(&mut self) {
        let mut events = vec![Event::Begun];
        let old = self.draw("old event", self.history.len());
        events.push(self.history[old].clone());
        for (task, attempt) in [(TaskKey(u32::MAX), Attempt(0)), (TaskKey(0), Attempt(9))] {
            events.push(Event::LaunchFailed { task, attempt });
            events.push(Event::Due(TimerId { task, attempt }));
            events.push(Event::TaskEnded {
                task,
                attempt,
                outcome: Outcome::Lost { free: 3 },
            });
        }
        let mut out = Vec::new();
        for event in events {
            self.run.handle(Timestamp(0), event, &mut out);
        }
        assert_eq!(out, []);
    }
}
