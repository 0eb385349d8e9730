//! The core alone: random submissions, ends and stops, held against what must always be true of jobs.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proptest::prelude::*;
use serde_json::Map;

use super::{
    admission::{Decision, Machine},
    event::{Entry, Event, Outcome},
    job::{
        Body, DefinitionKey, Dependency, DependencyKind, JobKey, JobStatus, Needs, Phase, Spec,
        Stop, StopKind,
    },
    lifecycle::DEPENDENT_FAILED,
    resource::{ComputeEnvironment, JobQueue},
    retry::RetryStrategy,
    state::State,
};

const VCPUS: u64 = 3;

/// What a user or a host does.
#[derive(Debug, Clone)]
enum Act {
    Submit {
        size: Option<u32>,
        /// Whom it waits for, counted back from the newest.
        on: Option<usize>,
        kind: DependencyKind,
        vcpus: u64,
        attempts: u32,
    },
    /// The n-th job with a place gets its process.
    Run(usize),
    /// It ends.
    End {
        nth: usize,
        succeeded: bool,
        retryable: bool,
    },
    Stop {
        nth: usize,
        kind: StopKind,
        child: Option<u32>,
    },
    Restart,
}

/// A core with the journal that it would have.
struct World {
    state: State,
    journal: Vec<String>,
    at: i64,
    /// Attempts that were started, per job.
    starts: BTreeMap<JobKey, u32>,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            state: State::default(),
            journal: Vec::new(),
            at: 0,
            starts: BTreeMap::new(),
        };
        let resources = serde_json::json!({"type": "EC2", "maxvCpus": VCPUS});
        world.handle(Event::ComputeEnvironment(Box::new(ComputeEnvironment {
            name: "ce".to_owned(),
            kind: "MANAGED".to_owned(),
            enabled: true,
            compute_resources: resources.as_object().cloned().unwrap_or_default(),
            given: Map::new(),
            uuid: String::new(),
            tags: BTreeMap::new(),
            invalid: None,
            used: Needs::default(),
        })));
        world.handle(Event::JobQueue(Box::new(JobQueue {
            name: "q".to_owned(),
            enabled: true,
            priority: 1,
            environments: vec!["ce".to_owned()],
            scheduling_policy: None,
            given: Map::new(),
            tags: BTreeMap::new(),
            runnable: VecDeque::new(),
        })));
        world
    }

    fn handle(&mut self, event: Event) {
        self.at += 1;
        let entry = Entry { at: self.at, event };
        self.journal.push(serde_json::to_string(&entry).unwrap());
        self.state.handle(self.at, entry.event, &mut Vec::new());
    }

    fn machine() -> Machine {
        Machine {
            has: Needs {
                milli_vcpus: VCPUS * 1000,
                memory_mib: 100,
                gpus: 0,
            },
            strict: true,
        }
    }

    fn pass(&mut self) {
        while let Some(submission) = self.state.fresh.front().copied() {
            self.handle(Event::Considered { submission });
        }
        while let Some(decision) = self.state.next_decision(Self::machine(), &BTreeSet::new()) {
            match decision {
                Decision::Block { key, reason } => self.handle(Event::Blocked { key, reason }),
                Decision::Place {
                    key, environment, ..
                } => {
                    *self.starts.entry(key).or_default() += 1;
                    self.handle(Event::Placed { key, environment });
                }
            }
        }
    }

    fn nth_placed(&self, nth: usize) -> Option<JobKey> {
        let placed: Vec<JobKey> = self.state.placed.keys().copied().collect();
        placed.get(nth.checked_rem(placed.len())?).copied()
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Submit {
                size,
                on,
                kind,
                vcpus,
                attempts,
            } => self.submit(size, on, kind, vcpus, attempts),
            Act::Run(nth) => {
                if let Some(key) = self.nth_placed(nth) {
                    let attempt = self.state.job(key).unwrap().attempt();
                    self.handle(Event::Running {
                        key,
                        attempt,
                        process: None,
                    });
                }
            }
            Act::End {
                nth,
                succeeded,
                retryable,
            } => {
                if let Some(key) = self.nth_placed(nth) {
                    self.end(key, succeeded, retryable);
                }
            }
            Act::Stop { nth, kind, child } => {
                let count = self.state.next as usize;
                let Some(nth) = nth.checked_rem(count) else {
                    return;
                };
                let key = JobKey {
                    submission: nth as u64,
                    index: child,
                };
                let reason = "stopped".to_owned();
                if self.state.job(key).is_some() {
                    let stop = Stop { kind, reason };
                    self.handle(Event::Stopped { key, stop });
                }
            }
            Act::Restart => {
                let text = serde_json::to_string(&self.state).unwrap();
                self.state = serde_json::from_str(&text).unwrap();
            }
        }
    }

    fn end(&mut self, key: JobKey, succeeded: bool, retryable: bool) {
        let attempt = self.state.job(key).unwrap().attempt();
        let outcome = Outcome {
            succeeded,
            exit_code: Some(i32::from(!succeeded)),
            status_reason: "Essential container in task exited".into(),
            reason: None,
            retryable,
        };
        self.handle(Event::Ended {
            key,
            attempt,
            outcome: outcome.clone(),
        });
        // Told twice: nothing comes of it.
        let before = serde_json::to_string(&self.state).unwrap();
        self.handle(Event::Ended {
            key,
            attempt,
            outcome,
        });
        assert_eq!(before, serde_json::to_string(&self.state).unwrap());
    }

    fn submit(
        &mut self,
        size: Option<u32>,
        on: Option<usize>,
        kind: DependencyKind,
        vcpus: u64,
        attempts: u32,
    ) {
        let newest = self.state.next as usize;
        let other = on
            .and_then(|back| newest.checked_sub(back + 1))
            .map(|number| number as u64);
        let other_size = other.and_then(|number| self.state.submission(number)?.spec.size);
        let dependency = match (kind, other) {
            (DependencyKind::Sequential, _) if size.is_some() => {
                Some(Dependency { job: None, kind })
            }
            (DependencyKind::NToN, Some(other)) if size.is_some() && size == other_size => {
                let job = Some(other.to_string());
                Some(Dependency { job, kind })
            }
            (_, Some(other)) => Some(Dependency {
                job: Some(other.to_string()),
                kind: DependencyKind::Whole,
            }),
            _ => None,
        };
        self.handle(Event::Submitted(Box::new(Spec {
            id: newest.to_string(),
            name: "job".to_owned(),
            queue: "q".to_owned(),
            definition: DefinitionKey {
                name: "d".to_owned(),
                revision: 1,
            },
            parameters: BTreeMap::new(),
            overrides: Map::new(),
            retry: RetryStrategy {
                attempts,
                ..RetryStrategy::default()
            },
            timeout_seconds: None,
            depends_on: dependency.into_iter().collect(),
            size,
            tags: BTreeMap::new(),
            propagate_tags: false,
            share: None,
            priority: None,
            needs: Needs {
                milli_vcpus: vcpus * 1000,
                memory_mib: 1,
                gpus: 0,
            },
            overlong: false,
        })));
    }

    fn check(&self) {
        let state = &self.state;
        let mut placed = BTreeSet::new();
        let mut used = 0;
        for (number, submission) in &state.submissions {
            let children: u32 = match &submission.body {
                Body::Plain(_) => 0,
                Body::Array { children, .. } => children.len() as u32,
            };
            let indexes = (0..children)
                .map(Some)
                .chain((children == 0).then_some(None));
            for index in indexes {
                let key = JobKey {
                    submission: *number,
                    index,
                };
                let job = submission.job(index).unwrap();
                assert!(job.attempts.len() as u32 <= submission.spec.retry.attempts);
                if matches!(job.phase, Phase::Starting | Phase::Running { .. }) {
                    placed.insert(key);
                    used += submission.spec.needs.milli_vcpus;
                }
                let starts = self.starts.get(&key).copied().unwrap_or(0);
                let now = u32::from(placed.contains(&key));
                assert_eq!(starts, job.attempts.len() as u32 + now, "{key:?}");
            }
            if let Body::Array {
                parent,
                children,
                counts,
                ..
            } = &submission.body
            {
                let counted = JobStatus::ALL.map(|status| {
                    children
                        .iter()
                        .filter(|child| child.status() == status)
                        .count() as u32
                });
                assert_eq!(*counts, counted);
                let all_over = children.iter().all(|child| child.status().is_terminal());
                if !children.is_empty() {
                    assert_eq!(parent.status().is_terminal(), all_over);
                    let failed = children
                        .iter()
                        .any(|child| child.status() == JobStatus::Failed);
                    assert_eq!(parent.status() == JobStatus::Failed, all_over && failed);
                }
            }
        }
        assert_eq!(placed, state.placed.keys().copied().collect());
        assert!(used <= VCPUS * 1000);
        assert_eq!(
            (used, used),
            (
                state.used.milli_vcpus,
                state.environments["ce"].used.milli_vcpus
            )
        );
    }

    /// Lets all that runs succeed until nothing runs; then everything that could be placed must be over.
    fn run_out(&mut self) {
        self.pass();
        while let Some(key) = self.nth_placed(0) {
            self.end(key, true, true);
            self.pass();
            self.check();
        }
        for submission in self.state.submissions.values() {
            assert!(submission.whole().status().is_terminal(), "{submission:?}");
        }
    }
}

fn act() -> impl Strategy<Value = Act> {
    let kind = prop_oneof![
        2 => Just(DependencyKind::Whole),
        1 => Just(DependencyKind::NToN),
        1 => Just(DependencyKind::Sequential)
    ];
    let stop = prop_oneof![Just(StopKind::Cancel), Just(StopKind::Terminate)];
    prop_oneof![
        4 => (prop_oneof![Just(None), (2..4_u32).prop_map(Some)], proptest::option::of(0..3_usize), kind, 1..=VCPUS, 1..3_u32)
            .prop_map(|(size, on, kind, vcpus, attempts)| Act::Submit { size, on, kind, vcpus, attempts }),
        3 => (0..8_usize).prop_map(Act::Run),
        6 => (0..8_usize, any::<bool>(), prop::bool::weighted(0.8))
            .prop_map(|(nth, succeeded, retryable)| Act::End { nth, succeeded, retryable }),
        1 => (0..8_usize, stop, proptest::option::of(0..3_u32)).prop_map(|(nth, kind, child)| Act::Stop { nth, kind, child }),
        1 => Just(Act::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn jobs_end_and_nothing_is_placed_twice(acts in prop::collection::vec((act(), any::<bool>()), 1..60)) {
        let mut world = World::new();
        for (act, looks) in acts {
            world.act(act);
            if looks {
                world.pass();
            }
            world.check();
        }
        world.run_out();
        let mut replayed = State::default();
        for line in &world.journal {
            let entry: Entry = serde_json::from_str(line).unwrap();
            replayed.handle(entry.at, entry.event, &mut Vec::new());
        }
        prop_assert_eq!(replayed.next_decision(World::machine(), &BTreeSet::new()), None);
        let value = |state: &State| serde_json::to_value(state).unwrap();
        prop_assert_eq!(value(&replayed), value(&world.state));
    }
}

#[test]
fn who_waits_for_a_failure_never_starts() {
    let mut world = World::new();
    world.submit(None, None, DependencyKind::Whole, 1, 1);
    world.submit(Some(2), Some(0), DependencyKind::Whole, 1, 1);
    world.submit(Some(2), Some(0), DependencyKind::NToN, 1, 1);
    world.pass();
    let first = JobKey {
        submission: 0,
        index: None,
    };
    world.end(first, false, false);
    world.pass();
    for (number, submission) in &world.state.submissions {
        let job = submission.whole();
        assert_eq!(job.status(), JobStatus::Failed);
        let has_waited = job.status_reason.as_deref() == Some(DEPENDENT_FAILED);
        assert_eq!(has_waited, *number == 1);
    }
    assert_eq!(world.starts.len(), 1);
    world.check();
}

#[test]
fn attempts_that_are_repeated_go_first() {
    let mut world = World::new();
    for _ in 0..3 {
        world.submit(None, None, DependencyKind::Whole, VCPUS, 2);
    }
    world.pass();
    let key = |submission| JobKey {
        submission,
        index: None,
    };
    assert_eq!(world.nth_placed(0), Some(key(0)));
    world.end(key(0), false, true);
    world.pass();
    assert_eq!(world.nth_placed(0), Some(key(0)));
    world.end(key(0), false, true);
    world.pass();
    assert_eq!(world.nth_placed(0), Some(key(1)));
}
