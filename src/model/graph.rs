//! The static graph of a flow, as Metaflow derives it from the `self.next` calls.

use serde::{Deserialize, Serialize};

use crate::StepName;

/// What a step does to the shape of the run: `DAGNode.type` in metaflow/graph.py.
///
/// A start step that splits has the kind of the split; `start` is only said of a plain one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NodeKind {
    /// The first step, with one successor.
    Start,
    /// One successor.
    Linear,
    /// Several successors, all of them taken.
    Split,
    /// One successor, taken once per item.
    Foreach,
    /// Several possible successors, one of them taken.
    SplitSwitch,
    /// Waits for what its matching split started.
    Join,
    /// No successor; in a flow of one step also the first.
    End,
}

/// One step of the graph.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// The step.
    pub name: StepName,
    /// Its kind.
    pub kind: NodeKind,
    /// `out_funcs`: successors in source order; a switch may name one twice.
    pub next: Vec<StepName>,
    /// `in_funcs`: predecessors, sorted.
    pub previous: Vec<StepName>,
    /// `split_parents`: the open splits around this step, outermost first; for a join the last
    /// one is the split that it joins. Switches are not among them.
    pub split_parents: Vec<StepName>,
    /// `parallel_foreach`: splits with `num_parallel`.
    #[serde(default)]
    pub parallel_foreach: bool,
}

impl Node {
    /// Whether the step may choose itself as its successor.
    pub fn is_recursive(&self) -> bool {
        self.kind == NodeKind::SplitSwitch && self.next.contains(&self.name)
    }
}

/// The graph: nodes in topological order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Graph {
    /// The first step; not always called `start`.
    pub start: StepName,
    /// The last step; not always called `end`.
    pub end: StepName,
    /// All steps.
    pub nodes: Vec<Node>,
}
