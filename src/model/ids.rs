//! Newtypes for everything that has an identity.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

/// Why a string is not a valid id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{value}` is not a valid {what}: {why}")]
pub struct InvalidId {
    what: &'static str,
    value: String,
    why: &'static str,
}

/// Checks what every path component of Metaflow's datastore obeys: it is not empty, and it
/// has none of the characters that `--input-paths` uses as separators (metaflow/util.py,
/// `compress_list`) nor a slash.
fn check_component(what: &'static str, value: &str) -> Result<(), InvalidId> {
    let why = if value.is_empty() {
        "it is empty"
    } else if value.contains(['/', ',', ':', '!']) {
        "it contains one of `/ , : !`"
    } else {
        return Ok(());
    };
    Err(InvalidId {
        what,
        value: value.to_owned(),
        why,
    })
}

macro_rules! string_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Validates and wraps `value`.
            pub fn new(value: impl AsRef<str>) -> Result<Self, InvalidId> {
                check_component($what, value.as_ref())?;
                Ok(Self(value.as_ref().into()))
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(s: &str) -> Result<Self, InvalidId> {
                Self::new(s)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(s: String) -> Result<Self, InvalidId> {
                Self::new(s)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0.as_ref().to_owned()
            }
        }
    };
}

string_id!(
    /// Name of a flow: the class name of its `FlowSpec`.
    FlowName, "flow name");
string_id!(
    /// Id of a run, minted by the metadata provider.
    RunId, "run id");
string_id!(
    /// Name of a step: the method's name.
    StepName, "step name");
string_id!(
    /// Id of a task, minted by the metadata provider.
    TaskId, "task id");

/// Number of an attempt of a task, counted from 0. Metaflow ignores attempts from
/// [`Attempt::LIMIT`] on (`MAX_ATTEMPTS` in metaflow_config.py).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default,
)]
#[serde(transparent)]
pub struct Attempt(pub u32);

impl Attempt {
    /// Attempt numbers stay below this.
    pub const LIMIT: u32 = 6;

    /// The attempt after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A task as the scheduler names it: its place in the order in which tasks came into being.
/// The provider's [`TaskId`] is known only once the task has been registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TaskKey(pub u32);

impl fmt::Display for TaskKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// `run/step/task`, Metaflow's path of a task inside its flow.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TaskPath {
    /// The run.
    pub run: RunId,
    /// The step.
    pub step: StepName,
    /// The task.
    pub task: TaskId,
}

impl fmt::Display for TaskPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.run, self.step, self.task)
    }
}

impl FromStr for TaskPath {
    type Err = InvalidId;
    fn from_str(s: &str) -> Result<Self, InvalidId> {
        let mut parts = s.split('/');
        if let (Some(run), Some(step), Some(task), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        {
            return Ok(Self {
                run: run.parse()?,
                step: step.parse()?,
                task: task.parse()?,
            });
        }
        Err(InvalidId {
            what: "task path",
            value: s.to_owned(),
            why: "it is not of the form run/step/task",
        })
    }
}

impl TryFrom<String> for TaskPath {
    type Error = InvalidId;
    fn try_from(s: String) -> Result<Self, InvalidId> {
        s.parse()
    }
}

impl From<TaskPath> for String {
    fn from(path: TaskPath) -> String {
        path.to_string()
    }
}

/// Milliseconds since the Unix epoch.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default,
)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_refuse_separators() {
        assert!(RunId::new("12").is_ok());
        for bad in ["", "a/b", "a,b", "a:b", "a!b"] {
            assert!(TaskId::new(bad).is_err(), "{bad}");
        }
        assert_eq!(
            TaskId::new("a:b").unwrap_err().to_string(),
            "`a:b` is not a valid task id: it contains one of `/ , : !`"
        );
    }

    #[test]
    fn task_paths_round_trip() {
        let path: TaskPath = "17/train/3".parse().unwrap();
        assert_eq!(path.to_string(), "17/train/3");
        assert!("17/train".parse::<TaskPath>().is_err());
        assert!("17/train/3/0".parse::<TaskPath>().is_err());
    }
}
