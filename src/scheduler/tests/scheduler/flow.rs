//! A small language for plans.
//!
//! One line per step, the first step first and the last step last: `a -> b`, `a -> b c` (split),
//! `a => b` (foreach), `a ? b c` (switch), `join a -> b`, `a` (no successor).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use model::{
    FlowName, Graph, Node, NodeKind, Plan, RunId, StepName, StepPlan,
    plan::{
        AwsSettings, ConsoleSettings, DatastoreKind, DatastoreSettings, Limits, PLAN_VERSION,
        Retry, S3Settings,
    },
};

pub(crate) fn name(step: &str) -> StepName {
    StepName::new(step).expect("a step name")
}

pub(crate) fn plan(lines: &[&str]) -> Plan {
    let nodes: Vec<Node> = lines.iter().map(|line| node(line)).collect();
    let start = nodes[0].name.clone();
    let end = nodes[nodes.len() - 1].name.clone();
    plan_of(nodes, start, end)
}

/// A plan from nodes that do not know their predecessors and open splits yet.
pub(crate) fn plan_of(nodes: Vec<Node>, start: StepName, end: StepName) -> Plan {
    let mut graph = Graph { start, end, nodes };
    for node in &mut graph.nodes {
        if node.name == graph.start && node.kind == NodeKind::Linear {
            node.kind = NodeKind::Start;
        }
    }
    traverse(&mut graph);
    let step = StepPlan {
        retry: Retry::default(),
        batch: false,
        timeout: false,
    };
    Plan {
        version: PLAN_VERSION,
        flow: FlowName::new("Flow").expect("a flow name"),
        run: RunId::new("1").expect("a run id"),
        params: "1/_parameters/0".parse().expect("a task path"),
        steps: graph
            .nodes
            .iter()
            .map(|node| (node.name.clone(), step.clone()))
            .collect(),
        graph,
        limits: Limits {
            max_workers: 16,
            max_num_splits: 100,
            max_log_size: 1 << 20,
        },
        datastore: DatastoreSettings {
            kind: DatastoreKind::Local,
            root: "root".to_owned(),
        },
        metadata: "local".to_owned(),
        metadata_root: None,
        s3: S3Settings::default(),
        aws: AwsSettings::default(),
        console: ConsoleSettings {
            color: false,
            quiet: true,
        },
        ends_with_host: false,
        origin: None,
        taken_from: None,
        tasks_made: None,
    }
}

pub(crate) fn new_node(step: &str, kind: NodeKind, next: &[&str]) -> Node {
    Node {
        name: name(step),
        kind,
        next: next.iter().map(|step| name(step)).collect(),
        previous: Vec::new(),
        split_parents: Vec::new(),
        parallel_foreach: false,
    }
}

pub(crate) fn arc(plan: &Plan) -> Arc<Plan> {
    Arc::new(plan.clone())
}

fn node(line: &str) -> Node {
    let words: Vec<&str> = line.split(' ').collect();
    match words[..] {
        [step] => new_node(step, NodeKind::End, &[]),
        ["join", step, "->", ref next @ ..] => new_node(step, NodeKind::Join, next),
        [step, "->", next] => new_node(step, NodeKind::Linear, &[next]),
        [step, "->", ref next @ ..] => new_node(step, NodeKind::Split, next),
        [step, "=>", ref next @ ..] => new_node(step, NodeKind::Foreach, next),
        [step, "?", ref next @ ..] => new_node(step, NodeKind::SplitSwitch, next),
        _ => panic!("not a step: {line}"),
    }
}

/// Fills in what upstream finds out by walking the graph (metaflow/graph.py, `_traverse_graph`).
fn traverse(graph: &mut Graph) {
    let mut open = BTreeMap::from([(graph.start.clone(), Vec::new())]);
    let mut todo = vec![graph.start.clone()];
    while let Some(step) = todo.pop() {
        let Some(node) = graph.nodes.iter_mut().find(|node| node.name == step) else {
            continue;
        };
        node.split_parents.clone_from(&open[&step]);
        let mut inside = node.split_parents.clone();
        match node.kind {
            NodeKind::Split | NodeKind::Foreach => inside.push(step.clone()),
            NodeKind::Join => drop(inside.pop()),
            _ => {}
        }
        let node = node.clone();
        for next in &node.next {
            if open.insert(next.clone(), inside.clone()).is_none() {
                todo.push(next.clone());
            }
        }
    }
    let edges: BTreeSet<(StepName, StepName)> = graph
        .nodes
        .iter()
        .flat_map(|node| {
            node.next
                .iter()
                .map(|next| (next.clone(), node.name.clone()))
        })
        .collect();
    for node in &mut graph.nodes {
        node.previous = edges
            .iter()
            .filter(|(to, _)| *to == node.name)
            .map(|(_, from)| from.clone())
            .collect();
    }
}
