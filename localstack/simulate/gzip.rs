//! Compressed archives, one after the other.

use std::{cell::RefCell, io};

use flate2::{Compress, Compression, Crc, FlushCompress, Status};

/// A member without name and time, made on a system that is not told (RFC 1952).
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

thread_local! {
    /// One for all archives of a thread. The C library does not get the memory of a compressor together again, which is a
    /// quarter of a megabyte, aligned: of each new one more would stay behind than of its task.
    static COMPRESSOR: RefCell<Compress> = RefCell::new(Compress::new(Compression::fast(), false));
}

/// Compresses all of it.
pub(super) fn gzip(data: &[u8]) -> io::Result<Vec<u8>> {
    let mut packed = HEADER.to_vec();
    COMPRESSOR.with_borrow_mut(|compressor| {
        compressor.reset();
        loop {
            packed.reserve(data.len() / 4 + 64);
            let read = usize::try_from(compressor.total_in()).map_err(io::Error::other)?;
            let rest = data.get(read..).unwrap_or_default();
            if compressor.compress_vec(rest, &mut packed, FlushCompress::Finish)?
                == Status::StreamEnd
            {
                return io::Result::Ok(());
            }
        }
    })?;
    let mut crc = Crc::new();
    crc.update(data);
    packed.extend(crc.sum().to_le_bytes());
    packed.extend(crc.amount().to_le_bytes());
    Ok(packed)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::GzDecoder;

    use super::*;

    #[test]
    fn what_was_compressed_is_read_again() {
        let long: Vec<u8> = (0..200_000_u32)
            .flat_map(|n| n.wrapping_mul(n).to_le_bytes())
            .collect();
        for data in [&b""[..], b"a few words", &long, b"and more"] {
            let mut read = Vec::new();
            let packed = gzip(data).unwrap();
            GzDecoder::new(packed.as_slice())
                .read_to_end(&mut read)
                .unwrap();
            assert_eq!(read, data);
        }
    }
}
