//! Siblings of a foreach: asked for together, and told by what only the first has and what is each one's own. So ten
//! thousand of them cost the memory of one command line, and Python's time for two.

use std::{collections::BTreeMap, sync::Arc};

use model::{StepName, TaskId, TaskKey, TaskPath};
use serde::{Deserialize, Serialize};

use super::protocol::{BatchCommand, DatastoreWrite, EnvironmentChange, Prepared, PreparedPlace};

/// The question about first attempts of several siblings.
#[derive(Debug, Serialize)]
pub struct PrepareSiblings<'a> {
    /// Number of the question.
    pub id: u64,
    /// Their step.
    pub step: &'a StepName,
    /// The siblings.
    pub members: &'a [SiblingKey],
    /// User retries.
    pub max_user_code_retries: u32,
    /// Inputs of each.
    pub input_paths: &'a [TaskPath],
}

/// A sibling, as it is asked for.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct SiblingKey {
    /// The task.
    pub task: TaskKey,
    /// Which of the siblings it is.
    pub split_index: u64,
}

/// The answer: some as if they had been asked for alone, and others that differ from the first only where it says.
#[derive(Debug, Deserialize)]
pub struct PreparedSiblings {
    /// Number of the question.
    pub id: u64,
    members: Vec<Prepared>,
    differences: Vec<Difference>,
    others: Vec<Other>,
}

#[derive(Debug, Deserialize)]
struct Other {
    task_id: TaskId,
    writes: Vec<DatastoreWrite>,
}

/// A place of a command where siblings have their own.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "(Vec<Step>, Own)")]
struct Difference {
    place: Place,
    own: Own,
}

/// A step of a path in JSON.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Step {
    Index(usize),
    Name(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    /// A word of the step's command line.
    Word(usize),
    /// A variable of the container.
    Variable(String),
    /// A job parameter.
    Parameter(String),
    /// An option of upstream's trampoline that nothing here looks at.
    Option,
}

/// What a sibling has of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Own {
    TaskId,
    SplitIndex,
}

impl TryFrom<(Vec<Step>, Own)> for Difference {
    type Error = String;

    fn try_from((path, own): (Vec<Step>, Own)) -> Result<Self, String> {
        let place = match path.as_slice() {
            [Step::Name(part), Step::Name(of), Step::Index(word)]
                if part == "container" && of == "command" =>
            {
                Place::Word(*word)
            }
            [Step::Name(part), Step::Name(of), Step::Name(name)]
                if part == "container" && of == "environment" =>
            {
                Place::Variable(name.clone())
            }
            [Step::Name(part), Step::Name(name)] if part == "parameters" => {
                Place::Parameter(name.clone())
            }
            [Step::Name(part), _] if part == "command_options" => Place::Option,
            _ => return Err(format!("siblings differ in {path:?}")),
        };
        Ok(Self { place, own })
    }
}

impl PreparedSiblings {
    /// One answer for each of these siblings, or for the first of them; nothing if it does not fit the question.
    pub(super) fn each(self, split_indices: &[u64]) -> Option<Vec<Prepared>> {
        let Self {
            members,
            differences,
            others,
            ..
        } = self;
        if members.is_empty() || members.len() + others.len() > split_indices.len() {
            return None;
        }
        let differences: Arc<[Difference]> = differences.into();
        let common = match members.first() {
            Some(Prepared {
                place: PreparedPlace::Batch(first),
                ..
            }) => Some(Arc::clone(&first.common)),
            _ if others.is_empty() => None,
            _ => return None,
        };
        let cwd = members.first().map(|first| first.cwd.clone());
        let indices = split_indices.iter().skip(members.len()).copied();
        let follow = others
            .into_iter()
            .zip(indices)
            .filter_map(|(other, split_index)| {
                let command = BatchTask {
                    common: Arc::clone(common.as_ref()?),
                    differences: Arc::clone(&differences),
                    task_id: other.task_id.to_string(),
                    split_index,
                };
                Some(Prepared {
                    id: 0,
                    task_id: other.task_id,
                    // Of upstream's trampoline, which is not needed.
                    argv: Vec::new(),
                    env: EnvironmentChange::default(),
                    cwd: cwd.clone().unwrap_or_default(),
                    place: PreparedPlace::Batch(command),
                    writes: other.writes,
                })
            });
        let follow: Vec<_> = follow.collect();
        Some(members.into_iter().chain(follow).collect())
    }
}

/// What one task asks of Batch: a command that siblings share, with what is its own in it.
#[derive(Debug, Clone, Deserialize)]
#[serde(from = "BatchCommand")]
pub struct BatchTask {
    common: Arc<BatchCommand>,
    differences: Arc<[Difference]>,
    task_id: String,
    split_index: u64,
}

impl From<BatchCommand> for BatchTask {
    fn from(command: BatchCommand) -> Self {
        Self {
            common: Arc::new(command),
            differences: Arc::default(),
            task_id: String::new(),
            split_index: 0,
        }
    }
}

impl BatchTask {
    /// What all siblings have: all but words of the command line, variables of the container, and job parameters.
    pub fn common(&self) -> &BatchCommand {
        &self.common
    }

    /// Whether the two have all but their own in common. False does not mean that they have not.
    pub fn shares_with(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.common, &other.common)
    }

    /// The step's command line.
    pub fn command(&self) -> Vec<String> {
        let mut command = self.common.container.command.clone();
        for difference in &*self.differences {
            if let Place::Word(word) = difference.place
                && let Some(word) = command.get_mut(word)
            {
                *word = self.own(difference.own);
            }
        }
        command
    }

    /// The variables of the container.
    pub fn environment(&self) -> BTreeMap<String, String> {
        let mut environment = self.common.container.environment.clone();
        for difference in &*self.differences {
            if let Place::Variable(name) = &difference.place {
                environment.insert(name.clone(), self.own(difference.own));
            }
        }
        environment
    }

    /// The job parameters.
    pub fn parameters(&self) -> BTreeMap<String, String> {
        let mut parameters = self.common.parameters.clone();
        for difference in &*self.differences {
            if let Place::Parameter(name) = &difference.place {
                parameters.insert(name.clone(), self.own(difference.own));
            }
        }
        parameters
    }

    fn own(&self, own: Own) -> String {
        match own {
            Own::TaskId => self.task_id.clone(),
            Own::SplitIndex => self.split_index.to_string(),
        }
    }
}
