//! The tar: headers, contents, and the watch over files that change while they are read.

use std::{fs::File, io, path::Path};

use super::{
    PackageError, Source, bytecode,
    compress::Chunks,
    header::{BLOCK, Header, RECORD},
    member::{Listed, Snapshot, changing, unreadable},
    owners::Owners,
};

/// What one read asks for at most, so that other threads are not waited for long.
const READ: usize = 256 << 10;

/// Puts the whole tar into `chunks`.
pub(super) fn write(
    listed: &Listed<'_>,
    owners: &mut Owners,
    chunks: &mut Chunks,
) -> Result<(), PackageError> {
    for (member, snapshot) in listed {
        match (&member.source, snapshot) {
            (Source::Data(data), _) => {
                chunks.put(&Header::of_data(&member.name, data.len() as u64).to_bytes());
                chunks.put(data);
            }
            (Source::File(path), Some(snapshot)) => {
                chunks.put(&header(&member.name, snapshot, owners).to_bytes());
                put_file(path, snapshot, chunks)?;
            }
            (Source::Bytecode(path, header), Some(snapshot)) => {
                let bytes = bytecode::read(path, header, snapshot)?;
                chunks.put(&Header::of_data(&member.name, bytes.len() as u64).to_bytes());
                chunks.put(&bytes);
            }
            (Source::File(path) | Source::Bytecode(path, _), None) => return Err(changing(path)),
        }
        pad(chunks, BLOCK as u64);
        if !chunks.wanted() {
            return Ok(());
        }
    }
    chunks.put_zeros(2 * BLOCK);
    pad(chunks, RECORD);
    Ok(())
}

fn header<'a>(name: &'a str, file: &Snapshot, owners: &'a mut Owners) -> Header<'a> {
    let (user, group) = owners.both(file.uid, file.gid);
    Header {
        name,
        mode: file.mode,
        uid: file.uid,
        gid: file.gid,
        size: file.size,
        user,
        group,
    }
}

/// The content of a file, if it is the file that was listed, and still is after the last byte.
fn put_file(path: &Path, listed: &Snapshot, chunks: &mut Chunks) -> Result<(), PackageError> {
    let unreadable = |error| unreadable(path, error);
    let mut file = File::open(path).map_err(|error| match error.kind() {
        // It was there a moment ago, when it was listed.
        io::ErrorKind::NotFound => changing(path),
        _ => unreadable(error),
    })?;
    let is_the_same = |file: &File| Ok::<_, io::Error>(Snapshot::of(&file.metadata()?) == *listed);
    if !is_the_same(&file).map_err(unreadable)? {
        return Err(changing(path));
    }
    let mut left = listed.size;
    while left > 0 && chunks.wanted() {
        let limit = usize::try_from(left).unwrap_or(READ).min(READ);
        match chunks.put_some(&mut file, limit) {
            Ok(0) => return Err(changing(path)),
            Ok(count) => left -= count as u64,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(unreadable(error)),
        }
    }
    if is_the_same(&file).map_err(unreadable)? {
        Ok(())
    } else {
        Err(changing(path))
    }
}

/// Zeros up to a multiple of `unit`.
fn pad(chunks: &mut Chunks, unit: u64) {
    let missing = chunks.total().next_multiple_of(unit) - chunks.total();
    chunks.put_zeros(missing as usize);
}
