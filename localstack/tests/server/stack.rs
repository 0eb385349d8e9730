//! A stack in this process and the clients that use it.

use std::{
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    process::{Command, Output},
    sync::mpsc,
    thread::{self, JoinHandle},
    time::Duration,
};

use localstack::{Folder, Options, Secrets, Stack};
use tempfile::TempDir;
use tokio::sync::oneshot;

use crate::python;

/// What every script begins with.
const PRELUDE: &str = r#"
import boto3, botocore, json, os, sys
from botocore.config import Config
from botocore.exceptions import ClientError, HTTPClientError
ONCE = Config(retries={"total_max_attempts": 1})
def client(name, **changes):
    return boto3.client(name, config=ONCE, **changes)
def refusal(call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except ClientError as error:
        return error.response["ResponseMetadata"]["HTTPStatusCode"], error.response["Error"]["Code"]
    except HTTPClientError as error:
        return type(error).__name__
    return None
"#;

pub(crate) struct Running {
    pub(crate) folder: TempDir,
    pub(crate) port: u16,
    pub(crate) secrets: Secrets,
    stop: Option<oneshot::Sender<()>>,
    server: Option<JoinHandle<()>>,
}

impl Running {
    /// Starts a stack on a port of its own, with these rules for faults.
    pub(crate) fn start(rules: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let options = Options {
            simulation: localstack::Simulation::default(),
            folder: Folder::new(folder.path()),
            port: None,
            python: Some(python::with_metaflow().to_owned()),
            rules: serde_json::from_str(rules).expect("rules"),
            speed: 1.0,
            strict: false,
        };
        let (started, port) = mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let server = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build();
            runtime.expect("a runtime").block_on(async {
                let stack = Stack::open(options).await.expect("the stack opens");
                let _ = started.send(stack.description().port);
                let stop = async { stopped.await.unwrap_or_default() };
                stack.serve(stop).await.expect("the stack ends in order");
            });
        });
        let secrets = || Folder::new(folder.path()).secrets().ok().flatten();
        Self {
            port: port.recv().expect("the stack has started"),
            secrets: secrets().expect("the stack has keys"),
            folder,
            stop: Some(stop),
            server: Some(server),
        }
    }

    fn client(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.folder.path())
            .env(
                "AWS_ENDPOINT_URL",
                format!("http://127.0.0.1:{}", self.port),
            )
            .env("AWS_ACCESS_KEY_ID", &self.secrets.pair.access_key_id)
            .env(
                "AWS_SECRET_ACCESS_KEY",
                &self.secrets.pair.secret_access_key,
            )
            .env("AWS_DEFAULT_REGION", "us-east-1")
            .env("AWS_EC2_METADATA_DISABLED", "true");
        command
    }

    /// Runs a script with boto3; returns what it prints.
    pub(crate) fn script(&self, script: &str) -> String {
        let mut command = self.client(python::with_metaflow());
        command.args(["-c", &format!("{PRELUDE}\n{script}")]);
        output(command.output().expect("Python starts"))
    }

    /// Runs the AWS CLI; returns what it prints.
    pub(crate) fn aws(&self, args: &[&str]) -> String {
        let mut command = self.client(python::aws_cli());
        command.args(args);
        output(command.output().expect("the AWS CLI starts"))
    }

    /// Sends bytes and returns all that comes back until the connection is closed.
    pub(crate) fn raw(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("a connection");
        let patience = Some(Duration::from_mins(1));
        stream.set_read_timeout(patience).expect("a time-out");
        let request = request.replace("PORT", &self.port.to_string());
        stream.write_all(request.as_bytes()).expect("it is sent");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("an answer");
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// Records of one kind in the history.
    pub(crate) fn history(&self, kind: &str) -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(self.folder.path().join("history.jsonl"));
        let text = text.expect("there is a history");
        let records = text
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("a record is JSON"));
        records.filter(|record| record["kind"] == kind).collect()
    }
}

fn output(output: Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{errors}");
    text
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(server) = self.server.take() {
            let ended = server.join();
            assert!(ended.is_ok() || thread::panicking(), "the stack has failed");
        }
    }
}
