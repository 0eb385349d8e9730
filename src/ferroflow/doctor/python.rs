//! The interpreter, Metaflow in it, and our extension.

use std::{collections::BTreeMap, path::PathBuf, process::Stdio, time::Duration};

use serde::Deserialize;
use tokio::{process::Command, task::spawn_blocking, time::timeout};

use super::Finding;
use crate::{
    host_files,
    interpreter::{self, Interpreter},
};

/// For the interpreter to be found, and for its answer.
const PATIENCE: Duration = Duration::from_secs(6);
const QUESTION: &str = include_str!("question.py");

/// The oldest Metaflow that we run, by its first two numbers.
const OLDEST: (u32, u32) = (2, 15);

/// What an interpreter says.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Answer {
    /// Three numbers.
    python: String,
    metaflow: Option<String>,
    /// Why Metaflow cannot be imported.
    error: Option<String>,
    extension: Option<String>,
    extension_error: Option<String>,
    boto3: Option<String>,
    /// Metaflow's settings as it has them, by their names without METAFLOW_.
    pub(super) settings: BTreeMap<String, String>,
}

impl Answer {
    /// `3.11`
    pub(super) fn minor(&self) -> Option<&str> {
        self.python.rsplit_once('.').map(|(minor, _)| minor)
    }

    pub(super) fn has_boto3(&self) -> bool {
        self.boto3.is_some()
    }
}

/// Asks the interpreter that would run a flow.
pub(super) async fn examine(names: &[&str]) -> (Option<Answer>, Vec<Finding>) {
    let python = match find().await {
        Ok(python) => python,
        Err(finding) => return (None, vec![finding]),
    };
    let path = python.path.display().to_string();
    let thing = format!("interpreter `{path}`");
    let answer = match ask(&python.path, names).await {
        Ok(answer) => answer,
        Err(why) => {
            let fix = format!("try `{path} -c 'import metaflow'`, or set FERROFLOW_PYTHON");
            return (None, vec![Finding::problem(thing, why, fix)]);
        }
    };
    let text = format!("Python {}, found as {}", answer.python, python.how);
    let findings = vec![
        Finding::ok(thing, text),
        metaflow(&answer, &path),
        extension(&answer),
    ];
    (Some(answer), findings)
}

async fn find() -> Result<Interpreter, Finding> {
    let found = timeout(PATIENCE, spawn_blocking(interpreter::find)).await;
    let why = match found {
        Ok(Ok(Ok(python))) => return Ok(python),
        Ok(Ok(Err(error))) => error.to_string(),
        Ok(Err(error)) => error.to_string(),
        Err(_) => "an interpreter does not answer".to_owned(),
    };
    let (cause, fix) = why
        .split_once("\nhint: ")
        .unwrap_or((&why, "set FERROFLOW_PYTHON"));
    Err(Finding::problem("interpreter", cause, fix))
}

async fn ask(python: &PathBuf, names: &[&str]) -> Result<Answer, String> {
    let search = host_files::python_path(python).map_err(|error| format!("{error:#}"))?;
    let child = Command::new(python)
        .args(["-c", QUESTION, &names.join(",")])
        .env("PYTHONPATH", search)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = match timeout(PATIENCE, child).await {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => return Err(format!("it does not start: {error}")),
        Err(_) => {
            let seconds = PATIENCE.as_secs();
            return Err(format!("it does not answer within {seconds} s"));
        }
    };
    let text = String::from_utf8_lossy(&output.stdout);
    let last = text.lines().last().unwrap_or_default();
    serde_json::from_str(last).map_err(|_| {
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.lines().last().unwrap_or("nothing").to_owned();
        format!("it ended with {} and said {said}", output.status)
    })
}

fn metaflow(answer: &Answer, python: &str) -> Finding {
    let Some(version) = &answer.metaflow else {
        let why = answer.error.as_deref().unwrap_or("it is not there");
        let text = format!("cannot be imported: {why}");
        let fix = format!("{python} -m pip install metaflow, or mend what it names");
        return Finding::problem("metaflow", text, fix);
    };
    let mut numbers = version.split('.').map_while(|part| part.parse().ok());
    let known = numbers.next().zip(numbers.next());
    if known.is_some_and(|version| version < OLDEST) {
        let (major, minor) = OLDEST;
        let text = format!("{version} is older than {major}.{minor}");
        return Finding::problem("metaflow", text, "pip install --upgrade metaflow");
    }
    Finding::ok("metaflow", version)
}

fn extension(answer: &Answer) -> Finding {
    match (&answer.extension, &answer.extension_error) {
        (Some(file), _) => Finding::ok("extension", format!("found as {file}")),
        (None, why) => Finding::problem(
            "extension",
            format!("cannot be imported: {}", why.as_deref().unwrap_or_default()),
            "another package may have a file metaflow_extensions/__init__.py, which hides all \
             extensions: remove that file",
        ),
    }
}
