//! `ferroflow why`, and the line that a run says by itself: set-ups on the embedded stack in which jobs wait, because
//! something is wrong, or rightly. More of them, on prepared answers: src/aws/tests/aws/waiting.json.

mod harness;

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    process::{Command, Output},
    sync::OnceLock,
};

use harness::{
    FERROFLOW,
    lab::{Lab, Launcher},
    python, remove_variables,
    stack::Stack,
    tests_folder, wait_for,
};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

/// A caller who may call less: by its application id.
const STRANGER: &str = "stranger";

struct Waits {
    stack: Stack,
    /// Ids by the names in `stack/waits.py`.
    jobs: BTreeMap<String, String>,
}

/// What goes wrong with jobs by their names, and what the stranger may not do.
fn rules() -> String {
    let start =
        |subject: &str, fault| json!({"operation": "StartJob", "subject": subject, "fault": fault});
    let waits = json!({"wait_for_capacity": {"for": 36_000}});
    let capacity = "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - Service cannot fulfill the capacity requested for instance type [p4d.24xlarge]";
    let image = "CannotPullContainerError: pull access denied for x, repository does not exist or may require 'docker login'";
    let role = "ECS was unable to assume the role 'arn:aws:iam::1:role/r' that was provided for this task.";
    let denied = |operation: &str| {
        let fault = json!({"refuse": {"status": 403, "code": "AccessDeniedException"}});
        json!({"operation": operation, "client": STRANGER, "times": 1_000_000, "fault": fault})
    };
    let rules = json!([
        start(
            "capacity",
            json!({"wait_for_capacity": {"for": 36_000, "status_reason": capacity}})
        ),
        start(
            "image",
            json!({"fail_to_start": {"status_reason": "Task failed to start", "reason": image}})
        ),
        start("role", json!({"fail_to_start": {"status_reason": role}})),
        start("closed", waits.clone()),
        start("deleted", waits.clone()),
        start("starts", waits),
        start("pulls", json!({"delay": 36_000})),
        denied("ListJobs"),
        denied("GetJobQueueSnapshot"),
        denied("DescribeComputeEnvironments"),
    ]);
    rules.to_string()
}

/// The set-ups, which all tests of this process look at.
fn waits() -> &'static Waits {
    static WAITS: OnceLock<Waits> = OnceLock::new();
    WAITS.get_or_init(|| {
        let stack = stack();
        let made = Command::new(python::with_metaflow())
            .arg(tests_folder().join("stack/waits.py"))
            .envs(stack.variables())
            .output()
            .expect("python starts");
        let failed = String::from_utf8_lossy(&made.stderr);
        assert!(made.status.success(), "{failed}");
        let jobs = serde_json::from_slice(&made.stdout).expect("ids as JSON");
        Waits { stack, jobs }
    })
}

fn stack() -> Stack {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(rules().as_bytes())
        .expect("the rules are written");
    Stack::start(&[
        "--faults",
        file.path().to_str().expect("a path that is text"),
    ])
}

fn why(stack: &Stack, variables: &[(&str, &str)], args: &[&str]) -> Output {
    let mut command = Command::new(FERROFLOW);
    remove_variables(&mut command, &["METAFLOW_", "FERROFLOW", "AWS_"]);
    command
        .arg("why")
        .args(args)
        .envs(stack.variables())
        .envs(variables.iter().copied())
        .output()
        .expect("ferroflow starts")
}

#[track_caller]
fn told(stack: &Stack, variables: &[(&str, &str)], what: &str) -> String {
    let output = why(stack, variables, &[what]);
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    assert_eq!(output.status.code(), Some(0), "{what}\n{text}");
    text
}

/// The same for programs.
fn told_to_programs(stack: &Stack, what: &str) -> Value {
    let output = why(stack, &[], &[what, "--json"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

impl Waits {
    /// Panics unless the text about a job has all these parts; whether there is something to mend.
    #[track_caller]
    fn check(&self, name: &str, mends: bool, parts: &[&str]) {
        let text = told(&self.stack, &[], &self.jobs[name]);
        for part in parts {
            assert!(text.contains(part), "{name}: {part} is not in\n{text}");
        }
        assert_eq!(text.matches("\n  why: ").count(), 1, "{name}\n{text}");
        assert_eq!(text.contains("\n  fix: "), mends, "{name}\n{text}");
        assert!(!text.contains("not seen: "), "{name}\n{text}");
    }
}

#[test]
fn what_is_wrong_is_named_and_how_to_mend_it() {
    let waits = waits();
    let cases: &[(&str, &[&str])] = &[
        (
            "disabled",
            &[
                "the compute environment `off` is DISABLED",
                "--state ENABLED --compute-environment off",
            ],
        ),
        (
            "invalid",
            &[
                "`role` is INVALID: CLIENT_ERROR - User: batch.amazonaws.com is not authorized",
                "trust batch.amazonaws.com",
            ],
        ),
        (
            "max",
            &[
                "`tiny` allows 1 vCPU (maxvCpus), and the job asks for 2 ",
                "raise its maxvCpus to 2 or more",
            ],
        ),
        (
            "gpu",
            &["`c5` has no hosts with GPUs (c5.large, c5.xlarge)"],
        ),
        (
            "memory",
            &[
                "c5.xlarge, has 8192 MB nominally",
                "asks for 8192 MB",
                "at most 7618 MB",
            ],
        ),
        (
            "vcpus",
            &[
                "c5.xlarge, has 4 vCPUs, and the job asks for 8",
                "at most 4 by @resources(cpu=…)",
            ],
        ),
        (
            "capacity",
            &[
                "AWS Batch says: CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY",
                "more instance types",
            ],
        ),
        (
            "closed",
            &[
                "the queue `closed` is DISABLED",
                "update-job-queue --state ENABLED",
            ],
        ),
        (
            "behind",
            &[
                "which is first in the queue `max`, blocks all others",
                &waits.jobs["max"],
            ],
        ),
    ];
    for (name, parts) in cases {
        waits.check(name, true, parts);
    }
    // The text of docs/failures.md has the fix in it.
    for (name, parts) in [
        (
            "image",
            [
                "is FAILED",
                "the image cannot be pulled (CannotPullContainerError",
            ],
        ),
        (
            "role",
            [
                "is FAILED",
                "it must exist, and trust ecs-tasks.amazonaws.com",
            ],
        ),
        ("deleted", ["is FAILED", "JobQueue deleted"]),
    ] {
        waits.check(name, false, &parts);
    }
}

#[test]
fn where_all_is_well_nothing_is_to_be_mended() {
    let waits = waits();
    let dependency = format!("it waits for other jobs: {} (RUNNABLE)", waits.jobs["full"]);
    let cases: &[(&str, &[&str])] = &[
        (
            "starts",
            &[
                "nothing is wrong so far: hosts of the queue `starts` are being started",
                "seen: the compute environment `off`: EC2, DISABLED",
            ],
        ),
        (
            "full",
            &["it waits for room in the queue `full`, where 1 of 1 vCPUs are taken, and is next"],
        ),
        (
            "next",
            &["where 1 of 1 vCPUs are taken, behind 1 other job."],
        ),
        ("dependent", &[&dependency]),
        ("runs", &["is RUNNING", "why: it runs"]),
        ("done", &["is SUCCEEDED", "why: it has ended well"]),
        (
            "pulls",
            &["is STARTING", "it has a host, which pulls the image"],
        ),
    ];
    for (name, parts) in cases {
        waits.check(name, false, parts);
    }
}

#[test]
fn an_array_is_told_as_its_children_are() {
    let waits = waits();
    let array = &waits.jobs["array"];
    let children = format!("3 jobs ({array}:0, {array}:1, {array}:2) are RUNNABLE");
    waits.check("array", true, &[&children, "the job asks for 3 "]);
    let arn = format!("arn:aws:batch:us-east-1:123456789012:job/{array}:1");
    let text = told(&waits.stack, &[], &arn);
    assert!(
        text.starts_with(&format!("job {array}:1 is RUNNABLE, ")),
        "{text}"
    );
}

#[test]
fn calls_that_are_not_allowed_are_named_and_the_rest_is_told() {
    let waits = waits();
    let stranger = [("AWS_SDK_UA_APP_ID", STRANGER)];
    let text = told(&waits.stack, &stranger, &waits.jobs["max"]);
    for part in [
        "AWS Batch says: MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE",
        "raise maxvCpus of a compute environment of the queue to 2 or more",
        "not seen: DescribeComputeEnvironments (AccessDeniedException)",
        "not seen: GetJobQueueSnapshot (AccessDeniedException)",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    let text = told(&waits.stack, &stranger, &waits.jobs["starts"]);
    assert!(text.contains("why: nothing was found"), "{text}");
    assert!(
        text.contains("not seen were DescribeComputeEnvironments"),
        "{text}"
    );
}

/// A run whose first job is larger than its queue: it says so by itself, and `why` does, by the run's id.
#[test]
fn a_run_says_by_itself_why_its_jobs_wait() {
    let waits = waits();
    let lab = Lab::new("linear.py");
    let environment = waits.stack.environment();
    let args = [
        "run",
        "--with",
        "batch:queue=max,cpu=2",
        "--run-id-file",
        "run-id",
    ];
    let mut command = lab.command(Launcher::Ferroflow, &args);
    command.envs(&environment).env("FERROFLOW_WHY_AFTER", "1");
    let running = lab.start(command);
    let line = "the compute environment `tiny` allows 1 vCPU (maxvCpus), and the job asks for 2 (it is the only one of the queue `max`). Raise its maxvCpus to 2 or more, or ask for at most 1 by @resources(cpu=…).";
    wait_for("the line", || running.output().contains(line));
    let output = running.output();
    let said: Vec<_> = output.lines().filter(|said| said.contains(line)).collect();
    assert!(
        said[0].contains(" Job ") && said[0].contains(" is RUNNABLE, submitted "),
        "{output}"
    );

    let run = fs::read_to_string(lab.path().join("run-id")).expect("a run id");
    let run = format!("LinearFlow/{}", run.trim());
    let text = told(&waits.stack, &[], &run);
    let head = format!("{run}: 1 of 1 task on AWS Batch has not begun\njob ");
    assert!(text.starts_with(&head), "{text}");
    assert!(
        text.contains("why: the compute environment `tiny` allows 1 vCPU"),
        "{text}"
    );
    let document = told_to_programs(&waits.stack, &run);
    let head = json!({
        "run": run, "state": "running", "submitted": 1, "not_begun": 1, "jobs": 1, "looked_at": 1, "not_found": {},
        "cannot_list": null,
    });
    assert_eq!(document["run"], head);
    let cause = &document["causes"][0];
    assert_eq!(
        (&cause["state"], &cause["outlook"]),
        (&"RUNNABLE".into(), &"stuck".into())
    );
    for (name, part) in [
        ("why", "`tiny` allows 1 vCPU"),
        ("fix", "raise its maxvCpus to 2"),
    ] {
        let text = cause[name].as_str().expect("text");
        assert!(text.contains(part), "{cause:#}");
    }
    let job = cause["jobs"][0].as_str().expect("an id");
    let of_job = told_to_programs(&waits.stack, job);
    assert_eq!(
        (&of_job["run"], &of_job["causes"][0]["why"]),
        (&Value::Null, &cause["why"])
    );
    // Without ListJobs there are no ids, but a queue.
    let text = told(&waits.stack, &[("AWS_SDK_UA_APP_ID", STRANGER)], &run);
    assert!(
        text.contains("cannot be looked for by name: ListJobs (AccessDeniedException)"),
        "{text}"
    );
    assert!(
        text.contains("\njobs in the queue `max`\n  why: "),
        "{text}"
    );

    running.signal_group(Signal::SIGINT);
    let finished = running.wait().exited(1);
    assert_eq!(
        finished.all().matches(line).count(),
        1,
        "{}",
        finished.all()
    );
    let text = told(&waits.stack, &[], &run);
    assert!(text.contains("; the run was interrupted\n"), "{text}");
}
