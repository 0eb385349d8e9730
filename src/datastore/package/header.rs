//! Headers of a tar as Python's `tarfile` writes them in its default format, PAX (Lib/tarfile.py,
//! `TarInfo.create_pax_header`): a ustar block, and before it one with the records that do not fit into it.

use std::fmt::Write as _;

/// Tar counts in blocks of this size.
pub(super) const BLOCK: usize = 512;
/// Python fills the end of an archive up to a multiple of this (`tarfile.RECORDSIZE`).
pub(super) const RECORD: u64 = 10_240;
/// The time of all members (tar_backend.py: "Dec 3, 2019"), so that a package tells contents and not dates.
pub(super) const MTIME: u64 = 1_575_360_000;
/// Numbers of eight octal digits less one, and of twelve less one.
const MAX_SHORT: u64 = 0o7_777_777;
const MAX_LONG: u64 = 0o77_777_777_777;

/// A member as its header tells it.
#[derive(Debug)]
pub(super) struct Header<'a> {
    pub(super) name: &'a str,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) size: u64,
    pub(super) user: &'a str,
    pub(super) group: &'a str,
}

impl<'a> Header<'a> {
    /// Content that is in no file: the defaults of `tarfile.TarInfo`.
    pub(super) fn of_data(name: &'a str, size: u64) -> Self {
        Self {
            name,
            mode: 0o644,
            uid: 0,
            gid: 0,
            size,
            user: "",
            group: "",
        }
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let records = self.records();
        if !records.is_empty() {
            let extension = Header {
                mode: 0,
                ..Header::of_data("././@PaxHeader", records.len() as u64)
            };
            bytes.extend(extension.block(b'x', 0));
            bytes.extend(&records);
            bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
        }
        bytes.extend(self.block(b'0', MTIME));
        bytes
    }

    /// What the ustar block cannot say, in Python's order.
    fn records(&self) -> Vec<u8> {
        let mut records = String::new();
        for (keyword, value, length) in [
            ("path", self.name, 100),
            ("uname", self.user, 32),
            ("gname", self.group, 32),
        ] {
            if !value.is_ascii() || value.len() > length {
                record(&mut records, keyword, value);
            }
        }
        for (keyword, value, max) in [
            ("uid", u64::from(self.uid), MAX_SHORT),
            ("gid", u64::from(self.gid), MAX_SHORT),
            ("size", self.size, MAX_LONG),
        ] {
            if value > max {
                record(&mut records, keyword, &value.to_string());
            }
        }
        records.into_bytes()
    }

    fn block(&self, kind: u8, mtime: u64) -> [u8; BLOCK] {
        let mut block = [0; BLOCK];
        text(&mut block[..100], self.name);
        octal(&mut block[100..108], u64::from(self.mode & 0o7777));
        octal(
            &mut block[108..116],
            fitting(u64::from(self.uid), MAX_SHORT),
        );
        octal(
            &mut block[116..124],
            fitting(u64::from(self.gid), MAX_SHORT),
        );
        octal(&mut block[124..136], fitting(self.size, MAX_LONG));
        octal(&mut block[136..148], mtime);
        block[148..156].fill(b' ');
        block[156] = kind;
        block[257..265].copy_from_slice(b"ustar\x0000");
        text(&mut block[265..297], self.user);
        text(&mut block[297..329], self.group);
        let sum: u64 = block.iter().map(|&byte| u64::from(byte)).sum();
        octal(&mut block[148..155], sum);
        block
    }
}

/// A record is preceded by its own length, which counts itself.
fn record(records: &mut String, keyword: &str, value: &str) {
    let rest = keyword.len() + value.len() + 3;
    let mut length = rest;
    while length != rest + digits(length) {
        length = rest + digits(length);
    }
    let _ = writeln!(records, "{length} {keyword}={value}");
}

fn digits(number: usize) -> usize {
    number.checked_ilog10().unwrap_or(0) as usize + 1
}

/// Python's `encode("ascii", "replace")`, cut off at the end of the field.
fn text(field: &mut [u8], value: &str) {
    for (byte, character) in field.iter_mut().zip(value.chars()) {
        *byte = if character.is_ascii() {
            character as u8
        } else {
            b'?'
        };
    }
}

/// Octal digits that fill the field but for a final NUL.
fn octal(field: &mut [u8], value: u64) {
    let width = field.len() - 1;
    let digits = format!("{value:0width$o}");
    field[..width].copy_from_slice(&digits.as_bytes()[..width]);
    field[width] = 0;
}

/// A number that goes into a record is 0 in the block.
fn fitting(value: u64, max: u64) -> u64 {
    if value > max { 0 } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_member_is_one_block() {
        let bytes = Header::of_data("a.py", 5).to_bytes();
        assert_eq!(bytes.len(), BLOCK);
        assert_eq!(&bytes[..5], b"a.py\0");
        assert_eq!(
            &bytes[100..148],
            b"0000644\x000000000\x000000000\x0000000000005\x0013571413000\0"
        );
        assert_eq!(&bytes[148..157], b"006563\0 0");
    }

    #[test]
    fn the_length_of_a_record_counts_itself() {
        for (size, expected) in [(1, 9), (90, 99), (91, 101), (1000, 1011)] {
            let mut records = String::new();
            record(&mut records, "path", &"x".repeat(size));
            assert_eq!(records.len(), expected);
            assert!(
                records.starts_with(&format!("{expected} path=x")),
                "{records}"
            );
        }
    }

    #[test]
    fn what_does_not_fit_goes_into_records() {
        let long = "ä".repeat(60);
        let header = Header {
            uid: 3_000_000,
            ..Header::of_data(&long, MAX_LONG + 1)
        };
        let bytes = header.to_bytes();
        assert_eq!(bytes.len(), 3 * BLOCK);
        let records = String::from_utf8_lossy(&bytes[BLOCK..2 * BLOCK]);
        let records = records.trim_end_matches('\0');
        assert_eq!(
            records,
            format!("130 path={long}\n15 uid=3000000\n19 size=8589934592\n")
        );
        assert_eq!(
            &bytes[2 * BLOCK..2 * BLOCK + 61],
            [&[b'?'; 60][..], b"\0"].concat()
        );
        assert_eq!(&bytes[2 * BLOCK + 108..][..16], b"0000000\x000000000\0");
    }
}
