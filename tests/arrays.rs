//! Array jobs on the embedded stack: siblings go out together, and what befalls one of them is its own affair.

mod harness;

use checker::Expectations;
use harness::story::Story;
use serde_json::{Value, json};

/// The sizes of the jobs that were submitted for the foreach, none of them twice.
fn sizes(story: &Story) -> Vec<u64> {
    let is_of_work = |call: &Value| {
        let subject = call["subject"].as_str().unwrap_or_default();
        call["operation"] == "SubmitJob" && subject.contains("-work-")
    };
    let mut calls = story.history("call");
    calls.retain(is_of_work);
    let sizes = story.sizes("work");
    assert_eq!(calls.len(), sizes.len(), "{calls:#?}");
    sizes
}

/// Two siblings are enough for an array.
fn pair(rules: &[Value]) -> Story {
    Story::with(&[("FERROFLOW_ARRAY_MIN", "2")], "once.py", &[], rules)
}

/// Panics unless the code of these tasks has begun in one attempt each.
fn began_once(story: &Story, tasks: usize) {
    for index in 0..tasks {
        assert_eq!(story.begun(index), "0\n", "task {index}");
    }
}

#[test]
fn siblings_go_out_together() {
    let story = Story::of("dozen.py", &["--max-workers", "12"], &[]);
    assert_eq!(sizes(&story), [12]);
    began_once(&story, 12);
    story.kept_its_promises(&Expectations {
        max_workers: Some(12),
        ..Expectations::default()
    });
}

/// Before or after its code has begun: then in another attempt.
#[test]
fn a_child_whose_host_is_lost_goes_out_again() {
    let lost = json!({"lose_host": 1.5});
    let rule = json!({"operation": "StartJob", "subject": "-work-", "index": 1, "fault": lost});
    let story = pair(&[rule]);
    assert_eq!(sizes(&story), [2, 1]);
    assert_eq!(story.begun(0), "0\n");
    let begun = story.begun(1);
    assert!(
        ["0\n", "1\n", "0\n1\n"].contains(&begun.as_str()),
        "{begun:?}"
    );
    story.kept_its_promises(&Expectations::default());
}

/// Children of two arrays race for the claims of the same tasks.
#[test]
fn twins_of_an_array_run_each_task_once() {
    let refuse = json!({"refuse": {"status": 403, "code": "AccessDeniedException"}});
    let story = pair(&[
        json!({"operation": "SubmitJob", "subject": "-work-", "fault": "lose_reply"}),
        json!({"operation": "ListJobs", "times": 1000, "fault": refuse}),
    ]);
    assert_eq!(sizes(&story), [2, 2]);
    began_once(&story, 2);
    story.kept_its_promises(&Expectations::default());
}

#[test]
fn an_array_whose_submission_was_not_answered_is_found_by_its_name() {
    let lost = json!({"operation": "SubmitJob", "subject": "-work-", "fault": "lose_reply"});
    let story = pair(&[lost]);
    assert_eq!(sizes(&story), [2]);
    began_once(&story, 2);
    story.kept_its_promises(&Expectations::default());
}
