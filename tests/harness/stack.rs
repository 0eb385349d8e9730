//! An embedded stack for the tests of one process. It ends with that process, whatever its end is.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
};

use serde_json::{Value, json};

use super::{FERROFLOW, bootstraps, python, remove_variables, temporary, tests_folder};

/// Starts the stack, prints its environment, waits for the end of standard input, which is this process's, and removes
/// everything.
const SCRIPT: &str = r#"
set -eu
trap 'rm -rf "$DIR"' EXIT
"$FERROFLOW_BIN" dev up --dir "$DIR/stack" "$@" >&2
"$FERROFLOW_BIN" dev env --dir "$DIR/stack" > "$DIR/exports"
(. "$DIR/exports"; exec env -0) | tr '\0' '\n' | sed -n '/^\(AWS\|METAFLOW\|FERROFLOW_DEV\)_/p'
echo
cat >/dev/null
"$FERROFLOW_BIN" dev down --dir "$DIR/stack" >&2
"#;

pub(crate) struct Stack {
    process: Child,
    stdin: Option<ChildStdin>,
    folder: PathBuf,
    environment: BTreeMap<String, String>,
}

impl Stack {
    /// A stack of its own, with more arguments for `dev up`.
    pub(crate) fn start(args: &[&str]) -> Self {
        let folder = temporary::folder().keep();
        let mut command = Command::new("sh");
        remove_variables(&mut command, &["METAFLOW_", "FERROFLOW", "AWS_"]);
        let mut process = command
            .args(["-c", SCRIPT, "stack"])
            .args(args)
            .env("DIR", &folder)
            .env("FERROFLOW_BIN", FERROFLOW)
            .env("FERROFLOW_PYTHON", python::with_metaflow())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("sh starts");
        let stdout = BufReader::new(process.stdout.take().expect("its output is piped"));
        let lines = stdout.lines().map(|line| line.expect("text"));
        let environment: BTreeMap<_, _> = lines
            .take_while(|line| !line.is_empty())
            .filter_map(|line| {
                line.split_once('=')
                    .map(|(name, value)| (name.to_owned(), value.to_owned()))
            })
            .collect();
        assert!(
            environment.contains_key("AWS_ENDPOINT_URL"),
            "the stack did not start: {environment:?}"
        );
        Self {
            stdin: process.stdin.take(),
            process,
            folder: folder.join("stack"),
            environment,
        }
    }

    /// A stack where these things go wrong, with more arguments for `dev up`.
    pub(crate) fn with_faults(rules: &[Value], args: &[&str]) -> Self {
        let folder = temporary::folder();
        let file = folder.path().join("faults.json");
        fs::write(&file, json!(rules).to_string()).expect("the rules are written");
        let file = file.to_str().expect("a path that is text");
        Self::start(&[&["--faults", file], args].concat())
    }

    /// The stack that all tests of this process share.
    pub(crate) fn shared() -> &'static Self {
        static STACK: std::sync::OnceLock<Stack> = std::sync::OnceLock::new();
        STACK.get_or_init(|| Self::start(&[]))
    }

    /// A second one that they share when they fill the queue.
    pub(crate) fn for_wide_flows() -> &'static Self {
        static STACK: std::sync::OnceLock<Stack> = std::sync::OnceLock::new();
        STACK.get_or_init(|| Self::start(&[]))
    }

    /// What a client needs, as `ferroflow dev env` tells it.
    pub(crate) fn variables(&self) -> &BTreeMap<String, String> {
        &self.environment
    }

    /// The same, and the bootstrap of this build, for runs.
    pub(crate) fn environment(&self) -> BTreeMap<String, String> {
        let mut environment = self.environment.clone();
        let bootstraps = bootstraps::folder().to_string_lossy().into_owned();
        environment.insert("FERROFLOW_BOOTSTRAP_DIR".to_owned(), bootstraps);
        environment
    }

    /// The jobs whose names contain `part`, and their states.
    pub(crate) fn jobs(&self, part: &str) -> BTreeMap<String, String> {
        let output = Command::new(python::with_metaflow())
            .arg(tests_folder().join("stack/jobs.py"))
            .arg(part)
            .envs(&self.environment)
            .output()
            .expect("python starts");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        serde_json::from_slice(&output.stdout).expect("jobs as JSON")
    }

    /// What the stack's history says of a kind.
    pub(crate) fn history(&self, kind: &str) -> Vec<Value> {
        let mut lines = self.history_lines(&[kind]);
        lines.iter_mut().map(|line| line["detail"].take()).collect()
    }

    /// The lines of these kinds in the stack's history, in their order, each with its time.
    pub(crate) fn history_lines(&self, kinds: &[&str]) -> Vec<Value> {
        let text = fs::read_to_string(self.folder.join("history.jsonl")).expect("a history");
        // The last line may be half written. Of the others few are parsed: tests that wait ask often.
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let marks: Vec<_> = kinds
            .iter()
            .map(|kind| format!("\"kind\":\"{kind}\""))
            .collect();
        whole
            .lines()
            .filter(|line| marks.iter().any(|mark| line.contains(mark)))
            .map(|line| serde_json::from_str::<Value>(line).expect("a line of JSON"))
            .filter(|line| kinds.iter().any(|kind| line["kind"] == *kind))
            .collect()
    }

    /// The stack's folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ = self.process.wait();
    }
}
