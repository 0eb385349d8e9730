//! What launchers must not do.

use checker::{Expectations, Promise, Rates};
use serde_json::json;

use crate::story::{Job, Story, launch};

#[test]
fn a_job_is_submitted_before_it_is_recorded() {
    let mut story = Story::new();
    let mut ahead = story.clone();
    let [job] = <[Job; 1]>::try_from(ahead.record(&[launch(1, 0, 0)])).unwrap();
    let submitted = story.submit(&job);
    let record = story.next();
    story.record(&[launch(1, 0, 0)]);
    story.start(&job, "");
    story.claim(&job, "");
    story.finish(&job, 0);
    story.breaks(Promise::Chain, &[submitted, record]);
}

#[test]
fn a_job_is_submitted_unrecorded() {
    let mut story = Story::new();
    let job = story.run(launch(1, 0, 0), 0);
    let unrecorded = Job {
        name: job.name.replace("-L0-", "-L1-"),
        id: "other".to_owned(),
        ..job
    };
    let line = story.submit(&unrecorded);
    story.end(&unrecorded, "FAILED");
    story.breaks(Promise::Chain, &[line]);
}

#[test]
fn a_record_is_left_out() {
    let mut story = Story::new();
    story.run(launch(1, 0, 0), 0);
    let line = story.next();
    story.record_as(2, &[]);
    story.breaks(Promise::Chain, &[line]);
}

#[test]
fn a_record_is_written_over() {
    let mut story = Story::new();
    story.run(launch(1, 0, 0), 0);
    let line = story.next();
    story.by("b").record_as(0, &[launch(2, 0, 0)]);
    story.breaks(Promise::Objects, &[line]);
}

#[test]
fn there_are_more_jobs_than_workers() {
    let mut story = Story::new();
    let jobs = story.record(&[launch(1, 0, 0), launch(2, 0, 0), launch(3, 0, 0)]);
    let mut last = 0;
    for job in &jobs {
        last = story.submit(job);
    }
    for job in &jobs {
        story.start(job, "");
        story.claim(job, "");
        story.finish(job, 0);
    }
    let with = |most| Expectations {
        max_workers: Some(most),
        ..Expectations::default()
    };
    story.is_good_with(&with(3));
    story.breaks_with(&with(2), Promise::InFlight, &[last]);
}

#[test]
fn a_place_is_free_with_the_success_and_twins_take_two() {
    let one = Expectations {
        max_workers: Some(1),
        ..Expectations::default()
    };
    let mut story = Story::new();
    let first = story.begin(launch(1, 0, 0));
    story.done(&first, "");
    story.exits(&first, 0);
    let second = story.begin(launch(2, 0, 0));
    story.end_process(&first, "");
    story.end(&first, "SUCCEEDED");
    let mut well = story.clone();
    well.finish(&second, 0);
    well.is_good_with(&one);
    let twin = Job {
        id: "twin".to_owned(),
        ..second.clone()
    };
    let line = story.submit(&twin);
    story.end(&twin, "FAILED");
    story.finish(&second, 0);
    story.breaks_with(&one, Promise::InFlight, &[line]);
}

#[test]
fn each_child_of_an_array_takes_a_place() {
    let mut story = Story::new();
    let [job] = <[Job; 1]>::try_from(story.record(&[launch(1, 0, 0)])).unwrap();
    let line = story.submit_array(&job, Some(3));
    for index in 0..3 {
        let id = format!("{}:{index}", job.id);
        story.end(&Job { id, ..job.clone() }, "FAILED");
    }
    story.end(&job, "FAILED");
    let with = |most| Expectations {
        max_workers: Some(most),
        ..Expectations::default()
    };
    story.is_good_with(&with(3));
    story.breaks_with(&with(2), Promise::InFlight, &[line]);
}

#[test]
fn calls_come_too_fast() {
    for (operation, rate) in [
        ("SubmitJob", 20),
        ("DescribeJobs", 5),
        ("ListJobs", 2),
        ("DescribeJobQueues", 5),
    ] {
        let mut story = Story::new();
        let job = story.run(launch(1, 0, 0), 0);
        let began = story.now() + 60_000;
        // What may be saved up, and what may come late, at once; then as many as there may be in a second.
        let mut calls = Vec::new();
        for call in 0..rate * 4 {
            calls.push((call, began));
        }
        for call in 0..rate {
            calls.push((call, began + 1000 * (1 + i64::from(call)) / i64::from(rate)));
        }
        let first = story.next();
        for (_, at) in &calls {
            story.call_at(operation, &job.name, *at);
        }
        story.is_good();
        let last = story.call_at(operation, &job.name, began + 1000);
        let lines: Vec<_> = (first..=last).collect();
        story.breaks(Promise::Rates, &lines);
        let lenient = Rates {
            slack: 4.0,
            ..Rates::default()
        };
        let lenient = Expectations {
            rates: lenient,
            ..Expectations::default()
        };
        story.is_good_with(&lenient);
    }
}

#[test]
fn all_calls_together_come_too_fast() {
    let mut story = Story::new();
    let job = story.run(launch(1, 0, 0), 0);
    let began = story.now() + 60_000;
    let mut last = 0;
    for _ in 0..80 {
        last = story.call_at("SubmitJob", &job.name, began);
    }
    for _ in 0..20 {
        last = story.call_at("DescribeJobs", &job.id, began);
    }
    story.is_good();
    let first = last - 99;
    let last = story.call_at("TerminateJob", &job.id, began);
    story.breaks(Promise::Rates, &(first..=last).collect::<Vec<_>>());
}

fn refused(story: &mut Story, what: &str) -> usize {
    let detail = json!({
        "operation": "PutObject", "bucket": "b", "key": format!("metaflow/.ferroflow/F/17/{what}"),
        "status": 412, "began": 1, "by": {"key": "AKIA", "agent": "aws-sdk-rust", "app": "a"},
    });
    story.line("s3.call", detail)
}

#[test]
fn a_fenced_launcher_calls_batch() {
    let mut story = Story::new();
    let job = story.begin(launch(1, 0, 0));
    let takeover = story.next();
    story.by("b").record(&[]);
    // It does not know yet.
    story.by("a").call("DescribeJobs", &job.id);
    // It writes one of its own again, to see what the store makes of that.
    refused(&mut story, "launch/00000000");
    story.by("a").call("DescribeJobs", &job.id);
    let met = refused(&mut story, "launch/00000001");
    story.by("b").call("DescribeJobs", &job.id);
    story.finish(&job, 0);
    story.is_good();
    let late = story.by("a").call("TerminateJob", &job.id);
    story.breaks(Promise::Fence, &[takeover, met, late]);
}

/// It has found the other's lease, and no record. Before that one is written, its own was refused for a reply that was lost.
#[test]
fn a_launcher_that_has_lost_its_lease_calls_batch() {
    let mut story = Story::new();
    story.lease("running");
    let job = story.begin(launch(1, 0, 0));
    let takeover = story.next();
    story.by("b").record(&[]);
    refused(&mut story, "lease");
    story.by("a").call("DescribeJobs", &job.id);
    story.by("b").lease("running");
    story.by("a").call("DescribeJobs", &job.id);
    let met = refused(&mut story, "lease");
    story.finish(&job, 0);
    story.is_good();
    let late = story.by("a").call("DescribeJobs", &job.id);
    story.breaks(Promise::Fence, &[takeover, met, late]);
}

#[test]
fn a_fenced_launcher_writes_the_chain_on() {
    let mut story = Story::new();
    story.run(launch(1, 0, 0), 0);
    story.by("b").record(&[]);
    let line = story.next();
    story.by("a").run(launch(2, 0, 0), 0);
    story.breaks(Promise::Fence, &[line]);
}

#[test]
fn a_launcher_ends_what_is_not_its_own() {
    for operation in ["TerminateJob", "TerminateJobs", "CancelJob", "CancelJobs"] {
        let mut story = Story::new();
        let job = story.begin(launch(1, 0, 0));
        let detail =
            json!({"jobId": "x", "jobName": "somebody-elses", "jobQueue": "q", "size": null});
        story.line("job.submitted", detail);
        story.call(operation, &job.id);
        let foreign = story.call(operation, "x");
        story.finish(&job, 0);
        story.breaks(Promise::Foreign, &[foreign]);
        let unknown = story.call(operation, "y");
        let both = story.findings(&Expectations::default());
        assert_eq!(both.len(), 2);
        assert_eq!(both[1].lines, [unknown]);
    }
}
