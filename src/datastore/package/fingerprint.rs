//! By what a package is found again without reading its files.

use sha2::{Digest, Sha256};

use super::{
    Source,
    member::{Listed, Snapshot},
    owners::Owners,
};

/// To be counted up when the same members come to give other bytes.
const FORMAT: &[u8] = b"ferroflow code package 1";

/// Tells apart any two lists of members with different names, data, or states of files; 64 hexadecimal digits.
pub(super) fn of(listed: &Listed<'_>, owners: &mut Owners) -> String {
    let mut hash = Sha256::new();
    text(&mut hash, FORMAT);
    // Compression may differ between versions of the library.
    text(&mut hash, env!("CARGO_PKG_VERSION").as_bytes());
    for (member, snapshot) in listed {
        text(&mut hash, member.name.as_bytes());
        match (&member.source, snapshot) {
            (Source::Data(data), _) => {
                hash.update(b"d");
                text(&mut hash, data);
            }
            (Source::File(path) | Source::Bytecode(path, _), snapshot) => {
                let is_file = matches!(member.source, Source::File(_));
                hash.update(if is_file { b"f" } else { b"b" });
                text(&mut hash, path.as_os_str().as_encoded_bytes());
                if let Some(snapshot) = snapshot {
                    file(&mut hash, snapshot, owners);
                }
            }
        }
    }
    hex::encode(hash.finalize())
}

fn file(hash: &mut Sha256, file: &Snapshot, owners: &mut Owners) {
    for number in [file.size, file.device, file.inode] {
        hash.update(number.to_le_bytes());
    }
    for number in [file.mode, file.uid, file.gid] {
        hash.update(number.to_le_bytes());
    }
    for (seconds, nanoseconds) in [file.modified, file.changed] {
        hash.update(seconds.to_le_bytes());
        hash.update(nanoseconds.to_le_bytes());
    }
    let (user, group) = owners.both(file.uid, file.gid);
    text(hash, user.as_bytes());
    text(hash, group.as_bytes());
}

/// With its length, so that what follows cannot be taken for its end.
fn text(hash: &mut Sha256, text: &[u8]) {
    hash.update((text.len() as u64).to_le_bytes());
    hash.update(text);
}
