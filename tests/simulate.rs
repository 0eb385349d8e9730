//! Tasks that the embedded stack plays, without a process (`ferroflow dev up --simulate`): launcher and upstream's readers
//! take them for real, and many of them cost few calls.

mod harness;

use std::{collections::BTreeSet, fs, process::Command};

use checker::Expectations;
use harness::{
    lab::{Lab, Launcher},
    metadata_service::MetadataService,
    python,
    stack::Stack,
    story::Story,
    tests_folder,
};
use serde_json::{Value, json};

/// A run on a stack that plays some steps.
struct Simulated {
    story: Story,
    /// What upstream's Client sees of the steps: `tests/stack/tasks.py`.
    tasks: Value,
}

impl Simulated {
    /// Panics unless the run ends well and keeps what launches promise.
    fn run(launcher: Launcher, flow: &str, options: &[&str], simulation: &Value) -> Self {
        Self::in_weather(launcher, flow, options, simulation, &[])
    }

    /// The same, on a stack where things go wrong.
    fn in_weather(
        launcher: Launcher,
        flow: &str,
        options: &[&str],
        simulation: &Value,
        rules: &[Value],
    ) -> Self {
        let (lab, stack) = launched(launcher, flow, options, (simulation, rules), &[]);
        let run = fs::read_to_string(lab.path().join("run-id")).expect("a run id");
        let class = flow.trim_end_matches(".py").split('_').map(capital);
        let pathspec = format!("{}Flow/{}", class.collect::<String>(), run.trim());
        let client = Command::new(python::with_metaflow())
            .arg(tests_folder().join("stack/tasks.py"))
            .arg(pathspec)
            .current_dir(lab.path())
            .envs(stack.environment())
            .env("METAFLOW_USER", "tester")
            .output()
            .expect("python starts");
        let error = String::from_utf8_lossy(&client.stderr);
        assert!(client.status.success(), "{error}");
        let tasks = serde_json::from_slice(&client.stdout).expect("tasks as JSON");
        let story = Story { lab, stack, run };
        story.kept_its_promises(&Expectations::default());
        Self { story, tasks }
    }

    /// The times of the launcher's calls of Batch, in milliseconds.
    fn calls(&self, operation: &str) -> Vec<i64> {
        let mut calls = self.story.stack.history_lines(&["call"]);
        calls.retain(|line| {
            let call = &line["detail"];
            call["operation"] == operation && call["by"]["app"] == "launcher"
        });
        let at = |line: &Value| line["at"].as_i64().expect("a time");
        calls.iter().map(at).collect()
    }

    /// What upstream's Client sees of each task of a step.
    fn of(&self, step: &str, what: &str) -> Vec<Value> {
        let tasks = self.tasks[step].as_array().expect("a list");
        tasks.iter().map(|task| task[what].clone()).collect()
    }

    fn processes(&self) -> usize {
        self.story.history("process.started").len()
    }
}

/// A run that has ended well.
fn launched(
    launcher: Launcher,
    flow: &str,
    options: &[&str],
    (simulation, rules): (&Value, &[Value]),
    environment: &[(&str, &str)],
) -> (Lab, Stack) {
    let lab = Lab::new(flow);
    let file = lab.path().join("simulation.json");
    fs::write(&file, simulation.to_string()).expect("the simulation is written");
    let file = file.to_str().expect("a path that is text");
    let stack = Stack::with_faults(rules, &["--simulate", file]);
    let args = ["--datastore", "s3", "run", "--run-id-file", "run-id"];
    let mut command = lab.command(launcher, &[&args[..], options].concat());
    command
        .envs(stack.environment())
        .env("AWS_SDK_UA_APP_ID", "launcher")
        // Metaflow starts 64 processes otherwise, for a handful of objects.
        .env("METAFLOW_S3_WORKER_COUNT", "1")
        .envs(environment.iter().copied());
    lab.start(command).wait().exited(0).says("all are joined");
    (lab, stack)
}

/// Whether the caller of SubmitJob cannot know whether a job was made.
fn is_unknown(fault: &Value) -> bool {
    let answers = ["refuse", "refuse_after_effect"];
    fault == "lose_reply"
        || answers
            .iter()
            .any(|how| fault[how]["status"].as_u64() >= Some(500))
}

fn capital(word: &str) -> String {
    let (first, rest) = word.split_at(1);
    first.to_uppercase() + rest
}

/// Counts are bounded, not times: how long it takes is the machine's affair.
#[test]
fn a_wide_foreach_takes_few_calls() {
    let simulation = json!({
        "work": {"next": ["join"], "seconds": 1},
        "join": {"next": ["end"], "joins_foreach": true},
    });
    let all_at_once = ["--max-workers", "200", "--max-num-splits", "200"];
    let run = Simulated::run(
        Launcher::Ferroflow,
        "simulated.py",
        &all_at_once,
        &simulation,
    );
    let submitted = run.calls("SubmitJob").len();
    assert!((1..=8).contains(&submitted), "{submitted} SubmitJob");
    let mut asked = run.calls("DescribeJobs");
    asked.extend(run.calls("ListJobs"));
    asked.sort_unstable();
    let seconds = asked
        .last()
        .zip(asked.first())
        .map_or(0, |(last, first)| (last - first) / 1000);
    assert!(
        asked.len() as i64 <= 2 * seconds + 6,
        "{} in {seconds} s",
        asked.len()
    );
    assert_eq!(run.processes(), 0);
    let work = run.tasks["work"].as_array().expect("a list");
    assert_eq!(work.len(), 200);
    for (index, task) in work.iter().enumerate() {
        assert_eq!(
            *task,
            json!({"index": index, "successful": true, "attempt": 0, "kept": "kept", "attempts": ["0"]})
        );
    }
}

#[test]
fn foreaches_in_a_foreach_are_joined_and_failures_retried() {
    let simulation = json!({
        "outer": {"next": ["inner"], "foreach": {"variable": "more", "splits": 2}, "fail": 2},
        "inner": {"next": ["inner_join"], "seconds": {"from": 0.1, "to": 0.4, "seed": 1}},
        "inner_join": {"next": ["join"], "joins_foreach": true},
    });
    let run = Simulated::run(Launcher::Ferroflow, "simulated_nested.py", &[], &simulation);
    let of = |step: &str, what: &str| run.of(step, what);
    assert_eq!(of("outer", "attempt"), [1, 1, 0]);
    assert_eq!(
        of("outer", "attempts"),
        [json!(["0", "1"]), json!(["0", "1"]), json!(["0"])]
    );
    assert_eq!(of("inner", "index"), [0, 0, 0, 1, 1, 1]);
    assert_eq!(of("inner_join", "index"), [0, 1, 2]);
    assert_eq!(run.processes(), 0);
}

/// Upstream's launcher, with its process for each task, is the measure of ours (benches/scale.py).
#[test]
fn tasks_of_upstreams_launcher_are_played_too() {
    let simulation = json!({
        "work": {"next": ["join"], "seconds": 1, "fail": 1},
        "join": {"next": ["end"], "joins_foreach": true},
    });
    let retry = "retry:times=1,minutes_between_retries=0";
    let options = ["--width", "3", "--with", retry];
    let run = Simulated::run(Launcher::Upstream, "simulated.py", &options, &simulation);
    assert_eq!(run.calls("SubmitJob").len(), 5);
    assert!(run.calls("DescribeJobs").len() > 5);
    assert_eq!(run.processes(), 0);
    assert_eq!(run.of("work", "index"), [0, 1, 2]);
    assert_eq!(run.of("work", "successful"), [true, true, true]);
    assert_eq!(run.of("work", "kept"), ["kept", "kept", "kept"]);
    let attempts = [json!(["0", "1"]), json!(["0"]), json!(["0"])];
    assert_eq!(run.of("work", "attempts"), attempts);
    assert_eq!(run.of("join", "attempts"), [json!(["0"])]);
    assert_eq!(run.of("end", "kept"), ["kept"]);
}

/// A service is far away: one request after the other would take ten thousand siblings minutes.
#[test]
fn siblings_are_registered_with_a_service_at_the_same_time() {
    let simulation = json!({
        "work": {"next": ["join"]},
        "join": {"next": ["end"], "joins_foreach": true},
    });
    let service = MetadataService::start(100);
    let options = ["--width", "60", "--max-workers", "60"];
    launched(
        Launcher::Ferroflow,
        "simulated.py",
        &options,
        (&simulation, &[]),
        &service.environment(),
    );
    let report = service.report();
    let tasks = json!({"_parameters": 1, "start": 1, "work": 60, "join": 1, "end": 1});
    assert_eq!(report["tasks"], tasks);
    let requests = |kind: &str| report["requests"][kind].as_u64().expect("a number");
    assert_eq!(requests("POST flows/runs/steps/task"), 64);
    // The first two siblings of an answer are made by upstream's code as it is, which asks for the step each time.
    assert!(requests("GET flows/runs/steps") <= 30);
    let at_once = report["at_once"].as_u64().expect("a number");
    assert!((8..=24).contains(&at_once), "{at_once}");
}

/// Descriptions of some seconds ago, without the jobs that are newer, and summaries of arrays that are older still: what is not
/// where it was a moment before has not ended for that.
#[test]
fn what_batch_shows_is_old() {
    const SEED: u64 = 7;
    let describe = |fault: Value| json!({"operation": "DescribeJobs", "seed": SEED, "probability": 0.5, "fault": fault});
    let rules = [
        describe(json!({"as_of": 3})),
        describe(json!({"stale_summary": 5})),
    ];
    let simulation = json!({
        "work": {"next": ["join"], "seconds": {"from": 0.5, "to": 2, "seed": SEED}, "fail": 3},
        "join": {"next": ["end"], "joins_foreach": true},
    });
    let retry = "retry:times=1,minutes_between_retries=0";
    let options = [
        "--max-workers",
        "150",
        "--max-num-splits",
        "200",
        "--with",
        retry,
    ];
    let run = Simulated::in_weather(
        Launcher::Ferroflow,
        "simulated.py",
        &options,
        &simulation,
        &rules,
    );
    assert!(run.of("work", "successful").iter().all(|is| *is == true));
    let mut attempts = run.of("work", "attempts");
    attempts.retain(|attempts| *attempts == json!(["0", "1"]));
    assert_eq!(attempts.len(), 3);
    let tasks: u64 = run.story.sizes("work").iter().sum();
    assert_eq!(tasks, 203, "each attempt was submitted once");
    assert!(!run.story.history("fault").is_empty());
}

/// Throttles, errors before and after the effect, lost replies, lost hosts, and no task may be retried. What is met is
/// drawn from a seed; `benches/weather.py` does the same to a thousand tasks, by many seeds.
#[test]
fn two_hundred_tasks_outlive_a_bad_day() {
    const SEED: u64 = 7;
    let refusal =
        |when: &str, status: u16, code: &str| json!({when: {"status": status, "code": code}});
    let rule = |operation: &str, probability: f64, fault: Value| json!({"operation": operation, "seed": SEED, "probability": probability, "fault": fault});
    let mut rules = vec![rule("SubmitJob", 0.2, json!("lose_reply"))];
    for operation in ["SubmitJob", "DescribeJobs", "ListJobs"] {
        let throttle = refusal("refuse", 429, "TooManyRequestsException");
        rules.push(rule(operation, 0.3, throttle));
        let (before, after) = ((500, "ServerException"), (503, "ServiceUnavailable"));
        rules.push(rule(operation, 0.05, refusal("refuse", before.0, before.1)));
        let after = refusal("refuse_after_effect", after.0, after.1);
        rules.push(rule(operation, 0.05, after));
    }
    // Tasks of this machine would wait long for upstream's own retries.
    for operation in ["GetObject", "HeadObject", "ListObjectsV2", "PutObject"] {
        let mut slow = rule(operation, 0.05, refusal("refuse", 503, "SlowDown"));
        slow["client"] = "aws-sdk-rust".into();
        rules.push(slow);
    }
    let mut slow = rule(
        "PutObject",
        0.05,
        refusal("refuse_after_effect", 503, "SlowDown"),
    );
    slow["client"] = "aws-sdk-rust".into();
    rules.push(slow);
    let mut reclaim = rule("StartJob", 0.2, json!({"lose_host": 0.3}));
    reclaim["subject"] = "-work-".into();
    reclaim["at_most_per_subject"] = 3.into();
    rules.push(reclaim);
    let simulation = json!({
        "work": {"next": ["join"], "seconds": {"from": 0.5, "to": 2, "seed": SEED}},
        "join": {"next": ["end"], "joins_foreach": true},
    });
    let all_at_once = ["--max-workers", "120", "--max-num-splits", "200"];
    let options = [&all_at_once[..], &["--with", "retry:times=0"]].concat();
    let run = Simulated::in_weather(
        Launcher::Ferroflow,
        "simulated.py",
        &options,
        &simulation,
        &rules,
    );

    let work = run.tasks["work"].as_array().expect("a list");
    assert_eq!(work.len(), 200);
    assert!(work.iter().all(|task| task["successful"] == true));
    let last = |task: &Value| task["attempt"].as_u64().expect("a number");
    let lost: u64 = work.iter().map(last).sum();
    assert!((20..=80).contains(&lost), "{lost} attempts were lost");
    assert!(work.iter().all(|task| last(task) <= 3));

    let (mut made, mut again) = (BTreeSet::new(), 0);
    for job in run.story.history("job.submitted") {
        let is_first = made.insert(job["jobName"].to_string());
        again += usize::from(!is_first);
    }
    let mut unknown = run.story.history("call");
    unknown.retain(|call| call["operation"] == "SubmitJob" && is_unknown(&call["fault"]));
    assert!(
        again <= unknown.len(),
        "{again} jobs were submitted again, after {} replies that told nothing",
        unknown.len()
    );
    assert!(!unknown.is_empty());
}
