//! `ferroflow dev`: the embedded stack as users meet it, and flows that run on it.

mod harness;

use std::{
    collections::BTreeMap,
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use harness::{
    FERROFLOW, OF_CI,
    lab::{Lab, Launcher},
    processes, python, wait_for,
};
use tempfile::TempDir;

/// A stack's folder, whose stack is stopped at the end.
struct Dev {
    base: TempDir,
}

impl Dev {
    fn new() -> Self {
        let base = harness::temporary::folder();
        Self { base }
    }

    fn dir(&self) -> PathBuf {
        self.base.path().join("it's a stack")
    }

    fn command(&self, verb: &str, args: &[&str]) -> Command {
        let mut command = Command::new(FERROFLOW);
        command
            .args(["dev", verb, "--dir"])
            .arg(self.dir())
            .args(args)
            .env("FERROFLOW_PYTHON", python::with_metaflow())
            .env("XDG_CACHE_HOME", self.base.path().join("cache"))
            .stdin(Stdio::null());
        command
    }

    fn run(&self, verb: &str, args: &[&str]) -> Output {
        let mut command = self.command(verb, args);
        command.output().expect("the program starts")
    }

    #[track_caller]
    fn ok(&self, verb: &str, args: &[&str]) -> String {
        let output = self.run(verb, args);
        assert!(output.status.success(), "{output:?}");
        text(&output.stdout)
    }

    #[track_caller]
    fn fails(&self, verb: &str, args: &[&str]) -> String {
        let output = self.run(verb, args);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        text(&output.stdout) + &text(&output.stderr)
    }

    fn stack(&self) -> serde_json::Value {
        let text = fs::read(self.dir().join("stack.json")).expect("there is a description");
        serde_json::from_slice(&text).expect("it is JSON")
    }

    /// What a shell has in its environment after `eval "$(ferroflow dev env)"`.
    fn environment(&self) -> BTreeMap<String, String> {
        let script = format!("{}\nenv -0", self.ok("env", &[]));
        let mut shell = Command::new("sh");
        shell.args(["-c", &script]).env_clear();
        shell.env("PATH", "/usr/bin:/bin").env("AWS_PROFILE", "x");
        let output = shell.output().expect("a shell starts");
        let text = text(&output.stdout);
        let pairs = text.split('\0').filter_map(|pair| pair.split_once('='));
        pairs
            .filter(|(name, _)| !["PATH", "PWD", "SHLVL", "_"].contains(name))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    /// Runs a script with boto3 in the stack's environment.
    fn script(&self, script: &str) -> String {
        let mut command = Command::new(python::with_metaflow());
        command.args(["-c", script]).envs(self.environment());
        let output = command.output().expect("Python starts");
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = self.command("down", &[]).output();
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn up_and_down() {
    let dev = Dev::new();
    assert!(dev.fails("status", &[]).starts_with("down: "));
    assert!(
        dev.fails("env", &[])
            .contains("hint: ferroflow dev up --dir")
    );
    assert!(dev.ok("down", &[]).contains("is not up"));

    let up = dev.ok("up", &[]);
    let stack = dev.stack();
    let endpoint = stack["endpoint"].as_str().expect("an endpoint");
    assert!(
        up.starts_with(&format!("the stack is up: {endpoint} in ")),
        "{up}"
    );
    assert_eq!(up.lines().count(), 1);
    let again = dev.ok("up", &[]);
    assert!(
        again.starts_with(&format!("the stack is already up: {endpoint} in ")),
        "{again}"
    );
    let status = dev.ok("status", &[]);
    for line in [
        format!("up: {endpoint}"),
        format!("pid: {}", stack["pid"]),
        "queue ferroflow-dev: no jobs".to_owned(),
    ] {
        assert!(status.contains(&line), "{line} is not in\n{status}");
    }

    let pid = i32::try_from(stack["pid"].as_i64().expect("a process id")).expect("one");
    assert!(processes::alive(pid));
    assert!(dev.ok("down", &[]).contains("has stopped"));
    assert!(dev.fails("status", &[]).starts_with("down: "));
    // Its lock and its port are free as soon as its files are closed, an instant before the kernel ends the process.
    wait_for("the stack's process to end", || !processes::alive(pid));
}

#[test]
fn the_environment_leads_to_the_stack() {
    let dev = Dev::new();
    dev.ok("up", &[]);
    let environment = dev.environment();
    let dir = dev.dir().to_str().expect("UTF-8").to_owned();
    assert_eq!(environment["FERROFLOW_DEV_STACK"], dir);
    assert!(!environment.contains_key("AWS_PROFILE"));
    let found = dev.script("import boto3; print([q['jobQueueName'] for q in boto3.client('batch').describe_job_queues()['jobQueues']])");
    assert_eq!(found, "['ferroflow-dev', 'ferroflow-dev-fargate']\n");
    let mut verb = Command::new(FERROFLOW);
    verb.args(["dev", "status"]).env("FERROFLOW_DEV_STACK", dir);
    assert!(verb.output().expect("it starts").status.success());
}

#[test]
fn a_restart_keeps_port_keys_and_objects() {
    let dev = Dev::new();
    dev.ok("up", &[]);
    let before = dev.environment();
    dev.script("import boto3; boto3.client('s3').put_object(Bucket='ferroflow-dev', Key='a b', Body=b'kept')");
    dev.ok("down", &[]);
    dev.ok("up", &[]);
    assert_eq!(dev.environment(), before);
    let read = "import boto3; print(boto3.client('s3').get_object(Bucket='ferroflow-dev', Key='a b')['Body'].read())";
    assert_eq!(dev.script(read), "b'kept'\n");
}

#[test]
fn two_folders_are_two_stacks() {
    let (one, other) = (Dev::new(), Dev::new());
    one.ok("up", &[]);
    other.ok("up", &[]);
    assert_ne!(one.stack()["port"], other.stack()["port"]);
    assert_ne!(
        one.environment()["AWS_SECRET_ACCESS_KEY"],
        other.environment()["AWS_SECRET_ACCESS_KEY"]
    );
    one.ok("down", &[]);
    other.ok("status", &[]);
}

#[test]
fn what_cannot_come_up_says_why() {
    let dev = Dev::new();
    let taken = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = taken.local_addr().expect("its address").port().to_string();
    let said = dev.fails("up", &["--port", &port]);
    assert!(
        said.contains(&format!("port {port} is taken")) && said.contains("hint: "),
        "{said}"
    );

    let faults = dev.base.path().join("faults.json");
    fs::write(&faults, "{}").expect("a file");
    let faults = faults.to_str().expect("UTF-8");
    let said = dev.fails("up", &["--faults", faults]);
    assert!(
        said.contains("holds no rules") && said.contains("hint: "),
        "{said}"
    );
    let said = dev.run("up", &["--speed", "0"]);
    assert_eq!(said.status.code(), Some(2));

    fs::write(dev.dir().join("stack.json"), r#"{"format": 99}"#).expect("a file");
    let said = dev.fails("up", &[]);
    assert!(
        said.contains("has format 99") && said.contains("hint: "),
        "{said}"
    );
    assert!(dev.fails("status", &[]).starts_with("down: "));
}

#[test]
fn another_port_or_other_faults_need_a_new_start() {
    let dev = Dev::new();
    dev.ok("up", &["--port", "0"]);
    let port = dev.stack()["port"].as_u64().expect("a port");
    assert!(
        dev.ok("up", &["--port", &port.to_string()])
            .contains("already up")
    );
    for args in [&["--strict"][..], &["--speed", "60"], &["--port", "1"]] {
        let said = dev.fails("up", args);
        assert!(said.contains("hint: ferroflow dev down"), "{args:?} {said}");
    }
}

#[test]
fn many_who_start_it_start_one() {
    let dev = Dev::new();
    let children: Vec<_> = (0..5)
        .map(|_| {
            let mut command = dev.command("up", &[]);
            let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
            command.spawn().expect("the program starts")
        })
        .collect();
    let mut started = 0;
    for child in children {
        let output = child.wait_with_output().expect("it ends");
        assert!(output.status.success(), "{output:?}");
        started += usize::from(text(&output.stdout).contains("the stack is up"));
    }
    assert_eq!(started, 1);
    // None of the others waits to take its place.
    dev.ok("down", &[]);
    assert!(processes::none_mentions(&dev.dir().to_string_lossy()));
}

/// FERROFLOW_BOOTSTRAP_DIR, or binaries that are built now.
fn bootstraps() -> PathBuf {
    if let Some(folder) = std::env::var_os("FERROFLOW_BOOTSTRAP_DIR") {
        return folder.into();
    }
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("bootstraps");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/build_bootstrap.py");
    let target = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let target = target.parent().expect("the folder of build output");
    let lock = fs::File::create(folder.with_extension("lock")).expect("a lock file");
    lock.lock().expect("it can be locked");
    let built = Command::new("python3")
        .arg(script)
        .arg(&folder)
        .env("CARGO_TARGET_DIR", target)
        .status()
        .expect("python3 starts");
    assert!(built.success(), "the bootstrap could not be built");
    folder
}

#[test]
fn both_launchers_run_a_foreach_on_it() {
    let dev = Dev::new();
    dev.ok("up", &[]);
    for launcher in [Launcher::Ferroflow, Launcher::Upstream] {
        let lab = Lab::new("resources.py");
        let mut command = lab.command(launcher, &["--no-pylint", "run", "--with", "batch"]);
        command
            .envs(dev.environment())
            .env("FERROFLOW_BOOTSTRAP_DIR", bootstraps());
        lab.start(command).wait().exited(0).says("Done!");
    }
    let counts = dev.ok("status", &[]);
    assert!(counts.contains("queue ferroflow-dev: no jobs"), "{counts}");
}

/// A flow's command with a home of its own, in which nothing is configured.
fn unconfigured(lab: &Lab, args: &[&str]) -> Command {
    let mut command = lab.command(Launcher::Ferroflow, args);
    command
        .env("XDG_DATA_HOME", lab.path().join("data"))
        .env("FERROFLOW_BOOTSTRAP_DIR", bootstraps());
    for name in OF_CI {
        command.env_remove(name);
    }
    command
}

/// Stops what a flow in this lab has started by itself.
struct Started<'a>(&'a Lab);

impl Started<'_> {
    fn folder(&self) -> PathBuf {
        self.0.path().join("data/ferroflow/dev")
    }
}

impl Drop for Started<'_> {
    fn drop(&mut self) {
        let mut down = Command::new(FERROFLOW);
        let _ = down
            .args(["dev", "down", "--dir"])
            .arg(self.folder())
            .output();
    }
}

#[test]
fn the_stack_starts_by_itself_where_nothing_is_configured() {
    let lab = Lab::new("resources.py");
    let started = Started(&lab);
    let folder = started.folder().to_string_lossy().into_owned();
    let args = ["--no-pylint", "run", "--with", "batch"];
    let finished = lab.start(unconfigured(&lab, &args)).wait().exited(0);
    let banners = finished
        .stderr
        .lines()
        .filter(|line| line.contains(&folder));
    assert_eq!(banners.count(), 1, "{}", finished.all());
}

#[test]
fn it_starts_for_a_flow_that_has_batch_in_its_source() {
    let lab = Lab::new("linear.py");
    let _started = Started(&lab);
    let flow = lab.path().join("linear.py");
    let source = fs::read_to_string(&flow).expect("the flow");
    let source = source.replacen("    @step", "    @batch(cpu=1)\n    @step", 1);
    let source = source.replacen("from metaflow import ", "from metaflow import batch, ", 1);
    fs::write(&flow, source).expect("the flow");
    let finished = lab
        .start(unconfigured(&lab, &["--no-pylint", "run"]))
        .wait();
    finished
        .exited(0)
        .says("embedded stack")
        .does_not_say("ferroflow dev up");
}

#[test]
fn it_does_not_start_by_itself_elsewhere() {
    let lab = Lab::new("linear.py");
    let started = Started(&lab);
    let refused = |name: &str, value: &str| {
        let mut command = unconfigured(&lab, &["--no-pylint", "run", "--with", "batch"]);
        command.env(name, value);
        let finished = lab.start(command).wait().exited(1);
        finished
            .says("requires --datastore=s3")
            .says("or: ferroflow dev up");
        assert!(!started.folder().exists(), "{name}");
    };
    for (name, value) in [
        ("CI", "true"),
        ("FERROFLOW_DEV", "never"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
        ("METAFLOW_BATCH_JOB_QUEUE", "queue"),
    ] {
        refused(name, value);
    }
    let config = lab.path().join("home/metaflowconfig");
    fs::create_dir(&config).expect("a folder");
    fs::write(config.join("config_prod.json"), "{}").expect("a file");
    refused("METAFLOW_USER", "tester");
}
