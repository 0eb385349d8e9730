//! A container to run a task in: a store, a folder, an environment, a spec.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs::{self, Permissions},
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use bootstrap::{Console, Container, Environment, Interrupts, Settings};
use flate2::{Compression, write::GzEncoder};
use model::{
    Attempt, FlowName, TaskPath, layout,
    layout::{LogSource, Stream},
    mflog,
    spec::{Claim, PackageRef, StoreAddress, TaskOutcome, TaskSpec, variable},
};
use sha2::{Digest, Sha256};

use crate::server::{SECRET, Server};

pub(crate) const BUCKET: &str = "bucket";
pub(crate) const RECORD: &str = "bucket/root/.ferroflow/F/7/launch/00000003";

/// A container that has not started.
pub(crate) struct Fixture {
    pub(crate) server: Server,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) spec: TaskSpec,
    pub(crate) variables: BTreeMap<OsString, OsString>,
    pub(crate) settings: Settings,
    pub(crate) interrupts: Interrupts,
}

/// A container that has ended.
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
}

/// Bytes written by a console.
#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Fixture {
    /// A step of `sh -c script`.
    pub(crate) fn new(script: &str) -> Self {
        let server = Server::start();
        let folder = tempfile::tempdir().unwrap();
        let task: TaskPath = "7/start/1".parse().unwrap();
        let flow = FlowName::new("F").unwrap();
        let spec = TaskSpec {
            version: 1,
            attempt: Attempt(0),
            launch: 2,
            store: StoreAddress {
                bucket: BUCKET.into(),
                prefix: "root".into(),
                endpoint: Some(server.url()),
                region: "eu-west-1".into(),
                server_side_encryption: None,
            },
            claim: layout::claim(&flow, &task, Attempt(0), 2),
            outcome: layout::outcome(&flow, &task.run, 3, 0),
            flow,
            task,
            package: PackageRef {
                url: String::new(),
                sha256: String::new(),
                size: 0,
            },
            bytecode: None,
            prepare: Vec::new(),
            command: ["sh", "-c", script].map(String::from).to_vec(),
            shell: false,
            environment: BTreeMap::new(),
            files: BTreeMap::new(),
            install: false,
            time_limit: 600,
            lease: None,
            registers_usage: false,
        };
        let mut fixture = Self {
            server,
            folder,
            spec,
            variables: BTreeMap::new(),
            settings: Settings {
                error_budget: Duration::from_secs(2),
                throttle_budget: Duration::from_secs(3),
                ..Settings::default()
            },
            interrupts: Interrupts::default(),
        };
        fixture.package(&tar_gz(&[("flow.py", b"print('flow')\n", 0o644)]));
        let work = fixture.work();
        fs::create_dir(&work).unwrap();
        let bin = fixture.path("bin");
        fs::create_dir(&bin).unwrap();
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
        let endpoint = fixture.server.url();
        let temporary = fixture.folder.path().display().to_string();
        for (name, value) in [
            ("PATH", path.as_str()),
            ("AWS_ACCESS_KEY_ID", "AKTEST"),
            ("AWS_SECRET_ACCESS_KEY", SECRET),
            ("METAFLOW_S3_ENDPOINT_URL", &endpoint),
            ("AWS_BATCH_JOB_ID", "job-1"),
            ("AWS_BATCH_JOB_ATTEMPT", "1"),
            ("TMPDIR", &temporary),
        ] {
            fixture.set(name, value);
        }
        fixture
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn work(&self) -> PathBuf {
        self.path("work")
    }

    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.variables.insert(name.into(), value.into());
    }

    pub(crate) fn unset(&mut self, name: &str) {
        self.variables.remove(&OsString::from(name));
    }

    /// Makes `bytes` the code package.
    pub(crate) fn package(&mut self, bytes: &[u8]) {
        self.spec.package = self.stored("bucket/root/F/data/aa/aabb", bytes);
    }

    /// Makes `bytes` the bytecode of what is in the code package.
    pub(crate) fn bytecode(&mut self, bytes: &[u8]) {
        self.spec.bytecode = Some(self.stored("bucket/root/F/data/bb/bbcc", bytes));
    }

    fn stored(&self, place: &str, bytes: &[u8]) -> PackageRef {
        self.server.put(place, bytes);
        PackageRef {
            url: format!("s3://{place}"),
            sha256: hex::encode(Sha256::digest(bytes)),
            size: bytes.len() as u64,
        }
    }

    /// Puts a program in front of `PATH`.
    pub(crate) fn program(&self, name: &str, script: &str) {
        write_program(&self.path("bin").join(name), script);
    }

    /// Puts the spec into the store, between others, and points at it.
    pub(crate) fn publish(&mut self) {
        let spec = serde_json::to_vec(&self.spec).unwrap();
        let before = b"{\"other\": 1}\n";
        let range = format!("{}+{}", before.len(), spec.len());
        let digest = hex::encode(Sha256::digest(&spec));
        self.server
            .put(RECORD, [&before[..], &spec, b"\n{}"].concat());
        self.set(variable::SPEC, &format!("s3://{RECORD}"));
        self.set(variable::RANGE, &range);
        self.set(variable::SHA256, &digest);
    }

    /// Runs the library.
    pub(crate) fn run(&mut self) -> Ended {
        self.publish();
        self.run_as_is()
    }

    /// Runs the library with the pointer as it is.
    pub(crate) fn run_as_is(&mut self) -> Ended {
        let (stdout, stderr) = (Sink::default(), Sink::default());
        let code = bootstrap::run(&Container {
            environment: Environment {
                variables: self.variables.clone(),
                working_directory: self.work(),
            },
            settings: self.settings.clone(),
            console: Arc::new(Console::new(
                Box::new(stdout.clone()),
                Box::new(stderr.clone()),
            )),
            interrupts: self.interrupts.clone(),
        });
        let bytes = |sink: Sink| sink.0.lock().unwrap().clone();
        Ended {
            code,
            stdout: bytes(stdout),
            stderr: bytes(stderr),
        }
    }

    /// The real program, not started yet.
    pub(crate) fn program_command(&mut self) -> Command {
        self.publish();
        let mut command = Command::new(env!("CARGO_BIN_EXE_ferroflow-bootstrap"));
        command
            .env_clear()
            .envs(&self.variables)
            .current_dir(self.work())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs the real program.
    pub(crate) fn run_program(&mut self) -> Output {
        self.program_command().output().unwrap()
    }

    pub(crate) fn claim(&self) -> Option<Claim> {
        let key = format!("bucket/root/{}", self.spec.claim);
        let body = self.server.object(&key)?;
        Some(serde_json::from_slice(&body).unwrap())
    }

    pub(crate) fn outcome(&self) -> Option<TaskOutcome> {
        let key = format!("bucket/root/{}", self.spec.outcome);
        let body = self.server.object(&key)?;
        Some(serde_json::from_slice(&body).unwrap())
    }

    /// A log as it is in the store.
    pub(crate) fn log(&self, stream: Stream) -> Vec<u8> {
        let TaskSpec {
            flow,
            task,
            attempt,
            ..
        } = &self.spec;
        let key = layout::log(flow, task, *attempt, LogSource::Task, stream);
        let body = self.server.object(&format!("bucket/root/{key}"));
        body.unwrap_or_default()
    }

    /// The messages of a log's lines.
    pub(crate) fn messages(&self, stream: Stream) -> Vec<Vec<u8>> {
        self.log(stream)
            .split_inclusive(|byte| *byte == b'\n')
            .map(|line| {
                let parsed = mflog::parse(line).unwrap();
                assert_eq!(parsed.source, b"task");
                parsed.message.to_vec()
            })
            .collect()
    }

    /// The messages of standard output after those of the bootstrap.
    pub(crate) fn output(&self) -> Vec<String> {
        let text = |line: &Vec<u8>| String::from_utf8(line.clone()).unwrap();
        let lines: Vec<String> = self.messages(Stream::Stdout).iter().map(text).collect();
        let (own, rest) = lines.split_at(PREAMBLE.len());
        assert_eq!(own, PREAMBLE);
        rest.to_vec()
    }

    pub(crate) fn errors(&self) -> String {
        let lines = self.messages(Stream::Stderr);
        String::from_utf8(lines.join(&b'\n')).unwrap()
    }
}

/// What upstream prints before a step.
pub(crate) const PREAMBLE: [&str; 4] = [
    "Setting up task environment.",
    "Downloading code package...",
    "Code package downloaded.",
    "Task is starting.",
];

pub(crate) fn write_program(path: &Path, script: &str) {
    fs::write(path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
}

pub(crate) fn tar_gz(files: &[(&str, &[u8], u32)]) -> Vec<u8> {
    let encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let mut builder = tar::Builder::new(encoder);
    for (name, body, mode) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(body.len() as u64);
        header.set_mode(*mode);
        // Past the checks of `set_path`.
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        builder.append(&header, *body).unwrap();
    }
    builder.into_inner().unwrap().finish().unwrap()
}

/// Waits for a condition.
pub(crate) fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
