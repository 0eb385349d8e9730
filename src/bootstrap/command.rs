//! The command line of a step, with what comes before it.

use std::path::Path;

use model::spec::TaskSpec;

/// What upstream's own bootstrap commands expect of the shell around them
/// (metaflow/mflog/__init__.py, `export_mflog_env_vars`): logs are taken care of here.
const SHELL_FUNCTIONS: &str = "mflog() { echo \"$@\"; } && flush_mflogs() { :; }";

/// Characters that end or join commands in bash. What has one is not simply `exec`ed.
const OPERATORS: [char; 6] = [';', '&', '|', '<', '>', '\n'];

/// What is started.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct StepCommand {
    /// Program and arguments.
    pub(crate) argv: Vec<String>,
    /// Whether the file named to [`StepCommand::new`] comes into being once everything before
    /// the step has succeeded. Without it the step starts at once.
    pub(crate) is_prepared: bool,
}

impl StepCommand {
    /// One bash runs the preparation and becomes the step, because upstream's preparation sets
    /// variables that the step needs. Without preparation or shell words there is no bash.
    pub(crate) fn new(spec: &TaskSpec, bash: &str, prepared: &Path) -> Self {
        let is_prepared = !spec.prepare.is_empty();
        if !is_prepared && !spec.shell {
            return Self {
                argv: spec.command.clone(),
                is_prepared,
            };
        }
        let mut parts = Vec::new();
        if is_prepared {
            parts.push(SHELL_FUNCTIONS.to_owned());
            parts.extend(spec.prepare.iter().cloned());
            parts.push(format!(": >{}", quote(&prepared.to_string_lossy())));
        }
        let mut argv = vec![bash.to_owned(), "-c".to_owned()];
        if spec.shell {
            parts.push(shell_step(&spec.command.join(" ")));
            argv.push(parts.join(" && "));
        } else {
            parts.push("exec \"$@\"".to_owned());
            argv.push(parts.join(" && "));
            argv.push(bash.to_owned());
            argv.extend(spec.command.iter().cloned());
        }
        Self { argv, is_prepared }
    }
}

/// A simple command replaces bash, so that signals and exit codes are the step's own.
fn shell_step(command: &str) -> String {
    let first = command.split_whitespace().next().unwrap_or_default();
    if command.contains(OPERATORS) || first.starts_with(['(', '{', '!']) {
        command.to_owned()
    } else if first.contains('=') {
        format!("exec env {command}")
    } else {
        format!("exec {command}")
    }
}

fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use model::{
        Attempt, FlowName,
        spec::{PackageRef, StoreAddress},
    };

    use super::*;

    fn spec(prepare: &[&str], command: &[&str], shell: bool) -> TaskSpec {
        let owned = |words: &[&str]| words.iter().map(ToString::to_string).collect();
        TaskSpec {
            version: 1,
            flow: FlowName::new("F").unwrap(),
            task: "1/s/2".parse().unwrap(),
            attempt: Attempt(0),
            launch: 0,
            store: StoreAddress {
                bucket: "b".into(),
                prefix: String::new(),
                endpoint: None,
                region: "r".into(),
                server_side_encryption: None,
            },
            claim: "c".into(),
            outcome: "o".into(),
            package: PackageRef {
                url: "s3://b/p".into(),
                sha256: String::new(),
                size: 0,
            },
            bytecode: None,
            prepare: owned(prepare),
            command: owned(command),
            shell,
            environment: [].into(),
            files: [].into(),
            install: false,
            time_limit: 0,
            lease: None,
            registers_usage: false,
        }
    }

    fn argv(prepare: &[&str], command: &[&str], shell: bool) -> Vec<String> {
        let spec = spec(prepare, command, shell);
        StepCommand::new(&spec, "bash", Path::new("/p/it's")).argv
    }

    #[test]
    fn a_plain_step_needs_no_shell() {
        assert_eq!(argv(&[], &["python", "a b"], false), ["python", "a b"]);
    }

    #[test]
    fn a_shell_step_replaces_its_shell() {
        assert_eq!(
            argv(&[], &["$X/python", "-s", "f.py"], true),
            ["bash", "-c", "exec $X/python -s f.py"]
        );
        assert_eq!(argv(&[], &["A=1", "p"], true)[2], "exec env A=1 p");
        assert_eq!(argv(&[], &["a", "&&", "b"], true)[2], "a && b");
    }

    #[test]
    fn preparation_comes_first_in_the_same_shell() {
        let script = r#"export A=1 && true && : >'/p/it'\''s' && exec "$@""#;
        assert_eq!(
            argv(&["export A=1", "true"], &["p", "x y"], false),
            [
                "bash",
                "-c",
                &format!("{SHELL_FUNCTIONS} && {script}"),
                "bash",
                "p",
                "x y"
            ]
        );
        assert_eq!(
            argv(&["true"], &["p", "x"], true)[2],
            format!(r"{SHELL_FUNCTIONS} && true && : >'/p/it'\''s' && exec p x")
        );
    }
}
