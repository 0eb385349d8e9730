//! Reading operands off the bytes of a pickle.

use super::{
    PickleErrorKind,
    PickleErrorKind::{NotUtf8, Truncated},
};

/// The bytes of a pickle, and how far they have been read.
#[derive(Debug)]
pub(super) struct Input<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Input<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, offset: 0 }
    }

    /// Bytes read so far.
    pub(super) fn offset(&self) -> usize {
        self.offset
    }

    pub(super) fn byte(&mut self) -> Result<u8, PickleErrorKind> {
        self.array().map(|[byte]| byte)
    }

    /// The next bytes as an array, for the `from_le_bytes` of numbers.
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], PickleErrorKind> {
        self.slice(N)?.try_into().map_err(|_| Truncated)
    }

    /// The next `length` bytes. Nothing is reserved for a length that the input does not have.
    pub(super) fn slice(&mut self, length: usize) -> Result<&'a [u8], PickleErrorKind> {
        let end = self.offset.checked_add(length).ok_or(Truncated)?;
        let slice = self.bytes.get(self.offset..end).ok_or(Truncated)?;
        self.offset = end;
        Ok(slice)
    }

    /// Bytes behind their length in one byte.
    pub(super) fn slice_1(&mut self) -> Result<&'a [u8], PickleErrorKind> {
        let length = self.byte()?;
        self.slice(length.into())
    }

    /// Bytes behind their length in four bytes.
    pub(super) fn slice_4(&mut self) -> Result<&'a [u8], PickleErrorKind> {
        let length = u32::from_le_bytes(self.array()?);
        self.slice(usize::try_from(length).map_err(|_| Truncated)?)
    }

    /// Bytes behind their length in eight bytes.
    pub(super) fn slice_8(&mut self) -> Result<&'a [u8], PickleErrorKind> {
        let length = u64::from_le_bytes(self.array()?);
        self.slice(usize::try_from(length).map_err(|_| Truncated)?)
    }

    /// Text up to the end of a line, without it.
    pub(super) fn line(&mut self) -> Result<String, PickleErrorKind> {
        let rest = &self.bytes[self.offset..];
        let length = rest
            .iter()
            .position(|byte| *byte == b'\n')
            .ok_or(Truncated)?;
        let line = text(self.slice(length)?)?;
        self.byte()?;
        Ok(line)
    }
}

/// The bytes as text.
pub(super) fn text(bytes: &[u8]) -> Result<String, PickleErrorKind> {
    std::str::from_utf8(bytes)
        .map(str::to_owned)
        .map_err(|_| NotUtf8)
}
