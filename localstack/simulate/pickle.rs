//! Pickles of the few artifacts that a step has besides its user's: protocol 4, as CPython writes it (Modules/_pickle.c).
//!
//! Foreach stacks are made of others without being understood: the opcodes of a pickle without its frame and its end are an
//! expression, which can stand in another. Each memoizes by count, and refers only to what it has memoized itself, so that
//! an expression may come first whatever follows it, and expressions that refer to nothing may follow.

const HEAD: [u8; 2] = [0x80, 4];
const FRAME: u8 = 0x95;
/// Shorter contents get no frame (`FRAME_SIZE_MIN`).
const FRAME_FROM_BYTES: usize = 4;
const STOP: u8 = b'.';

/// The opcodes of a value, without head, frame and end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Opcodes(Vec<u8>);

/// A value and the name of its type, as the index of artifacts has it.
#[derive(Debug, Clone)]
pub(super) struct Pickle {
    pub(super) bytes: Vec<u8>,
    pub(super) kind: &'static str,
}

impl Opcodes {
    /// Takes a pickle apart.
    pub(super) fn of(pickle: &[u8]) -> Option<Self> {
        let rest = pickle.strip_prefix(b"\x80")?.get(1..)?;
        let whole = match rest.strip_prefix(&[FRAME]) {
            Some(framed) => framed.get(8..)?,
            None => rest,
        };
        Some(Self(whole.strip_suffix(&[STOP])?.to_vec()))
    }

    fn pickle(&self, kind: &'static str) -> Pickle {
        let mut bytes = HEAD.to_vec();
        if self.0.len() + 1 >= FRAME_FROM_BYTES {
            bytes.push(FRAME);
            bytes.extend((self.0.len() as u64 + 1).to_le_bytes());
        }
        bytes.extend(&self.0);
        bytes.push(STOP);
        Pickle { bytes, kind }
    }
}

pub(super) fn none() -> Pickle {
    Opcodes(b"N".to_vec()).pickle("<class 'NoneType'>")
}

pub(super) fn boolean(value: bool) -> Pickle {
    let opcode = if value { 0x88 } else { 0x89 };
    Opcodes(vec![opcode]).pickle("<class 'bool'>")
}

pub(super) fn empty_list() -> Pickle {
    Opcodes(b"]\x94".to_vec()).pickle("<class 'list'>")
}

pub(super) fn text(value: &str) -> Pickle {
    let mut body = Vec::new();
    push_text(&mut body, value);
    Opcodes(body).pickle("<class 'str'>")
}

pub(super) fn int(value: u32) -> Pickle {
    let mut body = Vec::new();
    push_int(&mut body, value);
    Opcodes(body).pickle("<class 'int'>")
}

/// `([next, …], variable)`, the `_transition` of a task.
pub(super) fn transition(next: &[String], variable: Option<&str>) -> Pickle {
    let mut body = b"]\x94".to_vec();
    if let [name] = next {
        push_text(&mut body, name);
        body.push(b'a');
    } else {
        body.push(b'(');
        for name in next {
            push_text(&mut body, name);
        }
        body.push(b'e');
    }
    match variable {
        None => body.push(b'N'),
        Some(variable) => push_text(&mut body, variable),
    }
    body.extend(b"\x86\x94");
    Opcodes(body).pickle("<class 'tuple'>")
}

/// A foreach stack with one more frame; its value is left out.
pub(super) fn pushed(
    stack: &Opcodes,
    step: &str,
    variable: &Opcodes,
    splits: &Opcodes,
    index: u32,
) -> Pickle {
    let mut body = stack.0.clone();
    body.extend(b"cmetaflow.tuple_util\nForeachFrame\n(");
    push_text(&mut body, step);
    body.extend(&variable.0);
    body.extend(&splits.0);
    push_int(&mut body, index);
    // The value; then a tuple, `cls.__new__(cls, *tuple)`, and its place at the end of the list.
    body.extend(b"Nt\x81a");
    Opcodes(body).pickle("<class 'list'>")
}

/// A foreach stack without its last frame: `operator.getitem(stack, slice(None, -1))`.
pub(super) fn popped(stack: &Opcodes) -> Pickle {
    let mut body = b"coperator\ngetitem\n".to_vec();
    body.extend(&stack.0);
    body.extend(b"cbuiltins\nslice\nNJ\xff\xff\xff\xff\x86R\x86R");
    Opcodes(body).pickle("<class 'list'>")
}

fn push_text(body: &mut Vec<u8>, text: &str) {
    if let Ok(length) = u8::try_from(text.len()) {
        body.extend([0x8c, length]);
    } else {
        body.push(b'X');
        body.extend((text.len() as u32).to_le_bytes());
    }
    body.extend(text.as_bytes());
    body.push(0x94);
}

fn push_int(body: &mut Vec<u8>, value: u32) {
    if let Ok(value) = u8::try_from(value) {
        body.extend([b'K', value]);
    } else if let Ok(value) = u16::try_from(value) {
        body.push(b'M');
        body.extend(value.to_le_bytes());
    } else if let Ok(value) = i32::try_from(value) {
        body.push(b'J');
        body.extend(value.to_le_bytes());
    } else {
        body.extend([0x8a, 5]);
        body.extend(value.to_le_bytes());
        body.push(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_those_of_python() {
        // pickle.dumps(…, protocol=4) of CPython 3.11.
        for (ours, python) in [
            (none(), "80044e2e"),
            (boolean(true), "8004882e"),
            (empty_list(), "80045d942e"),
            (text("work"), "80049508000000000000008c04776f726b942e"),
            (int(7), "80044b072e"),
            (int(10_000), "80049504000000000000004d10272e"),
            (
                transition(&["join".to_owned()], None),
                "8004950e000000000000005d948c046a6f696e94614e86942e",
            ),
            (
                transition(&["a".to_owned()], Some("xs")),
                "8004950f000000000000005d948c016194618c0278739486942e",
            ),
        ] {
            assert_eq!(hex::encode(&ours.bytes), python);
        }
    }
}
