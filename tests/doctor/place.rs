//! A folder to call the doctor in, what it says there, and servers that are not as they should be.

use std::{
    collections::BTreeMap,
    fs,
    io::{Read, Write},
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{FERROFLOW, stack::Stack, temporary};

/// What an interpreter with Metaflow would answer; that of the tests takes a second.
pub(crate) fn canned(metaflow: &str) -> Value {
    json!({"python": "3.11.7", "metaflow": metaflow, "extension": "hook.py", "boto3": "1", "settings": {}})
}

/// A folder to call the doctor in, with a home of its own.
pub(crate) struct Place {
    folder: TempDir,
    pub(crate) variables: BTreeMap<String, String>,
}

impl Place {
    /// With nothing but a user's name, and a stand-in for Python.
    pub(crate) fn new() -> Self {
        let folder = temporary::folder();
        let place = Self {
            folder,
            variables: BTreeMap::new(),
        };
        fs::create_dir(place.path("work")).expect("a folder");
        let bootstraps = place.path("bootstraps");
        for machine in ["linux-x86_64", "linux-aarch64"] {
            fs::create_dir_all(bootstraps.join(machine)).expect("a folder");
            let file = bootstraps.join(machine).join("ferroflow-bootstrap");
            fs::write(file, "").expect("a file");
        }
        let home = text(place.path("home"));
        place
            .python(&canned("2.19.39"))
            .set("HOME", &home)
            .set("METAFLOW_USER", "tester")
            .set("AWS_EC2_METADATA_DISABLED", "true")
            .set("FERROFLOW_BOOTSTRAP_DIR", &text(bootstraps))
    }

    /// With the stack as AWS, and all that jobs need.
    pub(crate) fn on_stack() -> Self {
        let mut place = Self::new();
        place.variables.extend(Stack::shared().variables().clone());
        place
    }

    pub(crate) fn python(self, answer: &Value) -> Self {
        let script = self.path("python");
        fs::write(&script, format!("#!/bin/sh\necho '{answer}'\n")).expect("a script");
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("made executable");
        let path = text(script);
        self.set("FERROFLOW_PYTHON", &path)
    }

    pub(crate) fn set(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    pub(crate) fn unset(mut self, name: &str) -> Self {
        self.variables.remove(name);
        self
    }

    pub(crate) fn file(self, path: &str, content: &str) -> Self {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("a path below")).expect("a folder");
        fs::write(path, content).expect("a file");
        self
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.path("work"))
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .envs(&self.variables)
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn examine(&self) -> Report {
        let mut command = self.command(FERROFLOW.as_ref());
        let output = command
            .args(["doctor", "--json"])
            .output()
            .expect("it starts");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let failed = String::from_utf8_lossy(&output.stderr).into_owned();
        let report = serde_json::from_str(&said).unwrap_or_else(|_| panic!("{said}{failed}"));
        Report {
            code: output.status.code().expect("it exits"),
            said,
            told: report,
        }
    }
}

pub(crate) struct Report {
    code: i32,
    pub(crate) said: String,
    told: Value,
}

impl Report {
    pub(crate) fn of_level(&self, level: &str) -> Vec<String> {
        let findings = self.told["findings"].as_array().expect("findings");
        let of_level = findings.iter().filter(|finding| finding["level"] == level);
        of_level
            .map(|finding| {
                let part = |name: &str| finding[name].as_str().unwrap_or_default().to_owned();
                format!("{}: {} [{}]", part("thing"), part("text"), part("fix"))
            })
            .collect()
    }

    /// By name: value and origin.
    pub(crate) fn values(&self) -> BTreeMap<String, (String, String)> {
        let values = self.told["values"].as_array().expect("values");
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let pair = |value: &Value| {
            let found = (text(&value["value"]), text(&value["origin"]));
            (text(&value["name"]), found)
        };
        values.iter().map(pair).collect()
    }

    /// Panics unless exactly these are the problems: each by parts of what is said.
    #[track_caller]
    pub(crate) fn has_problems(&self, wanted: &[&[&str]]) {
        let problems = self.of_level("problem");
        let is_there = |parts: &&&[&str]| {
            let has = |problem: &&String| parts.iter().all(|part| problem.contains(part));
            problems.iter().any(|problem| has(&problem))
        };
        let met = wanted.iter().filter(is_there).count();
        assert!(
            met == wanted.len() && problems.len() == wanted.len(),
            "wanted {wanted:#?}\ngot {problems:#?}"
        );
        assert_eq!(self.code, i32::from(!wanted.is_empty()), "{}", self.said);
    }
}

pub(crate) fn text(path: PathBuf) -> String {
    path.to_str().expect("a path that is text").to_owned()
}

/// A server that gives every request this answer.
pub(crate) fn server(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("it is bound"));
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut stream = stream;
                let _ = stream.read(&mut [0; 8192]);
                let _ = stream.write_all(answer.as_bytes());
            });
        }
    });
    url
}
