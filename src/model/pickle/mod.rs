//! The part of Python's pickle format that Metaflow's own artifacts need, without Python.
//!
//! [`read`] runs no code: what a pickle would call is kept as data. [`mod@write`] makes the few
//! values whose bytes, and so whose content address, are known beforehand. Arbitrary artifacts
//! of users are not meant to be read here.

mod arena;
mod error;
mod input;
mod machine;
mod opcode;
mod value;
pub mod write;

pub use error::{PickleError, PickleErrorKind};
pub use machine::read;
pub use value::{Object, Value};

/// The most bytes of a pickle that [`read`] looks at.
pub const MAX_INPUT_BYTES: usize = 16 << 20;
/// How deep values may be nested.
pub const MAX_DEPTH: usize = 100;
/// The most values that a pickle may build, on the way and in the result, where a value that
/// is shared counts as often as it occurs.
pub const MAX_VALUES: usize = 1 << 20;
/// The most bytes of text and binary data in the result, counted as often as they occur.
pub const MAX_RESULT_BYTES: usize = 64 << 20;

#[cfg(test)]
mod tests;
