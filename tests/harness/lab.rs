//! A folder with a flow in it, and the launchers that run it there.

use std::{
    fs::{self, File},
    os::unix::process::{CommandExt, ExitStatusExt},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tempfile::TempDir;

use super::{DEADLINE, FERROFLOW, python, remove_variables, temporary, tests_folder};

/// Variables of the caller that must not reach a flow.
const OURS: [&str; 5] = ["METAFLOW_", "FERROFLOW", "AWS_", "PYTHON", "TEST_SHARED"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Launcher {
    /// `ferroflow FLOW.py`, with `FERROFLOW=require`.
    Ferroflow,
    /// `python FLOW.py`, with `FERROFLOW=off`.
    Upstream,
}

pub(crate) struct Lab {
    folder: TempDir,
    flow: PathBuf,
}

impl Lab {
    /// A fresh folder with a copy of `tests/flows/<flow>`.
    pub(crate) fn new(flow: &str) -> Self {
        Self::with_path(flow, flow)
    }

    /// The same, with the flow at another path below the folder.
    pub(crate) fn with_path(flow: &str, path: &str) -> Self {
        let folder = temporary::folder();
        let target = folder.path().join(path);
        fs::create_dir_all(target.parent().expect("a path in the folder")).expect("its folder");
        fs::copy(tests_folder().join("flows").join(flow), &target).expect("the flow is copied");
        for name in ["home", "shared"] {
            fs::create_dir(folder.path().join(name)).expect("a folder for the run");
        }
        Self {
            folder,
            flow: path.into(),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A file in the folder that tasks and test share.
    pub(crate) fn shared(&self, name: &str) -> PathBuf {
        self.path().join("shared").join(name)
    }

    /// The number in such a file, once it is there.
    pub(crate) fn shared_pid(&self, name: &str) -> i32 {
        let text = fs::read_to_string(self.shared(name)).expect("the task has left its process id");
        text.trim().parse().expect("a process id")
    }

    /// What Ferroflow keeps about the run whose id stands in the file `run-id`.
    pub(crate) fn run_record(&self, flow: &str) -> serde_json::Value {
        let run = fs::read_to_string(self.path().join("run-id")).expect("the run has an id");
        let key = format!(".metaflow/.ferroflow/{flow}/{}/run.json", run.trim());
        let text = fs::read_to_string(self.path().join(key)).expect("the run has a record");
        serde_json::from_str(&text).expect("the record is JSON")
    }

    /// A command line of the flow.
    pub(crate) fn command(&self, launcher: Launcher, args: &[&str]) -> Command {
        let mut command = self.bare(launcher);
        command.arg(&self.flow).args(args);
        command
    }

    /// One of Ferroflow's own verbs.
    pub(crate) fn verb(&self, args: &[&str]) -> Command {
        let mut command = self.bare(Launcher::Ferroflow);
        command.args(args);
        command
    }

    fn bare(&self, launcher: Launcher) -> Command {
        let python = python::with_metaflow();
        let mut command = match launcher {
            Launcher::Ferroflow => Command::new(FERROFLOW),
            Launcher::Upstream => Command::new(python),
        };
        clear(&mut command);
        let wish = match launcher {
            Launcher::Ferroflow => "require",
            Launcher::Upstream => "off",
        };
        command
            .current_dir(self.path())
            .env("FERROFLOW", wish)
            .env("FERROFLOW_PYTHON", python)
            .env("METAFLOW_USER", "tester")
            .env("HOME", self.path().join("home"))
            .env("METAFLOW_HOME", self.path().join("home/metaflowconfig"))
            .env("TEST_SHARED", self.path().join("shared"))
            .env(
                "PATH",
                path_with(python.parent().expect("python has a folder")),
            );
        command
    }

    /// The same command, started by `program`, which has the command as its last arguments.
    pub(crate) fn through(&self, program: &str, args: &[&str], inner: &Command) -> Command {
        let mut command = Command::new(program);
        command.args(args);
        command.arg(inner.get_program()).args(inner.get_args());
        command.current_dir(self.path());
        for (name, value) in inner.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, launcher: Launcher, args: &[&str]) -> Finished {
        self.start(self.command(launcher, args)).wait()
    }

    /// Starts a command in a process group of its own.
    pub(crate) fn start(&self, mut command: Command) -> Running {
        let streams = ["stdout", "stderr"].map(|name| {
            let file = tempfile::Builder::new()
                .prefix(name)
                .tempfile_in(self.path());
            file.expect("a file for a stream")
                .into_temp_path()
                .keep()
                .expect("it is kept")
        });
        let child = command
            .stdin(Stdio::null())
            .stdout(File::create(&streams[0]).expect("a file for stdout"))
            .stderr(File::create(&streams[1]).expect("a file for stderr"))
            .process_group(0)
            .spawn()
            .expect("the launcher starts");
        let folder = self.path().canonicalize().expect("the folder is there");
        Running {
            child,
            streams,
            folder: folder.to_string_lossy().into_owned(),
        }
    }
}

/// Takes the caller's variables away that must not reach a flow.
pub(crate) fn clear(command: &mut Command) {
    remove_variables(command, &OURS);
}

pub(crate) fn path_with(first: &Path) -> std::ffi::OsString {
    let rest = std::env::var_os("PATH").unwrap_or_default();
    let parts = std::iter::once(first.to_path_buf()).chain(std::env::split_paths(&rest));
    std::env::join_paths(parts).expect("PATH can be put together")
}

pub(crate) struct Running {
    child: Child,
    streams: [PathBuf; 2],
    folder: String,
}

impl Running {
    pub(crate) fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// Sends a signal to the whole process group, as a terminal does.
    pub(crate) fn signal_group(&self, signal: Signal) {
        killpg(Pid::from_raw(self.pid()), signal).expect("the process group is there");
    }

    pub(crate) fn output(&self) -> String {
        self.streams.iter().map(|s| read(s)).collect()
    }

    pub(crate) fn wait(self) -> Finished {
        self.wait_within(DEADLINE * 2)
    }

    pub(crate) fn wait_within(mut self, deadline: Duration) -> Finished {
        let limit = Instant::now() + deadline;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                let [stdout, stderr] = self.streams.each_ref().map(|s| read(s));
                return Finished {
                    status,
                    stdout,
                    stderr,
                    folder: std::mem::take(&mut self.folder),
                };
            }
            if Instant::now() > limit {
                self.signal_group(Signal::SIGKILL);
                panic!("still running after {deadline:?}:\n{}", self.output());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// A test that fails must not leave processes behind.
impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = killpg(Pid::from_raw(self.pid()), Signal::SIGKILL);
            let _ = self.child.wait();
        }
    }
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).expect("a stream can be read")).into_owned()
}

#[derive(Debug)]
pub(crate) struct Finished {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
    folder: String,
}

impl Finished {
    /// Panics unless the exit code is `code`.
    #[track_caller]
    pub(crate) fn exited(self, code: i32) -> Self {
        assert_eq!(
            self.status.code(),
            Some(code),
            "{:?}\n{}",
            self.status,
            self.all()
        );
        self
    }

    /// Panics unless the process was ended by `signal`.
    #[track_caller]
    pub(crate) fn ended_by(self, signal: Signal) -> Self {
        let expected = Some(signal as i32);
        assert_eq!(
            self.status.signal(),
            expected,
            "{:?}\n{}",
            self.status,
            self.all()
        );
        self
    }

    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(
            self.all().contains(text),
            "{text:?} is not in\n{}",
            self.all()
        );
        self
    }

    #[track_caller]
    pub(crate) fn does_not_say(self, text: &str) -> Self {
        assert!(!self.all().contains(text), "{text:?} is in\n{}", self.all());
        self
    }

    pub(crate) fn all(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }

    /// The lines that belong to the run and not to a task, without their times, run ids and folders.
    pub(crate) fn run_lines(&self) -> Vec<String> {
        let lines = self.stdout.lines().chain(self.stderr.lines());
        lines
            .map(without_time)
            .filter(|line| !line.starts_with('[') && !line.is_empty())
            .map(|line| line.replace(&self.folder, "<folder>"))
            .map(|line| without_run_ids(&line))
            .collect()
    }
}

/// `2026-01-31 12:00:00.123 text` without the time.
fn without_time(line: &str) -> &str {
    match line.split_at_checked(24) {
        Some((time, rest)) if time.starts_with("20") && time.ends_with(' ') => rest,
        _ => line,
    }
}

/// Run ids are microseconds, so the only numbers of 16 digits.
fn without_run_ids(line: &str) -> String {
    let words = line.split_inclusive(|c: char| !c.is_ascii_digit());
    words
        .map(|word| match word.split_at_checked(16) {
            Some((digits, rest)) if digits.bytes().all(|b| b.is_ascii_digit()) => {
                format!("<run>{rest}")
            }
            _ => word.to_owned(),
        })
        .collect()
}
