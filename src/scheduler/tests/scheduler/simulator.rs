//! Wide runs, to see that no event costs more than its share.

use std::collections::VecDeque;

use model::{Attempt, Fanout, TaskKey, Timestamp, Transition};
use scheduler::{Command, Event, Outcome, Run, RunOutcome};

use crate::flow;

#[derive(Debug, Default)]
struct Totals {
    launched: usize,
    peak: usize,
    join_inputs: Vec<usize>,
}

/// Runs a flow whose steps all succeed at once, in the order of launch; `width` is that of each
/// foreach.
fn simulate(lines: &[&str], width: u32, max_workers: u32) -> Totals {
    let mut plan = flow::plan(lines);
    plan.limits.max_workers = max_workers;
    plan.limits.max_num_splits = width;
    let mut run = Run::new(flow::arc(&plan)).expect("a good plan");
    let mut totals = Totals::default();
    let mut flying: VecDeque<(TaskKey, Attempt)> = VecDeque::new();
    let mut out = Vec::new();
    run.handle(Timestamp(0), Event::Begun, &mut out);
    loop {
        run.dispatch(Timestamp(0), &mut out);
        totals.peak = totals.peak.max(run.in_flight());
        for command in out.drain(..) {
            match command {
                Command::Launch(launch) => {
                    totals.launched += 1;
                    let inputs = run.task(launch.members[0].0).inputs.len();
                    if inputs > 1 {
                        totals.join_inputs.push(inputs);
                    }
                    flying.extend(launch.members);
                }
                Command::Finish(outcome) => {
                    assert_eq!(outcome, RunOutcome::Done);
                    assert!(flying.is_empty());
                    return totals;
                }
                other => panic!("{other:?}"),
            }
        }
        let (task, attempt) = flying.pop_front().expect("something runs until the end");
        let outcome = Outcome::Succeeded(transition(&plan, &run, task, width));
        let ended = Event::TaskEnded {
            task,
            attempt,
            outcome,
        };
        run.handle(Timestamp(0), ended, &mut out);
    }
}

fn transition(plan: &model::Plan, run: &Run, task: TaskKey, width: u32) -> Transition {
    let step = run.task(task).step;
    let node = plan.graph.nodes.iter().find(|node| node.name == *step);
    let node = node.expect("a step");
    Transition {
        next: node.next.clone(),
        fanout: match node.kind {
            model::NodeKind::Foreach => Fanout::Foreach {
                splits: width.into(),
            },
            _ => Fanout::One,
        },
    }
}

#[test]
fn a_foreach_of_100_000() {
    let lines = &["start => w", "w -> j", "join j -> end", "end"];
    let totals = simulate(lines, 100_000, 1_000);
    assert_eq!(totals.launched, 100_003);
    assert_eq!(totals.peak, 1_000);
    assert_eq!(totals.join_inputs, [100_000]);
}

#[test]
fn a_foreach_of_100_000_at_once() {
    let lines = &["start => w", "w -> x", "x -> j", "join j -> end", "end"];
    let totals = simulate(lines, 100_000, 1_000_000);
    assert_eq!(totals.launched, 200_003);
    assert_eq!(totals.peak, 100_000);
}

#[test]
fn a_foreach_of_300_in_each_of_300() {
    let lines = &[
        "start => f",
        "f => w",
        "w -> in",
        "join in -> out",
        "join out -> end",
        "end",
    ];
    let totals = simulate(lines, 300, 64);
    assert_eq!(totals.launched, 1 + 300 + 300 * 300 + 300 + 1 + 1);
    assert_eq!(totals.peak, 64);
    assert_eq!(totals.join_inputs, [300; 301]);
}
