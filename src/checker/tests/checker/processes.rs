//! What containers must not do.

use std::time::Duration;

use checker::{Expectations, Promise};
use serde_json::json;

use crate::story::{Story, container, launch};

/// The store has ignored the condition of the second claim.
#[test]
fn two_containers_of_one_job_hold_the_claim() {
    let mut story = Story::new();
    let job = story.begin(launch(1, 0, 0));
    let first = story.next() - 1;
    story.start(&job, "-again");
    let second = story.claim(&job, "-again");
    story.end_process(&job, "-again");
    story.finish(&job, 0);
    let findings = story.findings(&Expectations::default());
    let found: Vec<_> = findings
        .iter()
        .map(|f| (f.promise, f.lines.clone()))
        .collect();
    let expected = [
        (Promise::Objects, vec![second]),
        (Promise::OneProcess, vec![first, second]),
    ];
    assert_eq!(found, expected, "{findings:#?}");
    assert_eq!(
        findings[1].to_string(),
        format!(
            "one process per attempt: the attempt 17/work/1/0 was started 2 times (lines {first}, {second})"
        )
    );
}

/// The launcher has sent an attempt off again though its container had claimed it.
#[test]
fn an_attempt_is_launched_again_though_it_has_begun() {
    let mut story = Story::new();
    let first = story.begin(launch(1, 0, 0));
    let one = story.next() - 1;
    story.lose(&first);
    let second = story.begin(launch(1, 0, 1));
    let other = story.next() - 1;
    story.finish(&second, 0);
    story.breaks(Promise::OneProcess, &[one, other]);
}

#[test]
fn a_container_without_the_claim_writes_a_result() {
    let mut story = Story::new();
    let job = story.begin(launch(1, 0, 0));
    story.start(&job, "-again");
    let line = story.done(&job, "-again");
    story.end_process(&job, "-again");
    story.finish(&job, 0);
    story.breaks(Promise::OneProcess, &[line]);
}

#[test]
fn an_outcome_comes_from_nobody() {
    let mut story = Story::new();
    let [job] = <[_; 1]>::try_from(story.record(&[launch(1, 0, 0)])).unwrap();
    story.submit(&job);
    story.start(&job, "");
    let line = story.exits(&job, 1);
    story.end_process(&job, "");
    story.end(&job, "FAILED");
    story.breaks(Promise::Objects, &[line]);
}

#[test]
fn a_revoked_launch_is_claimed_over() {
    let mut story = Story::new();
    let [job] = <[_; 1]>::try_from(story.record(&[launch(1, 0, 0)])).unwrap();
    story.submit(&job);
    story.revoke(&job);
    story.start(&job, "");
    let line = story.claim(&job, "");
    story.finish(&job, 0);
    story.breaks(Promise::Objects, &[line]);
}

#[test]
fn a_claim_is_deleted() {
    let mut story = Story::new();
    let job = story.begin(launch(1, 0, 0));
    let key = "metaflow/.ferroflow/F/17/claim/work/1/0.0";
    let line = story.line(
        "object.deleted",
        json!({"bucket": "b", "key": key, "by": null}),
    );
    story.finish(&job, 0);
    story.breaks(Promise::Objects, &[line]);
}

#[test]
fn a_claim_is_none() {
    let mut story = Story::new();
    let job = story.run(launch(1, 0, 0), 0);
    let key = "metaflow/.ferroflow/F/17/claim/work/2/0.0";
    let line = story.write(key, json!({"kind": "mine"}), container(&job, ""));
    story.breaks(Promise::Objects, &[line]);
}

#[test]
fn the_next_attempt_starts_while_the_last_is_running() {
    let mut story = Story::new();
    let zombie = story.begin(launch(1, 0, 0));
    let first = story.next() - 1;
    story.end(&zombie, "FAILED");
    let next = story.begin(launch(1, 1, 0));
    let second = story.next() - 1;
    let end = story.end_process(&zombie, "");
    story.finish(&next, 0);
    story.breaks(Promise::NoOverlap, &[first, second, end]);
    let expectations = Expectations {
        zombie: Duration::from_millis(999),
        ..Expectations::default()
    };
    story.breaks_with(&expectations, Promise::NoOverlap, &[first, second, end]);
}

/// It sees that it has a successor, by itself.
#[test]
fn a_zombie_of_a_run_with_a_lease_has_the_time_of_a_look() {
    for (seconds, is_dead, is_good) in [(200, true, true), (300, true, false), (1, false, false)] {
        let mut story = Story::new();
        story.lease("running");
        let zombie = story.begin(launch(1, 0, 0));
        let first = story.next() - 1;
        if is_dead {
            story.end(&zombie, "FAILED");
        }
        let next = story.begin(launch(1, 1, 0));
        let second = story.next() - 1;
        story.passes(Duration::from_secs(seconds));
        let end = story.end_process(&zombie, "");
        if !is_dead {
            story.end(&zombie, "FAILED");
        }
        story.finish(&next, 0);
        if is_good {
            story.is_good();
        } else {
            story.breaks(Promise::NoOverlap, &[first, second, end]);
        }
    }
}

/// Nobody gave it a reason to think that the first one is gone.
#[test]
fn no_time_is_allowed_beside_a_job_that_batch_shows_alive() {
    let mut story = Story::new();
    let first = story.begin(launch(1, 0, 0));
    let one = story.next() - 1;
    let next = story.begin(launch(1, 1, 0));
    let other = story.next() - 1;
    let end = story.end_process(&first, "");
    story.end(&first, "FAILED");
    story.finish(&next, 0);
    let expectations = Expectations {
        zombie: Duration::from_hours(1),
        ..Expectations::default()
    };
    story.breaks_with(&expectations, Promise::NoOverlap, &[one, other, end]);
}

#[test]
fn user_code_starts_after_the_lease_has_lapsed() {
    let mut story = Story::new();
    let lease = story.lease("running");
    story.passes(Duration::from_mins(30));
    let job = story.begin(launch(1, 0, 0));
    let start = story.next() - 1;
    story.finish(&job, 0);
    story.breaks(Promise::Lease, &[lease, start]);
}

#[test]
fn user_code_starts_after_the_run_was_cancelled() {
    for state in ["cancelled", "finished"] {
        let mut story = Story::new();
        story.lease("running");
        let lease = story.lease(state);
        story.passes(Duration::from_mins(5));
        let job = story.begin(launch(1, 0, 0));
        let start = story.next() - 1;
        story.finish(&job, 0);
        story.breaks(Promise::Lease, &[lease, start]);
    }
}

#[test]
fn jobs_and_processes_are_left() {
    let mut story = Story::new();
    let [job] = <[_; 1]>::try_from(story.record(&[launch(1, 0, 0)])).unwrap();
    let submitted = story.submit(&job);
    story.breaks(Promise::Terminal, &[submitted]);
    let started = story.start(&job, "");
    story.end(&job, "FAILED");
    story.breaks(Promise::Terminal, &[started]);
}
