//! Faults of AWS that must not make a task's code run twice, nor an attempt count twice: lost replies, errors after the
//! effect, jobs that are started twice, and states that are not true. Counted from what the datastore says (claims,
//! outcomes, `DONE.lock`), and from the marks that the tasks leave.

mod harness;

use std::{collections::BTreeMap, fs, time::Duration};

use checker::{Expectations, History, Promise, check};
use harness::{
    blocked::{Blocked, SHORT_LEASE, SHORT_LEASE_TIMES, Setup},
    events::Events,
    lab::{Finished, Lab},
    processes::alive,
    python,
    stack::Stack,
    story::Story,
    tests_folder, wait_for,
};
use serde::Deserialize;
use serde_json::{Value, json};

/// What `stack/launches.py` prints.
#[derive(Debug, Deserialize)]
struct Launches {
    successful: bool,
    tasks: BTreeMap<String, Task>,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Task {
    /// By attempt and launch: `claimed` or `revoked`.
    claims: BTreeMap<String, String>,
    outcomes: Vec<Value>,
    done: Vec<String>,
    successful: bool,
    current_attempt: u64,
}

impl Task {
    /// One that went well at its first attempt, whose number is free after a launch that never began.
    fn once(claims: &[(&str, &str)]) -> Self {
        let owned = |(name, kind): &(&str, &str)| ((*name).to_owned(), (*kind).to_owned());
        Self {
            claims: claims.iter().map(owned).collect(),
            outcomes: vec![json!({"kind": "exited", "code": 0, "stopped": null})],
            done: vec!["0".to_owned()],
            successful: true,
            current_attempt: 0,
        }
    }
}

/// A run of `once.py` on a stack where something goes wrong once.
struct Run {
    story: Story,
    launches: Launches,
    /// By index: the attempts in which the task's code has begun.
    begun: [String; 2],
}

impl Run {
    /// Panics unless the run ends well.
    fn with(rules: &[Value]) -> Self {
        Self::of(Story::of("once.py", &[], rules))
    }

    fn of(story: Story) -> Self {
        story.kept_its_promises(&Expectations::default());
        let submitted = story.history("job.submitted");
        assert!(submitted.iter().all(|job| job["by"]["app"] == "launcher"));
        let Story {
            lab, stack, run, ..
        } = &story;
        Self {
            launches: launches(lab, stack, &format!("OnceFlow/{run}/work")),
            begun: [story.begun(0), story.begun(1)],
            story,
        }
    }

    /// Panics unless each task ran once and is told once; the claims are those of the first, and the other is untouched.
    #[track_caller]
    fn ran_each_task_once(&self, first: &[(&str, &str)]) {
        assert_eq!(self.begun, ["0\n", "0\n"]);
        assert!(self.launches.successful);
        let tasks: Vec<_> = self.launches.tasks.values().collect();
        let untouched = Task::once(&[("0.0", "claimed")]);
        let touched = Task::once(first);
        assert_eq!(tasks.len(), 2);
        let as_wanted = |a: &Task, b: &Task| *a == touched && *b == untouched;
        assert!(
            as_wanted(tasks[0], tasks[1]) || as_wanted(tasks[1], tasks[0]),
            "{tasks:#?}"
        );
    }

    /// The ends of the foreach's jobs.
    fn ends(&self) -> Vec<Value> {
        let of_work = |end: &Value| {
            end["jobName"]
                .as_str()
                .is_some_and(|n| n.contains("-work-"))
        };
        let ends = self.story.history("job.ended");
        ends.into_iter().filter(of_work).collect()
    }

    /// How often the processes of a job were started.
    fn starts(&self, job: &Value) -> usize {
        let starts = self.story.history("process.started");
        starts.iter().filter(|start| start["jobId"] == *job).count()
    }

    /// The SubmitJob calls of the foreach, and how many of them the rules have touched.
    fn submissions(&self) -> (usize, usize) {
        let mut calls = self.story.history("call");
        calls.retain(|call| {
            let subject = call["subject"].as_str().unwrap_or_default();
            call["operation"] == "SubmitJob" && subject.contains("-work-")
        });
        let touched = calls.iter().filter(|call| !call["fault"].is_null());
        (calls.len(), touched.count())
    }
}

fn launches(lab: &Lab, stack: &Stack, step: &str) -> Launches {
    let output = std::process::Command::new(python::with_metaflow())
        .arg(tests_folder().join("stack/launches.py"))
        .arg(step)
        .current_dir(lab.path())
        .env("METAFLOW_USER", "tester")
        .envs(stack.environment())
        .output()
        .expect("python starts");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).expect("launches as JSON")
}

fn submission(fault: Value) -> Value {
    json!({"operation": "SubmitJob", "subject": "-work-", "fault": fault})
}

fn not_shown() -> Value {
    json!({"operation": "DescribeJobs", "times": 100_000, "fault": {"as_of": 1_000_000}})
}

fn job(fault: Value) -> Value {
    json!({"operation": "StartJob", "subject": "-work-", "fault": fault})
}

#[test]
fn the_reply_to_a_submission_is_lost() {
    let run = Run::with(&[submission(json!("lose_reply"))]);
    assert_eq!(run.submissions(), (2, 1));
    run.ran_each_task_once(&[("0.0", "claimed")]);
}

/// Upstream's reference policy does not let a launcher list jobs: it submits again, and the twins race for the claim.
#[test]
fn the_reply_is_lost_and_jobs_cannot_be_listed() {
    let denied = json!({"refuse": {"status": 403, "code": "AccessDeniedException"}});
    let list = json!({"operation": "ListJobs", "times": 100, "fault": denied});
    let run = Run::with(&[submission(json!("lose_reply")), list]);
    assert_eq!(run.submissions(), (3, 1));
    run.ran_each_task_once(&[("0.0", "claimed")]);
}

/// For longer than the client tries by itself.
#[test]
fn queues_cannot_be_described_for_a_while() {
    let fault = json!({"refuse": {"status": 503, "code": "ServiceUnavailable"}});
    let run = Run::with(&[json!({"operation": "DescribeJobQueues", "times": 8, "fault": fault})]);
    run.ran_each_task_once(&[("0.0", "claimed")]);
}

/// By a proxy on the way, say. Jobs are not ended for that.
#[test]
fn jobs_may_not_be_described_in_between() {
    let fault = json!({"refuse": {"status": 403, "code": "AccessDeniedException"}});
    let rule = json!({"operation": "DescribeJobs", "nth": 3, "times": 2, "fault": fault});
    let run = Run::with(&[rule]);
    run.ran_each_task_once(&[("0.0", "claimed")]);
}

#[test]
fn a_submission_is_refused_after_it_was_carried_out() {
    let fault = json!({"refuse_after_effect": {"status": 500, "code": "ServerException"}});
    let run = Run::with(&[submission(fault)]);
    assert_eq!(run.submissions(), (2, 1));
    run.ran_each_task_once(&[("0.0", "claimed")]);
}

#[test]
fn a_job_is_started_twice() {
    let run = Run::with(&[job(json!("start_twice"))]);
    let ends = run.ends();
    let mut starts: Vec<_> = ends.iter().map(|end| run.starts(&end["jobId"])).collect();
    starts.sort_unstable();
    assert_eq!(starts, [1, 2], "{ends:?}");
    run.ran_each_task_once(&[("0.0", "claimed")]);
}

#[test]
fn a_job_is_called_a_failure_after_its_success() {
    for reason in [
        "Host EC2 (instance i-0123456789abcdef0) terminated.",
        "Essential container in task exited",
    ] {
        let run = Run::with(&[job(json!({"fail_after_success": reason}))]);
        let ends = run.ends();
        let failed = ends.iter().filter(|end| end["status"] == "FAILED");
        assert_eq!(failed.count(), 1, "{ends:?}");
        assert_eq!(ends.len(), 2, "no third job: {ends:?}");
        run.ran_each_task_once(&[("0.0", "claimed")]);
    }
}

/// Its container finds the next attempt's mark, and ends the task.
#[test]
fn a_job_is_called_a_failure_and_lives_on() {
    let lost = json!({"after": 2, "status_reason": "Host EC2 (instance i-0) terminated."});
    let run = Blocked::start(&Setup {
        width: 1,
        blocking: 1,
        processors: Some(1),
        environment: &[SHORT_LEASE],
        faults: &[json!({"operation": "StartJob", "fault": {"fail_while_alive": lost}})],
        ..Setup::default()
    });
    let zombie = run.tasks[0];
    let begun = run.lab.shared("begun-0");
    wait_for("the next attempt to begin", || {
        fs::read_to_string(&begun).is_ok_and(|marks| marks == "0\n1\n")
    });
    wait_for("the first one to end", || !alive(zombie));
    run.release();
    let (story, running) = run.into_story();
    let finished = running.wait().exited(0).says("Done!");
    let mut ends = story.history("process.ended");
    ends.retain(|end| end["exitCode"] == model::exit_code::container::SUPERSEDED);
    assert_eq!(ends.len(), 1, "{ends:?}\n{}", finished.all());
    story.kept_its_promises(&Expectations {
        lease: SHORT_LEASE_TIMES,
        zombie: Duration::from_secs(20),
        ..Expectations::default()
    });
}

#[test]
fn a_job_is_called_a_success_and_did_not_run() {
    let run = Run::with(&[job(json!("succeed_without_running"))]);
    let ends = run.ends();
    let mut starts: Vec<_> = ends.iter().map(|end| run.starts(&end["jobId"])).collect();
    starts.sort_unstable();
    assert_eq!(starts, [0, 1, 1], "{ends:?}");
    assert!(ends.iter().all(|end| end["status"] == "SUCCEEDED"));
    run.ran_each_task_once(&[("0.0", "revoked"), ("0.1", "claimed")]);
}

/// No job is ever shown. Of one that has not begun by then it is made sure that it never does, and it is submitted again.
#[test]
fn a_job_is_not_shown_and_has_not_begun() {
    let late = job(json!({"delay": 25}));
    let variables = [("FERROFLOW_FAILPOINT", "absent:10")];
    let story = Story::with(&variables, "once.py", &[], &[not_shown(), late]);
    let run = Run::of(story);
    assert_eq!(run.submissions(), (3, 0));
    run.ran_each_task_once(&[("0.0", "revoked"), ("0.1", "claimed")]);
}

/// One that has begun is waited for, but not for longer than Batch remembers jobs.
#[test]
fn a_job_is_not_shown_and_its_host_was_lost() {
    let lost = json!({"operation": "StartJob", "fault": {"lose_host": 8}});
    let run = Blocked::start(&Setup {
        width: 1,
        blocking: 1,
        processors: Some(1),
        environment: &[("FERROFLOW_FAILPOINT", "absent:15,forgotten:1")],
        faults: &[not_shown(), lost],
        ..Setup::default()
    });
    let begun = run.lab.shared("begun-0");
    wait_for("the next attempt to begin", || {
        fs::read_to_string(&begun).is_ok_and(|marks| marks == "0\n1\n")
    });
    assert!(!alive(run.tasks[0]));
    run.release();
    let (story, running) = run.into_story();
    running.wait().exited(0).says("Done!");
    story.kept_its_promises(&Expectations::default());
}

#[test]
fn the_reply_to_a_claim_is_lost() {
    let rule = json!({"operation": "PutObject", "subject": "/claim/work/", "fault": "lose_reply"});
    let run = Run::with(&[rule]);
    let claims = run.story.history("s3.call").into_iter().filter(|call| {
        let key = call["key"].as_str().unwrap_or_default();
        call["operation"] == "PutObject" && key.contains("/claim/work/")
    });
    // The second try meets the claim that the first has made.
    let refused = claims.filter(|call| call["status"] == 412).count();
    assert_eq!(refused, 1);
    run.ran_each_task_once(&[("0.0", "claimed")]);
}

/// Another revision that is the same does no harm.
#[test]
fn the_reply_to_a_definition_is_lost() {
    let rule = json!({"operation": "RegisterJobDefinition", "fault": "lose_reply"});
    let run = Run::with(&[rule]);
    let calls = run.story.history("call").into_iter();
    let asked = calls.filter(|call| call["operation"] == "RegisterJobDefinition");
    assert!(asked.count() >= 1);
    let jobs = run.story.history("job.submitted");
    let definition = |job: &Value| job["jobDefinition"].as_str().map(str::to_owned);
    let pinned: std::collections::BTreeSet<_> = jobs.iter().filter_map(definition).collect();
    assert_eq!(pinned.len(), 1, "{pinned:?}");
    run.ran_each_task_once(&[("0.0", "claimed")]);
}

/// It is found again as the launcher's own.
#[test]
fn the_reply_to_a_record_is_lost() {
    let rule =
        json!({"operation": "PutObject", "subject": "/launch/00000001", "fault": "lose_reply"});
    let run = Run::with(&[rule]);
    let calls = run.story.history("s3.call").into_iter().filter(|call| {
        let key = call["key"].as_str().unwrap_or_default();
        call["operation"] == "PutObject" && key.ends_with("/launch/00000001")
    });
    assert_eq!(calls.filter(|call| call["status"] == 412).count(), 1);
    run.ran_each_task_once(&[("0.0", "claimed")]);
}

/// A lost host is no failure: neither without `@retry` nor to `@catch`. A bug is one, and runs once.
#[test]
fn a_reclaimed_task_goes_on_and_a_bug_does_not() {
    let rule = json!({"operation": "StartJob", "subject": "-start-", "fault": {"lose_host": 1.0}});
    let (story, finished) = Story::ending(&[], "reclaimed.py", &[], &[rule]);
    let finished = finished.exited(1);
    let finished = finished.says("The host of the task was lost (Host EC2 (instance i-");
    let finished = finished.says("ValueError: a bug of the user's");
    finished.says("The task failed with exit code 1: its log says why.");
    let mut submitted = story.history("job.submitted");
    submitted.sort_by_key(|job| job["jobName"].to_string());
    let of = |step: &str| {
        let is_of = |job: &&Value| job["jobName"].as_str().is_some_and(|n| n.contains(step));
        submitted.iter().filter(is_of).count()
    };
    assert_eq!((of("-start-"), of("-end-")), (2, 1), "{submitted:#?}");
    let begun = story.begun(0);
    assert!(
        begun.lines().last().is_some_and(|last| last <= "1"),
        "{begun:?}"
    );
    assert_eq!(story.begun(1), "0\n");
    story.kept_its_promises(&Expectations::default());
}

/// The checker finds what there is to be found, also in what a stack writes.
#[test]
fn a_store_without_conditions_is_found_out() {
    let lax = json!({"operation": "PutObject", "subject": "/claim/work/", "times": 100, "fault": "ignore_conditions"});
    let story = Story::of("once.py", &[], &[lax, job(json!("start_twice"))]);
    let text = fs::read_to_string(story.path_of_history()).expect("a history");
    let history = History::parse(&text).expect("lines of a history");
    let findings = check(&history, &Expectations::default());
    let promises: Vec<_> = findings.iter().map(|finding| finding.promise).collect();
    assert!(promises.contains(&Promise::Objects), "{findings:#?}");
    assert!(promises.contains(&Promise::OneProcess), "{findings:#?}");
}

/// Of everything something goes wrong, now and then. Which calls and starts are met is drawn from the seed, so a failure
/// comes again as far as threads allow.
#[test]
fn a_wide_run_outlives_a_bad_day() {
    const SEED: u64 = 20_261_126;
    let refusal =
        |when: &str, status: u16, code: &str| json!({when: {"status": status, "code": code}});
    let throttle = refusal("refuse", 429, "TooManyRequestsException");
    let now_and_then = |operation: &str, probability: f64, fault: Value| json!({"operation": operation, "seed": SEED, "probability": probability, "fault": fault});
    let mut rules = vec![now_and_then("SubmitJob", 0.05, json!("lose_reply"))];
    // Not for ever, or the test would take long.
    for (operation, times) in [("SubmitJob", 30), ("DescribeJobs", 10)] {
        let mut throttles = now_and_then(operation, 0.3, throttle.clone());
        throttles["times"] = times.into();
        rules.push(throttles);
    }
    for operation in ["SubmitJob", "DescribeJobs", "ListJobs"] {
        let before = refusal("refuse", 500, "ServerException");
        let after = refusal("refuse_after_effect", 503, "ServiceUnavailable");
        rules.push(now_and_then(operation, 0.1, before));
        rules.push(now_and_then(operation, 0.1, after));
    }
    let mut reclaim = now_and_then("StartJob", 0.2, json!({"lose_host": 1.0}));
    reclaim["at_most_per_subject"] = 3.into();
    rules.push(reclaim);
    // Some go out as arrays, what goes out again by itself.
    let variables = [("FERROFLOW_ARRAY_MIN", "3"), ("FERROFLOW_JSON", "1")];
    let more = ["--max-workers", "6"];
    let (story, finished) = Story::ending(&variables, "dozen.py", &more, &rules);
    let finished = finished.exited(0).says("Done!");
    let met = story.history("fault");
    assert!(met.len() >= 10, "too little went wrong: {met:#?}");
    let workers = Expectations {
        max_workers: Some(6),
        ..Expectations::default()
    };
    story.kept_its_promises(&workers);
    tells_of_the_day(&story, &finished);
    for index in 0..12 {
        let mut begun: Vec<_> = story.begun(index).lines().map(str::to_owned).collect();
        let all = begun.len();
        begun.dedup();
        assert_eq!(
            begun.len(),
            all,
            "an attempt of {index} has begun twice: {begun:?}"
        );
    }
}

/// What programs are told of attempts adds up, and the record of the run has what AWS Batch was asked for.
fn tells_of_the_day(story: &Story, finished: &Finished) {
    let events = Events::parse(&finished.stdout);
    events.add_up();
    let width =
        "Step work has 12 tasks, and 6 of them run at once: run --max-workers 12 allows all.";
    let notices = events.of("notice");
    let of_width = notices.iter().filter(|notice| notice["text"] == width);
    assert_eq!(of_width.count(), 1, "{notices:?}");
    assert!(finished.stderr.contains(width));
    let started = events.of("task_started");
    assert!(started.iter().all(|event| event["place"] == "batch"));
    for task in started.iter().map(|event| &event["task"]) {
        let has = |kind: &str| events.of(kind).iter().any(|event| event["task"] == *task);
        assert!(has("task_submitted") && has("task_status"), "{task}");
    }

    let record: Value =
        serde_json::from_str(&story.status("DozenFlow", &["--json"])).expect("JSON");
    let calls = &record["batch_calls"]["DescribeJobs"];
    let number = |name: &str| calls[name].as_u64().expect("a number");
    assert!(number("throttled") > 0 && number("retried") > 0, "{calls}");
    assert!(number("throttled") < number("calls"), "{calls}");
    assert!(
        (30..=300).contains(&number("allowed_per_minute")),
        "{calls}"
    );
    let told = story.status("DozenFlow", &["-v"]);
    assert!(told.contains("DescribeJobs"), "{told}");
}
