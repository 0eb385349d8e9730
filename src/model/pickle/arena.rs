//! The values that a pickle builds, before they are unfolded: a pickle may refer to one list
//! from several places and append to it later, and may even put it into itself.

use super::{
    MAX_DEPTH, MAX_RESULT_BYTES, MAX_VALUES, Object, PickleErrorKind,
    PickleErrorKind::{Stack, TooDeep, TooMuch},
    Value,
};

/// Place of a value in the [`Arena`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Id(u32);

/// A value whose parts are in the arena, too.
#[derive(Debug)]
pub(super) enum Node {
    /// A value without parts.
    Leaf(Value),
    /// A class or function; both parts are texts.
    Global {
        module: Id,
        name: Id,
    },
    List(Vec<Id>),
    Tuple(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    Set(Vec<Id>),
    Object(Box<ObjectNode>),
}

/// An [`Object`] whose parts are in the arena. Nothing is copied into it: a short pickle may
/// refer to a long text or tuple very often.
#[derive(Debug)]
pub(super) struct ObjectNode {
    /// A [`Node::Global`].
    callee: Id,
    /// A [`Node::Tuple`].
    args: Id,
    pub(super) state: Option<Id>,
    pub(super) elements: Vec<Id>,
    pub(super) entries: Vec<(Id, Id)>,
}

impl ObjectNode {
    pub(super) fn new(callee: Id, args: Id) -> Self {
        Self {
            callee,
            args,
            state: None,
            elements: Vec::new(),
            entries: Vec::new(),
        }
    }
}

/// All values that a pickle has built so far.
#[derive(Debug, Default)]
pub(super) struct Arena {
    nodes: Vec<Node>,
}

impl Arena {
    pub(super) fn add(&mut self, node: Node) -> Result<Id, PickleErrorKind> {
        if self.nodes.len() >= MAX_VALUES {
            return Err(TooMuch);
        }
        self.nodes.push(node);
        Ok(Id(self.nodes.len() as u32 - 1))
    }

    pub(super) fn node(&self, id: Id) -> &Node {
        &self.nodes[id.0 as usize]
    }

    pub(super) fn node_mut(&mut self, id: Id) -> &mut Node {
        &mut self.nodes[id.0 as usize]
    }

    /// The value with all its parts, each shared one copied to where it is referred to.
    pub(super) fn unfold(&self, id: Id) -> Result<Value, PickleErrorKind> {
        Unfolding {
            arena: self,
            values: MAX_VALUES,
            bytes: MAX_RESULT_BYTES,
        }
        .value(id, 0)
    }
}

struct Unfolding<'a> {
    arena: &'a Arena,
    /// Values that may still be made.
    values: usize,
    /// Bytes of text and data that may still be copied.
    bytes: usize,
}

impl Unfolding<'_> {
    fn value(&mut self, id: Id, depth: usize) -> Result<Value, PickleErrorKind> {
        if depth > MAX_DEPTH {
            return Err(TooDeep);
        }
        self.values = self.values.checked_sub(1).ok_or(TooMuch)?;
        let depth = depth + 1;
        Ok(match self.arena.node(id) {
            Node::Leaf(value) => {
                self.bytes = self.bytes.checked_sub(leaf_bytes(value)).ok_or(TooMuch)?;
                value.clone()
            }
            Node::Global { module, name } => Value::Global {
                module: self.text(*module)?,
                name: self.text(*name)?,
            },
            Node::List(ids) => Value::List(self.all(ids, depth)?),
            Node::Tuple(ids) => Value::Tuple(self.all(ids, depth)?),
            Node::Set(ids) => Value::Set(self.all(ids, depth)?),
            Node::Dict(entries) => Value::Dict(self.pairs(entries, depth)?),
            Node::Object(object) => Value::Object(Box::new(self.object(object, depth)?)),
        })
    }

    fn object(&mut self, object: &ObjectNode, depth: usize) -> Result<Object, PickleErrorKind> {
        let (Node::Global { module, name }, Node::Tuple(args)) =
            (self.arena.node(object.callee), self.arena.node(object.args))
        else {
            return Err(Stack);
        };
        Ok(Object {
            module: self.text(*module)?,
            name: self.text(*name)?,
            args: self.all(args, depth)?,
            state: object
                .state
                .map(|state| self.value(state, depth))
                .transpose()?,
            elements: self.all(&object.elements, depth)?,
            entries: self.pairs(&object.entries, depth)?,
        })
    }

    fn text(&mut self, id: Id) -> Result<String, PickleErrorKind> {
        match self.value(id, 0)? {
            Value::Str(text) => Ok(text),
            _ => Err(Stack),
        }
    }

    fn all(&mut self, ids: &[Id], depth: usize) -> Result<Vec<Value>, PickleErrorKind> {
        ids.iter().map(|id| self.value(*id, depth)).collect()
    }

    fn pairs(
        &mut self,
        entries: &[(Id, Id)],
        depth: usize,
    ) -> Result<Vec<(Value, Value)>, PickleErrorKind> {
        entries
            .iter()
            .map(|(key, value)| Ok((self.value(*key, depth)?, self.value(*value, depth)?)))
            .collect()
    }
}

fn leaf_bytes(value: &Value) -> usize {
    match value {
        Value::Str(text) => text.len(),
        Value::Bytes(bytes) | Value::BigInt(bytes) => bytes.len(),
        _ => 0,
    }
}
