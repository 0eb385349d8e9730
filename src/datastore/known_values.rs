//! Recognising the values of scheduler artifacts by their content address, without reading them.
//!
//! The addresses of what a task may say are computed from the graph. Only the name of a foreach's
//! variable is not in the graph; it is learned from the first such task of a run.

use std::{
    collections::HashMap,
    sync::{Mutex, OnceLock, PoisonError},
};

use model::{
    Graph, StepName,
    pickle::{Value, write},
};

use crate::cas::BlobKey;

/// Widths of foreaches up to this are recognised; the table takes a few milliseconds to make.
const MAX_KNOWN_SPLITS: u32 = 10_000;
/// The most values that are learned.
const MAX_LEARNED: usize = 4096;

/// The value of a scheduler artifact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Known {
    None,
    Bool(bool),
    Int(i64),
    /// `([next, …], foreach variable or None)`
    Transition {
        next: Vec<StepName>,
        foreach: Option<String>,
    },
    /// Something that the scheduler does not expect.
    Other,
}

/// Values of scheduler artifacts by content address: one table per run.
#[derive(Debug)]
pub struct KnownValues {
    fixed: HashMap<BlobKey, Known>,
    max_splits: u32,
    splits: OnceLock<HashMap<BlobKey, i64>>,
    learned: Mutex<HashMap<BlobKey, Known>>,
}

impl KnownValues {
    /// Computes what tasks of this graph may say. The widths of foreaches, from 0 to
    /// `max_splits` children but at most 10 000, follow when the first foreach is met.
    pub fn new(graph: &Graph, max_splits: u32) -> Self {
        let mut fixed = HashMap::from([
            (BlobKey::of(&write::none()), Known::None),
            (BlobKey::of(&write::bool(true)), Known::Bool(true)),
            (BlobKey::of(&write::bool(false)), Known::Bool(false)),
        ]);
        for node in &graph.nodes {
            // A switch takes one of them; `@catch` names all (catch_decorator.py).
            let one_each = node.next.iter().map(std::slice::from_ref);
            for next in one_each.chain([node.next.as_slice()]) {
                let names: Vec<&str> = next.iter().map(StepName::as_str).collect();
                let value = Known::Transition {
                    next: next.to_vec(),
                    foreach: None,
                };
                fixed.insert(BlobKey::of(&write::transition(&names, None)), value);
            }
        }
        Self {
            fixed,
            max_splits: max_splits.min(MAX_KNOWN_SPLITS),
            splits: OnceLock::new(),
            learned: Mutex::default(),
        }
    }

    /// The value at an address, if it is known.
    pub(crate) fn get(&self, key: BlobKey) -> Option<Known> {
        if let Some(value) = self.fixed.get(&key) {
            return Some(value.clone());
        }
        let learned = self.learned.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = learned.get(&key) {
            return Some(value.clone());
        }
        drop(learned);
        self.splits().get(&key).copied().map(Known::Int)
    }

    /// Remembers a value that had to be read.
    pub(crate) fn learn(&self, key: BlobKey, value: &Known) {
        let mut learned = self.learned.lock().unwrap_or_else(PoisonError::into_inner);
        if learned.len() < MAX_LEARNED {
            learned.insert(key, value.clone());
        }
    }

    fn splits(&self) -> &HashMap<BlobKey, i64> {
        self.splits.get_or_init(|| {
            let widths = (0..=self.max_splits).map(i64::from);
            widths
                .map(|width| (BlobKey::of(&write::int(width)), width))
                .collect()
        })
    }
}

impl From<&Value> for Known {
    fn from(value: &Value) -> Self {
        match value {
            Value::None => Self::None,
            Value::Bool(value) => Self::Bool(*value),
            Value::Int(value) => Self::Int(*value),
            Value::Tuple(parts) => transition(parts).unwrap_or(Self::Other),
            _ => Self::Other,
        }
    }
}

fn transition(parts: &[Value]) -> Option<Known> {
    let [next, foreach] = parts else { return None };
    let next = next
        .as_sequence()?
        .iter()
        .map(|name| StepName::new(name.as_str()?).ok());
    let foreach = match foreach {
        Value::None => None,
        variable => Some(variable.as_str()?.to_owned()),
    };
    Some(Known::Transition {
        next: next.collect::<Option<_>>()?,
        foreach,
    })
}
