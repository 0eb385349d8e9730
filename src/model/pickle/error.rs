//! Why a pickle could not be read.

/// Why a pickle could not be read, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("failed to read a pickle at byte {offset}: {kind}")]
pub struct PickleError {
    /// Offset of the opcode at fault, in bytes from the start.
    pub offset: usize,
    /// What is wrong.
    pub kind: PickleErrorKind,
}

/// What is wrong with a pickle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PickleErrorKind {
    /// The pickle has more bytes than [`MAX_INPUT_BYTES`](super::MAX_INPUT_BYTES).
    #[error("it is too large")]
    TooLarge,
    /// It does not begin with a protocol from 2 to 5.
    #[error("its protocol is not supported")]
    Protocol,
    /// It uses an opcode outside the supported part of the format.
    #[error("opcode {0:#04x} is not supported")]
    Unsupported(u8),
    /// It ends in the middle.
    #[error("it ends too early")]
    Truncated,
    /// An opcode found less on the stack than it takes, or something else than it takes.
    #[error("the stack does not hold what the opcode takes")]
    Stack,
    /// A reference to something that was never put into the memo.
    #[error("it refers to memo entry {0}, which is not set")]
    Memo(u32),
    /// A `str` is not UTF-8.
    #[error("a text is not UTF-8")]
    NotUtf8,
    /// Values are nested deeper than [`MAX_DEPTH`](super::MAX_DEPTH), or contain themselves.
    #[error("its values are nested too deep")]
    TooDeep,
    /// More values than [`MAX_VALUES`](super::MAX_VALUES), or more bytes in them than
    /// [`MAX_RESULT_BYTES`](super::MAX_RESULT_BYTES).
    #[error("it unfolds to too much")]
    TooMuch,
}
