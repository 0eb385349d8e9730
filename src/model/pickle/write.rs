//! Pickles of the values that Metaflow's scheduler reads, byte for byte as CPython's C pickler
//! writes them in protocol 4 (Modules/_pickle.c), so that their SHA-1 is the content address
//! under which Metaflow stores them.
//!
//! Only the layout without repeated objects is made: CPython writes a string that occurs twice
//! *as the same object* as a reference, which cannot be known from the values.

use super::{opcode, value::shortest_twos_complement};

const PROTOCOL: [u8; 2] = [opcode::PROTO, 4];
/// Shorter contents get no frame (`FRAME_SIZE_MIN`).
const FRAME_FROM_BYTES: usize = 4;
/// Elements that one `APPENDS` takes (`BATCHSIZE`).
const BATCH: usize = 1000;

/// The pickle of `None`.
pub fn none() -> Vec<u8> {
    framed(&[opcode::NONE])
}

/// The pickle of a `bool`.
pub fn bool(value: bool) -> Vec<u8> {
    framed(&[if value {
        opcode::NEWTRUE
    } else {
        opcode::NEWFALSE
    }])
}

/// The pickle of `[]`.
pub fn empty_list() -> Vec<u8> {
    framed(&[opcode::EMPTY_LIST, opcode::MEMOIZE])
}

/// The pickle of an `int`.
pub fn int(value: i64) -> Vec<u8> {
    let mut body = Vec::with_capacity(10);
    if let Ok(value) = u8::try_from(value) {
        body.extend([opcode::BININT1, value]);
    } else if let Ok(value) = u16::try_from(value) {
        body.push(opcode::BININT2);
        body.extend(value.to_le_bytes());
    } else if let Ok(value) = i32::try_from(value) {
        body.push(opcode::BININT);
        body.extend(value.to_le_bytes());
    } else {
        let bytes = value.to_le_bytes();
        let bytes = shortest_twos_complement(&bytes);
        body.extend([opcode::LONG1, bytes.len() as u8]);
        body.extend(bytes);
    }
    framed(&body)
}

/// The pickle of `([next, …], foreach)`, the `_transition` of a task: the names of the next
/// steps, and the name of the variable that the foreach runs over, if it is one.
pub fn transition(next: &[&str], foreach: Option<&str>) -> Vec<u8> {
    let mut body = vec![opcode::EMPTY_LIST, opcode::MEMOIZE];
    if let [name] = next {
        text(&mut body, name);
        body.push(opcode::APPEND);
    } else {
        for batch in next.chunks(BATCH) {
            body.push(opcode::MARK);
            for name in batch {
                text(&mut body, name);
            }
            body.push(opcode::APPENDS);
        }
    }
    match foreach {
        None => body.push(opcode::NONE),
        Some(variable) => text(&mut body, variable),
    }
    body.extend([opcode::TUPLE2, opcode::MEMOIZE]);
    framed(&body)
}

fn text(body: &mut Vec<u8>, text: &str) {
    if let Ok(length) = u8::try_from(text.len()) {
        body.extend([opcode::SHORT_BINUNICODE, length]);
    } else {
        body.push(opcode::BINUNICODE);
        body.extend((text.len() as u32).to_le_bytes());
    }
    body.extend(text.as_bytes());
    body.push(opcode::MEMOIZE);
}

fn framed(body: &[u8]) -> Vec<u8> {
    let mut pickle = PROTOCOL.to_vec();
    let length = body.len() + 1;
    if length >= FRAME_FROM_BYTES {
        pickle.push(opcode::FRAME);
        pickle.extend((length as u64).to_le_bytes());
    }
    pickle.extend(body);
    pickle.push(opcode::STOP);
    pickle
}
