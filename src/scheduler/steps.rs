//! The graph, with names replaced by indices.

use std::{
    collections::BTreeMap,
    ops::{Index, IndexMut},
};

use model::{Graph, Node, NodeKind, Plan, StepName, StepPlan};

use crate::PlanError;

/// Index of a step in the graph's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StepIx(u32);

/// One value per step.
#[derive(Debug)]
pub(crate) struct PerStep<T>(Vec<T>);

/// A step of the graph.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) name: StepName,
    pub(crate) kind: NodeKind,
    /// Successors as the graph names them; what a task says is compared with these.
    pub(crate) expected: Vec<StepName>,
    /// The same, as indices.
    pub(crate) next: Vec<StepIx>,
    /// Whether a join is among the successors.
    pub(crate) meets_join: bool,
    /// Whether it is a switch that may choose itself.
    pub(crate) is_recursive: bool,
    pub(crate) plan: StepPlan,
}

/// The steps of a run.
#[derive(Debug)]
pub(crate) struct Steps {
    all: PerStep<Step>,
    pub(crate) start: StepIx,
    pub(crate) end: StepIx,
}

impl Steps {
    /// Resolves the names in the plan's graph, and checks what the scheduler relies on.
    pub(crate) fn new(plan: &Plan) -> Result<Self, PlanError> {
        let names = index(&plan.graph)?;
        let mut steps = Vec::with_capacity(plan.graph.nodes.len());
        for node in &plan.graph.nodes {
            steps.push(resolve(plan, node, &names)?);
        }
        check_ends(&plan.graph, &names)?;
        Ok(Self {
            start: lookup(&names, &plan.graph.start)?,
            end: lookup(&names, &plan.graph.end)?,
            all: PerStep(steps),
        })
    }

    /// The steps in the graph's order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (StepIx, &Step)> {
        (0..).map(StepIx).zip(&self.all.0)
    }

    /// A default value for each step.
    pub(crate) fn per_step<T: Default>(&self) -> PerStep<T> {
        PerStep(self.all.0.iter().map(|_| T::default()).collect())
    }
}

impl Index<StepIx> for Steps {
    type Output = Step;

    fn index(&self, step: StepIx) -> &Step {
        &self.all[step]
    }
}

impl<T> Index<StepIx> for PerStep<T> {
    type Output = T;

    fn index(&self, step: StepIx) -> &T {
        &self.0[step.0 as usize]
    }
}

impl<T> IndexMut<StepIx> for PerStep<T> {
    fn index_mut(&mut self, step: StepIx) -> &mut T {
        &mut self.0[step.0 as usize]
    }
}

type Names<'a> = BTreeMap<&'a StepName, (StepIx, &'a Node)>;

fn index(graph: &Graph) -> Result<Names<'_>, PlanError> {
    let mut names = Names::new();
    for (ix, node) in (0..).map(StepIx).zip(&graph.nodes) {
        if names.insert(&node.name, (ix, node)).is_some() {
            return Err(PlanError::DuplicateStep {
                step: node.name.clone(),
            });
        }
    }
    Ok(names)
}

fn find<'a>(names: &Names<'a>, step: &StepName) -> Result<(StepIx, &'a Node), PlanError> {
    names
        .get(step)
        .copied()
        .ok_or_else(|| PlanError::UnknownStep { step: step.clone() })
}

fn lookup(names: &Names<'_>, step: &StepName) -> Result<StepIx, PlanError> {
    find(names, step).map(|(ix, _)| ix)
}

fn resolve(plan: &Plan, node: &Node, names: &Names<'_>) -> Result<Step, PlanError> {
    let open = splits_open_after(node)?;
    let mut next = Vec::with_capacity(node.next.len());
    let mut meets_join = false;
    for name in &node.next {
        let (ix, successor) = find(names, name)?;
        check_edge(node, open, successor)?;
        meets_join |= successor.kind == NodeKind::Join;
        next.push(ix);
    }
    let step = node.name.clone();
    let decided = plan
        .steps
        .get(&step)
        .ok_or_else(|| PlanError::NoStepPlan { step: step.clone() })?;
    Ok(Step {
        name: step,
        kind: node.kind,
        expected: node.next.clone(),
        next,
        meets_join,
        is_recursive: node.is_recursive(),
        plan: decided.clone(),
    })
}

/// How many splits are open for the successors of a step.
fn splits_open_after(node: &Node) -> Result<usize, PlanError> {
    let open = node.split_parents.len();
    match node.kind {
        NodeKind::Split | NodeKind::Foreach => Ok(open + 1),
        NodeKind::Join => open
            .checked_sub(1)
            .ok_or_else(|| PlanError::JoinWithoutSplit {
                step: node.name.clone(),
            }),
        _ => Ok(open),
    }
}

/// A join looks for its split in the frame of the task that arrives, so all paths to a step must
/// have opened equally many. Which ones may differ: behind a switch, two foreaches can share
/// their body, and the graph names only one of them.
fn check_edge(from: &Node, open: usize, to: &Node) -> Result<(), PlanError> {
    if from.kind == NodeKind::Foreach && to.kind == NodeKind::Join {
        return Err(PlanError::EmptyForeach {
            step: from.name.clone(),
        });
    }
    if open != to.split_parents.len() {
        return Err(PlanError::Unbalanced {
            from: from.name.clone(),
            to: to.name.clone(),
        });
    }
    Ok(())
}

fn check_ends(graph: &Graph, names: &Names<'_>) -> Result<(), PlanError> {
    for step in [&graph.start, &graph.end] {
        let (_, node) = find(names, step)?;
        if !node.split_parents.is_empty() {
            return Err(PlanError::SplitAtEnds { step: step.clone() });
        }
    }
    Ok(())
}
