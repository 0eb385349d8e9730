//! The ground on which a row's command is run: a folder with a flow, an environment, maybe a stack.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::{
        fs::{PermissionsExt, symlink},
        process::ExitStatusExt,
    },
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    harness::{
        FERROFLOW, OF_CI,
        lab::{Finished, Lab, Launcher, Running},
        processes, python,
        stack::Stack,
        wait_for,
    },
    table, text,
};

/// A flow that nothing is wrong with.
const FLOW: &str = "\
from metaflow import FlowSpec, step


class SmallFlow(FlowSpec):
    @step
    def start(self):
        self.value = 1
        self.next(self.end)

    @step
    def end(self):
        print('the value is', self.value)


if __name__ == '__main__':
    SmallFlow()
";

/// What a caller's environment may have that would matter, beside what CI sets.
const CONFIGURED: [&str; 5] = [
    "VIRTUAL_ENV",
    "CONDA_PREFIX",
    "XDG_CACHE_HOME",
    "XDG_DATA_HOME",
    "TMPDIR",
];

/// Programs of the system that a shell and Python need.
const SYSTEM: &str = "/usr/local/bin:/usr/bin:/bin";

type Meanwhile = Box<dyn FnOnce(&Ground, &Running)>;
type Afterwards = Box<dyn FnOnce(&Ground)>;

pub(crate) struct Ground {
    lab: Lab,
    environment: BTreeMap<String, Option<String>>,
    names: Vec<(String, &'static str)>,
    /// What the shell is started by: a program with its arguments.
    around: Vec<String>,
    /// Why this machine cannot be brought into the situation.
    obstacle: Option<String>,
    /// Done while the command runs.
    meanwhile: Option<Meanwhile>,
    /// Done when it has ended.
    afterwards: Vec<Afterwards>,
}

impl Ground {
    /// A folder with `flow.py`; `ferroflow` and the tests' `python` are on PATH, and nothing is configured.
    pub(crate) fn new() -> Self {
        let lab = Lab::with_path("custom_ends.py", "flow.py");
        let folder = lab.path().canonicalize().expect("the folder is there");
        let python = python::with_metaflow().to_string_lossy().into_owned();
        let mut ground = Self {
            names: vec![
                (folder.to_string_lossy().into_owned(), "~"),
                (FERROFLOW.to_owned(), "<ferroflow>"),
                (python, "<python>"),
            ],
            lab,
            environment: BTreeMap::new(),
            around: Vec::new(),
            obstacle: None,
            meanwhile: None,
            afterwards: Vec::new(),
        };
        ground.write("flow.py", FLOW);
        ground.folder("bin");
        symlink(FERROFLOW, ground.path("bin/ferroflow")).expect("a link to the program");
        let bin = ground.text_of("bin");
        let beside = python::with_metaflow()
            .parent()
            .expect("python has a folder");
        ground.set("PATH", &format!("{bin}:{}:{SYSTEM}", beside.display()));
        for name in OF_CI.into_iter().chain(CONFIGURED) {
            ground.unset(name);
        }
        ground
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.lab.path().join(name)
    }

    pub(crate) fn text_of(&self, name: &str) -> String {
        self.path(name).to_string_lossy().into_owned()
    }

    pub(crate) fn folder(&mut self, name: &str) -> &mut Self {
        fs::create_dir_all(self.path(name)).expect("a folder");
        self
    }

    pub(crate) fn write(&mut self, name: &str, content: &str) -> &mut Self {
        fs::write(self.path(name), content).expect("a file");
        self
    }

    /// A script that may be executed.
    pub(crate) fn program(&mut self, name: &str, content: &str) -> &mut Self {
        self.write(name, content);
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(self.path(name), mode).expect("its mode");
        self
    }

    /// Changes the flow's source.
    pub(crate) fn replace(&mut self, from: &str, to: &str) -> &mut Self {
        let source = fs::read_to_string(self.path("flow.py")).expect("the flow");
        assert!(source.contains(from), "{from}");
        self.write("flow.py", &source.replace(from, to))
    }

    pub(crate) fn set(&mut self, name: &str, value: &str) -> &mut Self {
        self.environment
            .insert(name.to_owned(), Some(value.to_owned()));
        self
    }

    pub(crate) fn unset(&mut self, name: &str) -> &mut Self {
        self.environment.insert(name.to_owned(), None);
        self
    }

    /// In the text `name` stands for `text`.
    pub(crate) fn name(&mut self, text: String, name: &'static str) -> &mut Self {
        // Before the folder, which it may be in.
        self.names.insert(0, (text, name));
        self
    }

    /// The shell is started by this program.
    pub(crate) fn inside(&mut self, program: &[&str]) -> &mut Self {
        self.around = program.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    /// Ferroflow as if installed where `python` is: its extension is found.
    pub(crate) fn installed(&mut self) -> &mut Self {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("python");
        self.set("PYTHONPATH", &source.to_string_lossy())
    }

    /// A stack to run on, with upstream's S3 client not trying again.
    pub(crate) fn on(&mut self, stack: &Stack) -> &mut Self {
        for (name, value) in stack.environment() {
            self.set(&name, &value);
        }
        self.set("METAFLOW_S3_RETRY_COUNT", "0");
        self.set("METAFLOW_S3_TRANSIENT_RETRY_COUNT", "0");
        self.name(stack.folder().to_string_lossy().into_owned(), "<stack>")
    }

    /// The row is skipped, and says so.
    pub(crate) fn cannot(&mut self, why: &str) -> &mut Self {
        self.obstacle = Some(why.to_owned());
        self
    }

    pub(crate) fn meanwhile(&mut self, act: impl FnOnce(&Self, &Running) + 'static) -> &mut Self {
        self.meanwhile = Some(Box::new(act));
        self
    }

    pub(crate) fn afterwards(&mut self, act: impl FnOnce(&Self) + 'static) -> &mut Self {
        self.afterwards.push(Box::new(act));
        self
    }

    /// A command in this environment.
    pub(crate) fn command(&self, program: &str, args: &[&str]) -> Command {
        let mut words = self
            .around
            .iter()
            .map(String::as_str)
            .chain([program])
            .chain(args.iter().copied());
        let first = words.next().expect("a program");
        let args: Vec<_> = words.collect();
        let mut command =
            self.lab
                .through(first, &args, &self.lab.command(Launcher::Ferroflow, &[]));
        for (name, value) in &self.environment {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command
    }

    /// Runs the command of this row, and panics unless what comes of it is the row's.
    pub(crate) fn check(mut self, name: &str) {
        let mut row = table::named(name);
        if let Some(obstacle) = self.obstacle.take() {
            eprintln!("SKIPPED: {name}: {obstacle}");
            return;
        }
        // One stream, so that lines are in their order; the row's own redirections come after that.
        // The shell outlives a Ctrl-C, as one at a terminal.
        let script = format!("exec 2>&1\ntrap : INT\n{}", row.command);
        let shell = self.command("/bin/sh", &["-c", &script]);
        // Whoever runs the tests in the background has made them ignore SIGINT.
        let shell = self
            .lab
            .through("/usr/bin/env", &["--default-signal"], &shell);
        let running = self.lab.start(shell);
        if let Some(act) = self.meanwhile.take() {
            act(&self, &running);
        }
        let finished = running.wait();
        for act in std::mem::take(&mut self.afterwards) {
            act(&self);
        }
        self.nothing_runs();
        nothing_of_ours(&finished);
        let seen = text::lines(&finished.stdout, &self.names);
        let signal = || 128 + finished.status.signal().unwrap_or_default();
        let exit = finished.status.code().unwrap_or_else(signal).to_string();
        if row.exit != exit || !row.allows(&seen) {
            let output = finished.all();
            (row.exit, row.text) = (exit, seen);
            panic!("the row should be:\n{}\nof\n{output}", row.line());
        }
    }

    /// Everything that the command has started has the folder in its environment.
    fn nothing_runs(&self) {
        let folder = self.lab.path().to_string_lossy().into_owned();
        wait_for("all processes to end", || processes::none_with(&folder));
    }
}

fn nothing_of_ours(finished: &Finished) {
    let output = finished.all();
    for ours in [
        "panicked at",
        "/ferroflow/host-",
        "/python/ferroflow/",
        "metaflow_extensions/ferroflow/",
    ] {
        let shown = output.lines().any(|line| {
            line.contains(ours) && (line.contains("File \"") || ours.contains("panic"))
        });
        assert!(!shown, "{ours}\n{output}");
    }
}
