//! AWS Batch, S3 and credentials, on embedded stacks that all rows share. What goes wrong in a row hangs on a name that only
//! this row uses: of a queue, of the datastore's root, of the flow.

use std::{
    fs, io::Write, net::TcpListener, process::Command, sync::OnceLock, thread, time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};

use crate::{
    ground::Ground,
    harness::{FERROFLOW, lab::Running, python, stack::Stack, tests_folder, wait_for},
    rows,
};

rows! {
    batch_without_s3: |g| { g.set("FERROFLOW_DEV", "never"); };
    no_root_on_s3: |_| {};
    no_queue: |g| { g.on(without_queues()).unset("METAFLOW_BATCH_JOB_QUEUE"); };
    queue_is_not_there: on_stack;
    queue_is_disabled: on_stack;
    queue_may_not_be_described: on_stack;
    compute_environment_is_disabled: |g| { on_stack(g); g.meanwhile(interrupt_when_the_job_waits); };
    share_means_nothing: on_stack;
    why_of_neither: |_| {};
    why_of_no_job: on_stack;
    why_of_no_run: on_stack;
    why_after_is_no_number: on_stack;
    array_min_means_nothing: on_stack;
    batch_tps_is_no_number: on_stack;
    jobs_may_not_be_submitted: |g| { on_stack(g); g.replace("SmallFlow", "UnsubmittedFlow"); };
    memory_is_no_number: on_stack;
    cpu_is_negative: on_stack;
    gpu_is_no_number: on_stack;
    oom_retries_is_no_number: on_stack;
    oom_max_memory_is_no_number: on_stack;
    no_bootstrap: |g| { on_stack(g); g.folder("empty"); };
    package_with_a_pipe: |g| {
        on_stack(g);
        nix::unistd::mkfifo(&g.path("pipe.py"), nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
    };
    region_is_missing: |g| { on_stack(g); g.unset("AWS_REGION").unset("AWS_DEFAULT_REGION"); };
    certificates_are_not_there: on_stack;
    batch_is_not_there: on_stack;
    batch_is_silent: |g| { on_stack(g); server(g, b""); };
    batch_speaks_no_http: |g| { on_stack(g); server(g, b"220 mail.example.org ESMTP\r\n\r\n"); };
    batch_speaks_no_tls: on_stack;
    batch_is_not_there_and_ctrl_c: |g| { on_stack(g); g.meanwhile(interrupt_when_it_starts); };
    killed_run_has_no_name: |_| {};
    killed_run_is_not_there: on_stack;
    killed_run_is_on_disk: |g| { g.folder(".metaflow"); };
    jobs_of_a_run_that_is_not_there: on_stack;
    jobs_on_disk: |g| { g.folder(".metaflow"); };
    reaped_without_orphans: |_| {};
    bucket_is_not_there: on_stack;
    bucket_may_not_be_used: on_stack;
    own_objects_may_not_be_written: on_stack;
    s3_is_not_there: on_stack;
    no_credentials: |g| { on_stack(g); g.unset("AWS_ACCESS_KEY_ID").unset("AWS_SECRET_ACCESS_KEY"); };
    key_is_unknown: on_stack;
    secret_is_wrong: on_stack;
    token_has_expired: on_stack;
    clock_is_wrong: on_stack;
    credentials_have_expired_for_batch: on_stack;
    aws_profile_is_not_there: on_stack;
    s3_refuses_for_a_moment: |g| { g.write("flow.py", ONE_STEP).on(refusing_once()); };
    s3_refuses_from_now_on: on_stack;
    stack_is_killed_and_comes_again: |g| {
        let stack: &'static Stack = Box::leak(Box::new(Stack::start(&[])));
        g.write("flow.py", ONE_STEP).on(stack).meanwhile(|_, running| {
            wait_for("the run to start", || running.output().contains("Task is starting."));
            restart(stack, running);
        });
    };
}

/// Its task costs seconds of the machine.
const ONE_STEP: &str = "\
from metaflow import FlowSpec, step


class SmallFlow(FlowSpec):
    @step(start=True, end=True)
    def only(self):
        print('nothing is wrong')


if __name__ == '__main__':
    SmallFlow()
";

fn on_stack(ground: &mut Ground) {
    ground.on(stack());
}

/// With queues and rules for the rows.
fn stack() -> &'static Stack {
    static STACK: OnceLock<Stack> = OnceLock::new();
    STACK.get_or_init(|| prepared("rows", &rules()))
}

/// One whose queues are all disabled.
fn without_queues() -> &'static Stack {
    static STACK: OnceLock<Stack> = OnceLock::new();
    STACK.get_or_init(|| prepared("no-queue", &json!([])))
}

/// One that refuses the first launch record of the first run.
fn refusing_once() -> &'static Stack {
    static STACK: OnceLock<Stack> = OnceLock::new();
    let denied = json!({"refuse": {"status": 403, "code": "AccessDenied"}});
    let rule = json!({"operation": "PutObject", "subject": "/launch/00000000", "fault": denied});
    STACK.get_or_init(|| with_rules(&json!([rule])))
}

fn prepared(what: &str, rules: &Value) -> Stack {
    let stack = with_rules(rules);
    let made = Command::new(python::with_metaflow())
        .arg(tests_folder().join("stack/queues.py"))
        .arg(what)
        .envs(stack.environment())
        .status();
    assert!(made.expect("python starts").success());
    stack
}

fn with_rules(rules: &Value) -> Stack {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(rules.to_string().as_bytes())
        .expect("the rules are written");
    let path = file.path().to_str().expect("a path that is text");
    Stack::start(&["--faults", path])
}

fn rules() -> Value {
    let always = |operation: &str, subject: &str, status: u16, code: &str| {
        let fault = json!({"refuse": {"status": status, "code": code}});
        json!({"operation": operation, "subject": subject, "times": 1_000_000, "fault": fault})
    };
    let denied = "AccessDeniedException";
    json!([
        always("DescribeJobQueues", "hidden", 403, denied),
        always("SubmitJob", "UnsubmittedFlow", 403, denied),
        always("DescribeJobQueues", "expired", 403, "ExpiredTokenException"),
        always("PutObject", "denied/", 403, "AccessDenied"),
        always("HeadObject", "denied/", 403, "AccessDenied"),
        always("PutObject", "expired/", 400, "ExpiredToken"),
        always("HeadObject", "expired/", 400, "ExpiredToken"),
        always("PutObject", "skewed/", 403, "RequestTimeTooSkewed"),
        always("HeadObject", "skewed/", 403, "RequestTimeTooSkewed"),
        always("PutObject", "not-ours/.ferroflow/", 403, "AccessDenied"),
        always(
            "PutObject",
            "from-now-on/.ferroflow/SmallFlow",
            403,
            "AccessDenied"
        ),
    ])
}

/// A server at `$ENDPOINT` that answers so whatever it is asked, or not at all.
fn server(ground: &mut Ground, answer: &'static [u8]) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    ground.set("ENDPOINT", &format!("http://{address}"));
    // Ends with the process of the tests.
    thread::spawn(move || {
        let mut open = Vec::new();
        for stream in listener.incoming().flatten() {
            let mut stream = stream;
            if answer.is_empty() {
                open.push(stream);
            } else {
                let _ = stream.write_all(answer);
            }
        }
    });
}

fn interrupt_when_it_starts(_: &Ground, running: &Running) {
    interrupt_after("Task is starting.", running);
}

fn interrupt_when_the_job_waits(_: &Ground, running: &Running) {
    interrupt_after("(status RUNNABLE)", running);
}

fn interrupt_after(text: &str, running: &Running) {
    wait_for(text, || running.output().contains(text));
    running.signal_group(Signal::SIGINT);
}

/// Kills the stack's server, waits until the run has noticed, and starts it again.
fn restart(stack: &Stack, running: &Running) {
    let description = fs::read(stack.folder().join("stack.json")).expect("the stack is described");
    let description: Value = serde_json::from_slice(&description).expect("JSON");
    let pid = description["pid"].as_i64().expect("a process id");
    let pid = Pid::from_raw(i32::try_from(pid).expect("a process id"));
    kill(pid, Signal::SIGKILL).expect("the server is there");
    wait_for("the run to notice", || {
        running.output().contains("The run waits and tries again")
    });
    thread::sleep(Duration::from_millis(100));
    let up = Command::new(FERROFLOW)
        .args(["dev", "up", "--dir"])
        .arg(stack.folder())
        .env("FERROFLOW_PYTHON", python::with_metaflow())
        .output()
        .expect("the program starts");
    assert!(up.status.success(), "{up:?}");
}
