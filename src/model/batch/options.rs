//! The options of upstream's `batch step` command, as a step's decorators set them.

use serde_json::{Map, Value};

/// Why an option is refused. Where upstream refuses, the text is upstream's
/// (metaflow/plugins/aws/batch/batch_client.py and batch.py).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OptionError {
    /// `BatchJob.execute`
    #[error("Unable to launch AWS Batch job. No docker image specified.")]
    NoImage,
    /// `BatchJob.execute`
    #[error("Unable to launch AWS Batch job. No IAM role specified.")]
    NoRole,
    /// `BatchJob.cpu`
    #[error("Invalid CPU value ({0}); it should be greater than 0")]
    Cpu(String),
    /// `BatchJob.memory`
    #[error("Invalid memory value ({0}); it should be greater than 0")]
    Memory(String),
    /// `BatchJob.gpu`
    #[error("invalid gpu value: ({0}) (should be 0 or greater)")]
    Gpu(String),
    /// `BatchJob._register_job_definition`
    #[error("Fargate does not support multinode jobs.")]
    MultinodeOnFargate,
    /// Not upstream's: its `@parallel` runs there.
    #[error("multinode jobs (num_parallel) are not supported by Ferroflow on AWS Batch")]
    Multinode,
    /// `BatchJob._register_job_definition`
    #[error(
        "No AWS Fargate task execution IAM role found. Please see \
         https://docs.aws.amazon.com/batch/latest/userguide/execution-IAM-role.html and set the \
         role as METAFLOW_ECS_FARGATE_EXECUTION_ROLE environment variable."
    )]
    NoExecutionRole,
    /// `BatchJob._register_job_definition`
    #[error("Invalid shared memory size value ({0}); it should be greater than 0")]
    SharedMemory(String),
    /// `BatchJob._register_job_definition`
    #[error("Invalid swappiness value ({0}); (should be 0 or greater and less than 100)")]
    Swappiness(String),
    /// `BatchJob._register_job_definition`, which says "swappiness" here, too.
    #[error("Invalid swappiness value ({0}); (should be 0 or greater)")]
    MaxSwap(String),
    /// `BatchJob._register_job_definition`
    #[error("The ephemeral_storage parameter is only available for FARGATE compute environments")]
    EphemeralStorage,
    /// `BatchJob._register_job_definition`
    #[error("Invalid inferentia value: ({0}) (should be 0 or greater)")]
    Inferentia(String),
    /// Not upstream's: it ends with a KeyError there.
    #[error("inferentia and trainium devices are not available for Fargate compute resources")]
    InferentiaOnFargate,
    /// `BatchJob._register_job_definition`
    #[error("tmpfs is not available for Fargate compute resources")]
    TmpfsOnFargate,
    /// `BatchJob._register_job_definition`
    #[error("Invalid tmpfs value: ({0}) (should be 0 or greater)")]
    Tmpfs(String),
    /// `BatchJob._register_job_definition`
    #[error("Invalid efa value: ({0}) (should be 0 or greater)")]
    Efa(String),
    /// Not upstream's: it ends with boto3's ParamValidationError.
    #[error("log_options need a log_driver: AWS Batch takes no options without one")]
    NoLogDriver,
    /// Not upstream's: it ends with a ValueError.
    #[error("Invalid log_options value ({0}); it should have the form `option:value`")]
    LogOption(String),
    /// Of click, which parses the options of `batch step`.
    #[error("Invalid value for '--{option}': '{value}' is not a valid integer.")]
    NotAnInteger {
        /// The option, as it is spelled on the command line.
        option: &'static str,
        /// Its value.
        value: String,
    },
}

/// Options by name. Names are given in underscores here; the decorator's own (`iam_role`) and
/// those that it spells as on the command line (`run-time-limit`) are found alike.
#[derive(Debug, Clone, Copy)]
pub struct Options<'a>(&'a Map<String, Value>);

impl<'a> Options<'a> {
    /// Wraps what the flow host tells.
    pub fn new(options: &'a Map<String, Value>) -> Self {
        Self(options)
    }

    /// The queue, if one is named.
    pub fn queue(self) -> Option<String> {
        self.text("queue")
    }

    /// `run-time-limit` in seconds: what `@timeout` or METAFLOW_DEFAULT_RUNTIME_LIMIT says.
    pub fn run_time_limit(self) -> Result<u64, OptionError> {
        /// Default of the option (metaflow/plugins/aws/batch/batch_cli.py, `step`): five days.
        const DEFAULT: u64 = 5 * 24 * 60 * 60;
        let Some(text) = self.text("run_time_limit") else {
            return Ok(DEFAULT);
        };
        text.trim().parse().map_err(|_| OptionError::NotAnInteger {
            option: "run-time-limit",
            value: text,
        })
    }

    /// Where the task's temporary files go, when that is the tmpfs: METAFLOW_TEMPDIR
    /// (metaflow/plugins/aws/batch/batch.py, `create_job`).
    pub fn temp_dir(self) -> Option<String> {
        (self.has_tmpfs() && self.flag("tmpfs_tempdir"))
            .then(|| self.text("tmpfs_path"))
            .flatten()
    }

    /// Whether the container gets a tmpfs.
    pub(super) fn has_tmpfs(self) -> bool {
        self.flag("use_tmpfs") || self.text("tmpfs_size").is_some_and(|size| !size.is_empty())
    }

    /// A value as the command line would carry it; `None` for what it would leave out
    /// (metaflow/util.py, `dict_to_cli_options`).
    pub(super) fn text(self, name: &str) -> Option<String> {
        match self.value(name)? {
            // click keeps the last of several.
            Value::Array(values) => values.last().and_then(text),
            value => text(value),
        }
    }

    /// The values of an option that may be given several times.
    pub(super) fn list(self, name: &str) -> Vec<String> {
        match self.value(name) {
            None => Vec::new(),
            Some(Value::Array(values)) => values.iter().filter_map(text).collect(),
            Some(value) => text(value).into_iter().collect(),
        }
    }

    /// Whether an option without a value is given.
    pub(super) fn flag(self, name: &str) -> bool {
        !matches!(
            self.value(name),
            None | Some(Value::Null | Value::Bool(false))
        )
    }

    /// An option that click reads as an integer; 0 if it is not given.
    pub(super) fn integer(self, name: &str, option: &'static str) -> Result<i32, OptionError> {
        let Some(value) = self.text(name) else {
            return Ok(0);
        };
        super::python::int(&value).ok_or(OptionError::NotAnInteger { option, value })
    }

    fn value(self, name: &str) -> Option<&'a Value> {
        self.0
            .get(name)
            .or_else(|| self.0.get(&name.replace('_', "-")))
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null | Value::Bool(false) => None,
        Value::Bool(true) => Some("True".to_owned()),
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn map(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn values_are_what_the_command_line_would_carry() {
        let map = map(json!({
            "run-time-limit": 432_000, "queue": "q", "cpu": 4.0, "gpu": "0", "efa": null,
            "use_tmpfs": false, "privileged": true, "host_volumes": ["/a", "/b"], "efs_volumes": "fs-1",
        }));
        let options = Options::new(&map);
        assert_eq!(options.run_time_limit(), Ok(432_000));
        assert_eq!(options.queue().as_deref(), Some("q"));
        assert_eq!(options.text("cpu").as_deref(), Some("4.0"));
        assert_eq!(options.text("efa"), None);
        assert_eq!(options.text("absent"), None);
        assert!(!options.flag("use_tmpfs"));
        assert!(options.flag("privileged"));
        assert_eq!(options.list("host_volumes"), ["/a", "/b"]);
        assert_eq!(options.list("efs_volumes"), ["fs-1"]);
    }

    #[test]
    fn the_temporary_folder_is_the_tmpfs_only_where_there_is_one() {
        let path = json!({"tmpfs_path": "/t", "tmpfs_tempdir": true});
        for (extra, dir) in [
            (json!({}), None),
            (json!({"use_tmpfs": true}), Some("/t")),
            (json!({"tmpfs_size": 100}), Some("/t")),
            (json!({"use_tmpfs": true, "tmpfs_tempdir": false}), None),
        ] {
            let mut options = map(path.clone());
            options.extend(map(extra.clone()));
            assert_eq!(Options::new(&options).temp_dir().as_deref(), dir, "{extra}");
        }
    }
}
