//! What a job is told that upstream's launcher has submitted: all of it stands in the script of its command
//! (metaflow/plugins/aws/batch/batch.py, `_command`; batch_cli.py, `step`), whose variables are those of the job.

use std::collections::BTreeMap;

use super::{
    Failure,
    container::Container,
    nonsense,
    task::{Store, Task},
};

/// Reads the script.
pub(super) fn read(container: &Container<'_>) -> Result<Task, Failure> {
    let [_bash, _c, script] = container.command else {
        return Err(nonsense(
            "its command is neither Ferroflow's nor Metaflow's",
        ));
    };
    let command: Vec<_> = script
        .split_ascii_whitespace()
        .map(|word| {
            expanded(
                word.trim_matches(['\'', '"', '(', ')']),
                container.environment,
            )
        })
        .collect();
    let exported = |name: &str| {
        let value = command
            .iter()
            .find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        value.ok_or_else(|| nonsense(format!("its command does not set `{name}`")))
    };
    let pathspec = exported("MF_PATHSPEC")?;
    let (flow, path) = pathspec
        .split_once('/')
        .ok_or_else(|| nonsense(format!("`{pathspec}` is no task")))?;
    let attempt = exported("MF_ATTEMPT")?;
    let mut task = Task {
        flow: flow.to_owned(),
        path: path.to_owned(),
        attempt: attempt
            .parse()
            .map_err(|_| nonsense(format!("`{attempt}` is no attempt")))?,
        store: Store {
            bucket: String::new(),
            prefix: String::new(),
        },
        environment: container.environment.clone(),
        files: BTreeMap::new(),
        command,
    };
    task.store = store(task.option("--datastore-root").unwrap_or_default())?;
    Ok(task)
}

fn store(root: &str) -> Result<Store, Failure> {
    let rest = root
        .strip_prefix("s3://")
        .ok_or_else(|| nonsense(format!("`{root}` is no datastore on S3")))?;
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    Ok(Store {
        bucket: bucket.to_owned(),
        prefix: prefix.to_owned(),
    })
}

/// A word with the values of its `${NAME}`, of those that there are.
fn expanded(word: &str, environment: &BTreeMap<String, String>) -> String {
    let mut parts = word.split("${");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once('}') {
            Some((name, rest)) if environment.contains_key(name) => {
                text.extend([&environment[name], rest]);
            }
            _ => text.extend(["${", part]),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shortened from a job of Metaflow 2.19.39, whose input paths are in two variables where they are long.
    const SCRIPT: &str = "true && mkdir -p $PWD/.logs && export PYTHONUNBUFFERED=x \
        MF_PATHSPEC=WideFlow/7/join/12 MF_DATASTORE=s3 MF_ATTEMPT=1 MFLOG_STDOUT=$PWD/.logs/mflog_stdout && \
        (python -u wide.py --quiet --metadata local --datastore s3 --datastore-root s3://bucket/a/metaflow step join \
        --run-id 7 --task-id 12 --input-paths ${METAFLOW_INPUT_PATHS_0}${METAFLOW_INPUT_PATHS_1} --retry-count 1 \
        --split-index 3) 1>> >(python -m metaflow.mflog.tee task $MFLOG_STDOUT); c=$?; exit $c";

    #[test]
    fn a_script_is_read() {
        let environment: BTreeMap<_, _> = [
            ("METAFLOW_INPUT_PATHS_0", "7/work/:2"),
            ("METAFLOW_INPUT_PATHS_1", ",3"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        let command = ["bash", "-c", SCRIPT].map(str::to_owned);
        let container = |command| Container {
            command,
            environment: &environment,
            job_id: "job",
            index: None,
            task: "task".to_owned(),
        };
        let task = read(&container(&command)).unwrap();
        assert_eq!(
            (task.flow.as_str(), task.step().unwrap(), task.attempt),
            ("WideFlow", "join", 1)
        );
        assert_eq!(task.option("--input-paths"), Some("7/work/:2,3"));
        assert_eq!(task.first_input().unwrap(), "7/work/2");
        assert_eq!(task.split_index(), 3);
        assert_eq!(task.full_key("x"), "a/metaflow/x");
        let foreign = ["bash", "-c", "true"].map(str::to_owned);
        for command in [&foreign[..], &foreign[..1]] {
            read(&container(command)).unwrap_err();
        }
    }
}
