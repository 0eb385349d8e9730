//! What a pickle holds.

/// A value read from a pickle.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `None`.
    None,
    /// `True` or `False`.
    Bool(bool),
    /// An integer that fits 64 bits.
    Int(i64),
    /// Any other integer: two's complement, least significant byte first, as short as possible.
    BigInt(Vec<u8>),
    /// A `float`.
    Float(f64),
    /// A `str`.
    Str(String),
    /// A `bytes` or `bytearray`.
    Bytes(Vec<u8>),
    /// A `list`.
    List(Vec<Value>),
    /// A `tuple`.
    Tuple(Vec<Value>),
    /// A `dict`: keys and values in the order in which they were set, later ones for an equal
    /// key behind earlier ones.
    Dict(Vec<(Value, Value)>),
    /// A `set` or `frozenset`, in the order in which it was written.
    Set(Vec<Value>),
    /// A class or function, by name.
    Global {
        /// Its module, such as `builtins`.
        module: String,
        /// Its qualified name inside the module.
        name: String,
    },
    /// An object that a call would make.
    Object(Box<Object>),
}

/// An object as its pickle describes it. Protocol 2 writes `bytes` and `set` in this way, too.
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    /// Module of the class or function to call.
    pub module: String,
    /// Qualified name of the class or function to call.
    pub name: String,
    /// Arguments of the call.
    pub args: Vec<Value>,
    /// What `__setstate__` would get, or the attributes.
    pub state: Option<Value>,
    /// What would be appended (subclasses of `list`, `deque`).
    pub elements: Vec<Value>,
    /// What would be set by key (subclasses of `dict`, `OrderedDict`).
    pub entries: Vec<(Value, Value)>,
}

impl Value {
    /// Whether it is `None`.
    pub fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }

    /// The truth of a `bool`.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// The value of an integer that fits 64 bits; a `bool` is none.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Int(value) => Some(*value),
            _ => None,
        }
    }

    /// The text of a `str`.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Str(value) => Some(value),
            _ => None,
        }
    }

    /// The elements of a `list` or `tuple`.
    pub fn as_sequence(&self) -> Option<&[Value]> {
        match self {
            Self::List(values) | Self::Tuple(values) => Some(values),
            _ => None,
        }
    }
}

/// Cuts bytes off the end of a little-endian two's complement that its sign does not need;
/// zero needs none.
pub(super) fn shortest_twos_complement(bytes: &[u8]) -> &[u8] {
    let mut bytes = bytes;
    loop {
        match bytes {
            [0] => return &[],
            [rest @ .., below, 0] if *below < 0x80 => bytes = &bytes[..=rest.len()],
            [rest @ .., below, 0xff] if *below >= 0x80 => bytes = &bytes[..=rest.len()],
            _ => return bytes,
        }
    }
}
