//! The numbers of the progress line.

use scheduler::{Progress, StepProgress};

use crate::{flow::name, scenario::Scenario};

#[test]
fn progress_counts_attempts_tasks_and_steps() {
    let mut s = Scenario::new(&[
        "start => work",
        "work -> tidy",
        "tidy -> j",
        "join j -> end",
        "end",
    ])
    .retry("work", 1, 0)
    .max_workers(3)
    .begin();
    s.splits("start", 5)
        .fails("work[0]")
        .done("work[1]")
        .done("work[2]");
    assert_eq!(
        s.run().progress(),
        Progress {
            running: 3,
            queued: 2,
            backing_off: 0,
            steps: vec![
                StepProgress {
                    step: &name("start"),
                    running: 0,
                    done: 1,
                    failed: 0,
                    tasks: 1,
                    waiting: 0,
                },
                StepProgress {
                    step: &name("work"),
                    running: 3,
                    done: 3,
                    failed: 1,
                    tasks: 5,
                    waiting: 0,
                },
            ],
            not_started: vec![&name("j"), &name("end")],
        }
    );
}

#[test]
fn a_step_has_started_when_its_tasks_are_queued() {
    let mut s = Scenario::new(&[
        "start -> f a",
        "f => w",
        "w -> in",
        "join in -> j",
        "a -> j",
        "join j -> end",
        "end",
    ])
    .max_workers(1)
    .begin();
    s.done("start").splits("f", 10);
    s.expect(&["launch start", "launch f", "launch a"]);
    let progress = s.run().progress();
    assert_eq!(progress.queued, 10);
    assert_eq!(
        progress.not_started,
        [&name("in"), &name("j"), &name("end")]
    );
}
