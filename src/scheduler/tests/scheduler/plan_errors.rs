//! Plans that cannot be run.

use scheduler::{PlanError, Run};

use crate::flow::{arc, name, plan};

fn error(lines: &[&str]) -> PlanError {
    Run::new(arc(&plan(lines))).expect_err("a bad plan")
}

#[test]
fn names_are_resolved() {
    assert_eq!(
        error(&["start -> nowhere", "end"]),
        PlanError::UnknownStep {
            step: name("nowhere")
        }
    );
    assert_eq!(
        error(&["start -> end", "start -> end", "end"]),
        PlanError::DuplicateStep {
            step: name("start")
        }
    );
    let mut without = plan(&["start -> end", "end"]);
    without.steps.remove(&name("end"));
    assert_eq!(
        Run::new(arc(&without)).unwrap_err(),
        PlanError::NoStepPlan { step: name("end") }
    );
    let mut headless = plan(&["start -> end", "end"]);
    headless.graph.start = name("other");
    assert_eq!(
        Run::new(arc(&headless)).unwrap_err(),
        PlanError::UnknownStep {
            step: name("other")
        }
    );
}

#[test]
fn splits_and_joins_balance() {
    assert_eq!(
        error(&["start -> j", "join j -> end", "end"]),
        PlanError::JoinWithoutSplit { step: name("j") }
    );
    assert_eq!(
        error(&["start => j", "join j -> end", "end"]),
        PlanError::EmptyForeach {
            step: name("start")
        }
    );
    assert_eq!(
        error(&["start => a", "a -> end", "end"]),
        PlanError::SplitAtEnds { step: name("end") }
    );
    assert_eq!(
        error(&["start -> f a", "f => a", "a -> j", "join j -> end", "end"]),
        PlanError::Unbalanced {
            from: name("f"),
            to: name("a")
        }
    );
}

#[test]
fn somebody_has_to_work() {
    let mut idle = plan(&["start -> end", "end"]);
    idle.limits.max_workers = 0;
    assert_eq!(Run::new(arc(&idle)).unwrap_err(), PlanError::NoWorkers);
}
