//! Nothing is found where all is well.

use std::time::Duration;

use checker::{Expectations, History};
use serde_json::json;

use crate::story::{Story, launch};

#[test]
fn nothing_has_happened() {
    Story::new().is_good();
    assert!(History::parse("").is_ok());
}

#[test]
fn tasks_run_and_succeed() {
    let mut story = Story::new();
    let jobs = story.record(&[launch(1, 0, 0), launch(2, 0, 0)]);
    for job in &jobs {
        story.submit(job);
        story.start(job, "");
        story.claim(job, "");
    }
    for job in &jobs {
        story.finish(job, 0);
    }
    story.is_good();
}

#[test]
fn a_host_is_lost_and_the_next_attempt_succeeds() {
    let mut story = Story::new();
    let first = story.begin(launch(1, 0, 0));
    story.lose(&first);
    story.run(launch(1, 1, 0), 0);
    story.is_good();
}

/// The stack plays its container, which has no process.
#[test]
fn a_simulated_task_is_lost_and_the_next_attempt_succeeds() {
    let mut story = Story::new();
    let [first] = <[_; 1]>::try_from(story.record(&[launch(1, 0, 0)])).unwrap();
    story.submit(&first);
    story.claim(&first, "");
    let task = format!("task of {}", first.id);
    story.line("container.ended", json!({"jobId": first.id, "task": task}));
    story.end(&first, "FAILED");
    story.run(launch(1, 1, 0), 0);
    story.is_good();
}

#[test]
fn a_launch_that_never_began_is_repeated() {
    let mut story = Story::new();
    let [job] = <[_; 1]>::try_from(story.record(&[launch(1, 0, 0)])).unwrap();
    story.submit(&job);
    story.end(&job, "SUCCEEDED");
    story.revoke(&job);
    story.run(launch(1, 0, 1), 0);
    story.is_good();
}

#[test]
fn a_container_that_gave_up_before_user_code_is_followed_by_another() {
    let mut story = Story::new();
    let first = story.begin(launch(1, 0, 0));
    story.outcome(
        &first,
        "",
        json!({"kind": "not_started", "message": "no package", "passing": true}),
    );
    story.lose(&first);
    story.run(launch(1, 0, 1), 0);
    story.is_good();
}

#[test]
fn a_job_is_started_twice_and_one_container_leaves() {
    let mut story = Story::new();
    let [job] = <[_; 1]>::try_from(story.record(&[launch(1, 0, 0)])).unwrap();
    story.submit(&job);
    story.start(&job, "");
    story.start(&job, "-again");
    story.claim(&job, "");
    story.end_process(&job, "-again");
    story.finish(&job, 0);
    story.is_good();
}

/// A reply to a claim is lost, and so are those to a record and an outcome; the store ignores conditions.
#[test]
fn the_same_is_written_again() {
    let mut story = Story::new();
    let [job] = <[_; 1]>::try_from(story.record(&[launch(1, 0, 0)])).unwrap();
    story.record_as(0, &[launch(1, 0, 0)]);
    story.submit(&job);
    story.start(&job, "");
    story.claim(&job, "");
    story.claim(&job, "");
    story.done(&job, "");
    story.exits(&job, 0);
    story.exits(&job, 0);
    story.end_process(&job, "");
    story.end(&job, "SUCCEEDED");
    story.is_good();
}

#[test]
fn user_code_fails_as_often_as_it_may() {
    let mut story = Story::new();
    story.run(launch(1, 0, 0), 1);
    let lost = story.begin(launch(1, 1, 0));
    story.lose(&lost);
    story.run(launch(1, 2, 0), 1);
    let expectations = Expectations {
        failures: [("work".to_owned(), 2)].into(),
        ..Expectations::default()
    };
    story.is_good_with(&expectations);
}

#[test]
fn others_use_the_stack_too() {
    let mut story = Story::new();
    let detail = json!({
        "jobId": "x", "jobName": "u-F-17-work-1-0", "jobQueue": "q", "size": null, "by": {"key": "AKIA", "agent": "Boto3"},
    });
    story.line("job.submitted", detail);
    let detail = json!({
        "service": "batch", "operation": "TerminateJob", "subject": "x", "status": 200, "began": 1,
        "by": {"key": "AKIA", "agent": "Boto3"},
    });
    story.line("call", detail);
    story.line("something.new", json!({"any": "thing"}));
    story.run(launch(1, 0, 0), 0);
    story.is_good();
}

#[test]
fn a_dead_launchers_run_is_taken_over() {
    let mut story = Story::new();
    let job = story.begin(launch(1, 0, 0));
    story.by("b").record(&[]);
    story.call("DescribeJobs", &job.id);
    story.finish(&job, 0);
    story.run(launch(2, 0, 0), 0);
    story.is_good();
}

#[test]
fn what_batch_calls_dead_may_live_on_for_a_moment() {
    let mut story = Story::new();
    let zombie = story.begin(launch(1, 0, 0));
    story.end(&zombie, "FAILED");
    let next = story.begin(launch(1, 1, 0));
    story.end_process(&zombie, "");
    story.finish(&next, 0);
    let expectations = Expectations {
        zombie: Duration::from_secs(2),
        ..Expectations::default()
    };
    story.is_good_with(&expectations);
}

#[test]
fn a_lease_is_renewed() {
    let mut story = Story::new();
    story.lease("running");
    story.passes(Duration::from_mins(14));
    let job = story.begin(launch(1, 0, 0));
    story.passes(Duration::from_hours(10));
    story.lease("running");
    story.finish(&job, 0);
    story.lease("finished");
    story.is_good();
}

#[test]
fn a_line_that_was_cut_off_is_left_out_and_others_are_errors() {
    assert!(History::parse(r#"{"at": 1, "ki"#).is_ok());
    let error = History::parse("{\"at\": 1, \"kind\": \"x\"}\nno\n").unwrap_err();
    assert_eq!(error.number, 2);
    let error = History::parse("{\"at\": 1, \"kind\": \"call\", \"detail\": {}}\n").unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("line 1 is none of a history: missing field"),
        "{error}"
    );
}
