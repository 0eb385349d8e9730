//! Random flows: blocks inside blocks, which become the steps of a graph.

use model::{Node, NodeKind};
use proptest::prelude::*;

use crate::flow::new_node;

/// A flow's structure.
#[derive(Debug, Clone)]
pub(crate) enum Block {
    Step,
    Loop,
    Sequence(Vec<Block>),
    Split(Vec<Block>),
    Foreach(Box<Block>),
    Switch(Vec<Block>),
}

/// The same with names.
#[derive(Debug, Clone)]
pub(crate) enum Shape {
    Step(String),
    Loop(String),
    Sequence(Vec<Shape>),
    Split {
        head: String,
        branches: Vec<Shape>,
        join: String,
    },
    Foreach {
        head: String,
        body: Box<Shape>,
        join: String,
    },
    Switch {
        head: String,
        cases: Vec<Shape>,
    },
}

pub(crate) fn block() -> impl Strategy<Value = Block> {
    let leaf = prop_oneof![3 => Just(Block::Step), 1 => Just(Block::Loop)];
    leaf.prop_recursive(4, 20, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..4).prop_map(Block::Sequence),
            prop::collection::vec(inner.clone(), 2..4).prop_map(Block::Split),
            inner
                .clone()
                .prop_map(|body| Block::Foreach(Box::new(body))),
            prop::collection::vec(inner, 2..4).prop_map(Block::Switch),
        ]
    })
}

impl Shape {
    /// Gives names to the steps of a flow.
    pub(crate) fn of(block: &Block) -> Self {
        Self::Sequence(vec![
            Self::named(block, &mut 0),
            Self::Step("end".to_owned()),
        ])
    }

    fn named(block: &Block, count: &mut u32) -> Self {
        let mut name = |kind: &str| {
            *count += 1;
            format!("{kind}{count}")
        };
        match block {
            Block::Step => Self::Step(name("step")),
            Block::Loop => Self::Loop(name("loop")),
            Block::Sequence(blocks) => {
                Self::Sequence(blocks.iter().map(|b| Self::named(b, count)).collect())
            }
            Block::Split(blocks) => Self::Split {
                head: name("split"),
                join: name("join"),
                branches: blocks.iter().map(|b| Self::branch(b, count)).collect(),
            },
            Block::Foreach(body) => Self::Foreach {
                head: name("each"),
                join: name("join"),
                body: Box::new(Self::branch(body, count)),
            },
            Block::Switch(blocks) => Self::Switch {
                head: name("switch"),
                cases: blocks.iter().map(|b| Self::named(b, count)).collect(),
            },
        }
    }

    /// A plain step goes before each join: a switch may not lead to one.
    fn branch(block: &Block, count: &mut u32) -> Self {
        let inner = Self::named(block, count);
        *count += 1;
        Self::Sequence(vec![inner, Self::Step(format!("last{count}"))])
    }

    /// The step that the block begins with.
    pub(crate) fn head(&self) -> &str {
        match self {
            Self::Step(head)
            | Self::Loop(head)
            | Self::Split { head, .. }
            | Self::Foreach { head, .. }
            | Self::Switch { head, .. } => head,
            Self::Sequence(shapes) => shapes[0].head(),
        }
    }

    /// The steps of a whole flow.
    pub(crate) fn nodes(&self) -> Vec<Node> {
        let mut nodes = Vec::new();
        self.add_nodes("", &mut nodes);
        let end = nodes.last_mut().expect("a flow has an end");
        *end = new_node("end", NodeKind::End, &[]);
        nodes
    }

    fn add_nodes(&self, next: &str, nodes: &mut Vec<Node>) {
        match self {
            Self::Step(name) if next.is_empty() => {
                nodes.push(new_node(name, NodeKind::End, &[]));
            }
            Self::Step(name) => nodes.push(new_node(name, NodeKind::Linear, &[next])),
            Self::Loop(name) => nodes.push(new_node(name, NodeKind::SplitSwitch, &[name, next])),
            Self::Sequence(shapes) => {
                for (i, shape) in shapes.iter().enumerate() {
                    let after = shapes.get(i + 1).map_or(next, Self::head);
                    shape.add_nodes(after, nodes);
                }
            }
            Self::Split {
                head,
                branches,
                join,
            } => {
                let heads: Vec<&str> = branches.iter().map(Self::head).collect();
                nodes.push(new_node(head, NodeKind::Split, &heads));
                for branch in branches {
                    branch.add_nodes(join, nodes);
                }
                nodes.push(new_node(join, NodeKind::Join, &[next]));
            }
            Self::Foreach { head, body, join } => {
                nodes.push(new_node(head, NodeKind::Foreach, &[body.head()]));
                body.add_nodes(join, nodes);
                nodes.push(new_node(join, NodeKind::Join, &[next]));
            }
            Self::Switch { head, cases } => {
                let heads: Vec<&str> = cases.iter().map(Self::head).collect();
                nodes.push(new_node(head, NodeKind::SplitSwitch, &heads));
                for case in cases {
                    case.add_nodes(next, nodes);
                }
            }
        }
    }
}
