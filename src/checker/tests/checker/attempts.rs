//! Numbers of attempts that are not as they should be.

use checker::{Expectations, Promise};

use crate::story::{Story, launch};

#[test]
fn an_attempt_is_left_out() {
    let mut story = Story::new();
    let first = story.begin(launch(1, 0, 0));
    story.lose(&first);
    let line = story.next();
    story.run(launch(1, 2, 0), 0);
    story.breaks(Promise::Attempts, &[line]);
}

#[test]
fn a_launch_is_left_out() {
    let mut story = Story::new();
    let line = story.next();
    story.run(launch(1, 0, 1), 0);
    story.breaks(Promise::Attempts, &[line]);
}

#[test]
fn there_is_a_seventh_attempt() {
    let mut story = Story::new();
    for attempt in 0..6 {
        let job = story.begin(launch(1, attempt, 0));
        story.lose(&job);
    }
    story.is_good();
    let line = story.next();
    story.run(launch(1, 6, 0), 0);
    story.breaks(Promise::Attempts, &[line]);
}

#[test]
fn an_older_attempt_comes_back() {
    let mut story = Story::new();
    let job = story.begin(launch(1, 0, 0));
    story.lose(&job);
    story.run(launch(1, 1, 0), 1);
    let line = story.next();
    let [job] = <[_; 1]>::try_from(story.record(&[launch(1, 0, 1)])).unwrap();
    story.submit(&job);
    story.end(&job, "FAILED");
    story.breaks(Promise::Attempts, &[line]);
}

#[test]
fn a_launch_is_recorded_again() {
    let mut story = Story::new();
    story.run(launch(1, 0, 0), 0);
    let line = story.next();
    let [job] = <[_; 1]>::try_from(story.record(&[launch(1, 0, 0)])).unwrap();
    story.submit(&job);
    story.end(&job, "FAILED");
    story.breaks(Promise::Attempts, &[line]);
}

#[test]
fn a_task_goes_on_after_its_success() {
    let mut story = Story::new();
    let first = story.begin(launch(1, 0, 0));
    story.done(&first, "");
    let success = story.exits(&first, 0);
    story.end_process(&first, "");
    story.end(&first, "FAILED");
    let record = story.next();
    let second = story.begin(launch(1, 1, 0));
    story.lose(&second);
    story.breaks(Promise::Attempts, &[success, record]);
}

#[test]
fn a_task_succeeds_twice() {
    let mut story = Story::new();
    let mut successes = Vec::new();
    let mut record = 0;
    for attempt in 0..2 {
        record = story.next();
        let job = story.begin(launch(1, attempt, 0));
        story.done(&job, "");
        successes.push(story.exits(&job, 0));
        story.end_process(&job, "");
        story.end(&job, "FAILED");
    }
    let findings = story.findings(&Expectations::default());
    let found: Vec<_> = findings
        .iter()
        .map(|f| (f.promise, f.lines.clone()))
        .collect();
    let expected = [
        (Promise::Attempts, successes.clone()),
        (Promise::Attempts, vec![successes[0], record]),
    ];
    assert_eq!(found, expected, "{findings:#?}");
}

#[test]
fn user_code_is_tried_more_or_less_often_than_it_should() {
    let mut story = Story::new();
    story.run(launch(1, 0, 0), 1);
    let first = story.next() - 3;
    story.run(launch(1, 1, 0), 1);
    let second = story.next() - 3;
    story.is_good();
    for times in [1, 3] {
        let expectations = Expectations {
            failures: [("work".to_owned(), times)].into(),
            ..Expectations::default()
        };
        story.breaks_with(&expectations, Promise::Failures, &[first, second]);
    }
}
