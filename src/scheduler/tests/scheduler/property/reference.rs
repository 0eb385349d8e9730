//! The model: walks the structure of a flow, not its graph, and says which tasks run, with which
//! inputs and how many attempts. It knows nothing of order, queues or events.

use std::collections::BTreeMap;

use scheduler::TaskIndex;

use crate::property::{
    chance::{Chance, Decorators, Fate},
    shape::Shape,
};

/// What has to happen in a run, unless something stops it.
#[derive(Debug, Default)]
pub(crate) struct Expected {
    pub(crate) tasks: BTreeMap<String, ExpectedTask>,
    pub(crate) reaches_end: bool,
}

#[derive(Debug)]
pub(crate) struct ExpectedTask {
    pub(crate) inputs: Vec<String>,
    pub(crate) split_index: Option<u64>,
    /// `max_user_code_retries` of each attempt.
    pub(crate) attempts: Vec<u32>,
    pub(crate) verdict: Verdict,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Succeeds,
    IsDropped,
    Fails,
}

/// Where the walk is: the task before, and whether the next one is a child of a foreach.
#[derive(Debug, Clone)]
struct Here {
    inputs: Vec<String>,
    foreach: Vec<u32>,
    split_index: Option<u64>,
}

pub(crate) fn expected(shape: &Shape, chance: Chance) -> Expected {
    let mut walk = Walk {
        chance,
        expected: Expected::default(),
    };
    let here = Here {
        inputs: Vec::new(),
        foreach: Vec::new(),
        split_index: None,
    };
    walk.expected.reaches_end = walk.walk(shape, here).is_some();
    walk.expected
}

pub(crate) fn label(step: &str, index: &TaskIndex) -> String {
    format!("{step}{index}")
}

struct Walk {
    chance: Chance,
    expected: Expected,
}

impl Walk {
    /// Runs a block; the result is where it ends, if it gets there.
    fn walk(&mut self, shape: &Shape, mut here: Here) -> Option<Here> {
        match shape {
            Shape::Step(step) => self.task(step, here, &[]).map(|(_, after)| after),
            Shape::Loop(step) => {
                let times = self.chance.repetitions(step, &here.foreach);
                for iteration in 0..=times {
                    here = self.task(step, here, &[iteration])?.1;
                }
                Some(here)
            }
            Shape::Sequence(shapes) => shapes
                .iter()
                .try_fold(here, |here, shape| self.walk(shape, here)),
            Shape::Split {
                head,
                branches,
                join,
            } => {
                let (_, after) = self.task(head, here, &[])?;
                let ends: Vec<Option<Here>> = branches
                    .iter()
                    .map(|branch| self.walk(branch, after.clone()))
                    .collect();
                self.join(join, ends, after.foreach)
            }
            Shape::Foreach { head, body, join } => {
                let (label, after) = self.task(head, here, &[])?;
                let ends: Vec<Option<Here>> = (0..self.chance.width(&label))
                    .map(|item| {
                        let mut child = after.clone();
                        child.foreach.push(item);
                        child.split_index = Some(item.into());
                        self.walk(body, child)
                    })
                    .collect();
                self.join(join, ends, after.foreach)
            }
            Shape::Switch { head, cases } => {
                let (label, after) = self.task(head, here, &[])?;
                let case = self.chance.case(&label, cases.len());
                self.walk(&cases[case], after)
            }
        }
    }

    fn join(&mut self, join: &str, ends: Vec<Option<Here>>, foreach: Vec<u32>) -> Option<Here> {
        let ends: Option<Vec<Here>> = ends.into_iter().collect();
        let here = Here {
            inputs: ends?.into_iter().flat_map(|end| end.inputs).collect(),
            foreach,
            split_index: None,
        };
        self.task(join, here, &[]).map(|(_, after)| after)
    }

    fn task(&mut self, step: &str, here: Here, iterations: &[u32]) -> Option<(String, Here)> {
        let index = TaskIndex {
            foreach: here.foreach.clone(),
            iterations: iterations.to_vec(),
        };
        let label = label(step, &index);
        let (attempts, verdict) = self.attempts(&label, self.chance.decorators(step));
        let task = ExpectedTask {
            inputs: here.inputs,
            split_index: here.split_index,
            attempts,
            verdict,
        };
        let before = self.expected.tasks.insert(label.clone(), task);
        assert!(before.is_none(), "{label} would run twice");
        let after = Here {
            inputs: vec![label.clone()],
            foreach: here.foreach,
            split_index: None,
        };
        (verdict == Verdict::Succeeds).then_some((label, after))
    }

    /// The attempts of one task: a failure costs one of the retries of its decorators; a loss does
    /// not, as long as there are numbers to spare.
    fn attempts(&self, task: &str, decorators: Decorators) -> (Vec<u32>, Verdict) {
        let Decorators { user, error, .. } = decorators;
        let (mut failed, mut lost) = (0, 0);
        let mut attempts = Vec::new();
        loop {
            attempts.push(user + lost);
            let used = attempts.len() as u32;
            let needed = match failed {
                _ if failed > user => 0,
                _ => user - failed + u32::from(error > 0),
            };
            let is_free = lost < 3 && used + needed < 6;
            match self.chance.fate(task, used - 1, decorators) {
                Fate::Succeeds => return (attempts, Verdict::Succeeds),
                Fate::Exits202 | Fate::IsRefused => return (attempts, Verdict::IsDropped),
                Fate::IsLost if is_free => lost += 1,
                Fate::Fails | Fate::IsLost if failed < user + error && used < 6 => failed += 1,
                Fate::Fails | Fate::IsLost => return (attempts, Verdict::Fails),
            }
        }
    }
}
