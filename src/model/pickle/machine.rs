//! The stack machine that a pickle is a program for (CPython's Lib/pickle.py, `_Unpickler`),
//! without the instructions that look up or call anything.

use std::collections::HashMap;

use super::{
    MAX_INPUT_BYTES, MAX_VALUES, PickleError, PickleErrorKind,
    PickleErrorKind::{Protocol, Stack, TooLarge, TooMuch, Unsupported},
    Value,
    arena::{Arena, Id, Node, ObjectNode},
    input::{self, Input},
    opcode,
    value::shortest_twos_complement,
};

/// Reads a pickle of protocol 2 to 5. What follows its end is not looked at.
pub fn read(bytes: &[u8]) -> Result<Value, PickleError> {
    if bytes.len() > MAX_INPUT_BYTES {
        return Err(PickleError {
            offset: MAX_INPUT_BYTES,
            kind: TooLarge,
        });
    }
    let mut machine = Machine {
        input: Input::new(bytes),
        arena: Arena::default(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
    };
    let mut offset = 0;
    let result = machine.run(&mut offset);
    result.map_err(|kind| PickleError { offset, kind })
}

type Step<T = ()> = Result<T, PickleErrorKind>;

struct Machine<'a> {
    input: Input<'a>,
    arena: Arena,
    stack: Vec<Id>,
    /// Heights of the stack at which `MARK` was met and not yet used up, lowest first.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
}

impl Machine<'_> {
    /// Runs to `STOP`. `offset` is left at the opcode that was the last.
    fn run(&mut self, offset: &mut usize) -> Step<Value> {
        if self.input.byte()? != opcode::PROTO || !(2..=5).contains(&self.input.byte()?) {
            return Err(Protocol);
        }
        loop {
            *offset = self.input.offset();
            let opcode = self.input.byte()?;
            if opcode == opcode::STOP {
                let value = self.pop()?;
                return self.arena.unfold(value);
            }
            let known = self.scalar(opcode)? || self.container(opcode)? || self.object(opcode)?;
            if !known && !self.bookkeeping(opcode)? {
                return Err(Unsupported(opcode));
            }
        }
    }

    /// Opcodes that push a value without parts. False if it is another opcode.
    fn scalar(&mut self, opcode: u8) -> Step<bool> {
        let input = &mut self.input;
        let value = match opcode {
            opcode::NONE => Value::None,
            opcode::NEWTRUE => Value::Bool(true),
            opcode::NEWFALSE => Value::Bool(false),
            opcode::BININT1 => Value::Int(input.byte()?.into()),
            opcode::BININT2 => Value::Int(u16::from_le_bytes(input.array()?).into()),
            opcode::BININT => Value::Int(i32::from_le_bytes(input.array()?).into()),
            opcode::LONG1 => integer(input.slice_1()?),
            opcode::LONG4 => integer(input.slice_4()?),
            opcode::BINFLOAT => Value::Float(f64::from_be_bytes(input.array()?)),
            opcode::SHORT_BINUNICODE => Value::Str(input::text(input.slice_1()?)?),
            opcode::BINUNICODE => Value::Str(input::text(input.slice_4()?)?),
            opcode::BINUNICODE8 => Value::Str(input::text(input.slice_8()?)?),
            opcode::SHORT_BINBYTES => Value::Bytes(input.slice_1()?.to_vec()),
            opcode::BINBYTES => Value::Bytes(input.slice_4()?.to_vec()),
            opcode::BINBYTES8 | opcode::BYTEARRAY8 => Value::Bytes(input.slice_8()?.to_vec()),
            _ => return Ok(false),
        };
        self.push_new(Node::Leaf(value))?;
        Ok(true)
    }

    /// Opcodes that make or fill containers. False if it is another opcode.
    fn container(&mut self, opcode: u8) -> Step<bool> {
        match opcode {
            opcode::EMPTY_LIST => self.push_new(Node::List(Vec::new()))?,
            opcode::EMPTY_DICT => self.push_new(Node::Dict(Vec::new()))?,
            opcode::EMPTY_SET => self.push_new(Node::Set(Vec::new()))?,
            opcode::EMPTY_TUPLE => self.push_new(Node::Tuple(Vec::new()))?,
            opcode::TUPLE1 => self.tuple(1)?,
            opcode::TUPLE2 => self.tuple(2)?,
            opcode::TUPLE3 => self.tuple(3)?,
            opcode::TUPLE => {
                let parts = self.pop_to_mark()?;
                self.push_new(Node::Tuple(parts))?;
            }
            opcode::FROZENSET => {
                let parts = self.pop_to_mark()?;
                self.push_new(Node::Set(parts))?;
            }
            opcode::APPEND => {
                let element = self.pop()?;
                self.append(vec![element])?;
            }
            opcode::APPENDS => {
                let elements = self.pop_to_mark()?;
                self.append(elements)?;
            }
            opcode::ADDITEMS => {
                let elements = self.pop_to_mark()?;
                self.add_to_set(elements)?;
            }
            opcode::SETITEM => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.set_entries(&[key, value])?;
            }
            opcode::SETITEMS => {
                let entries = self.pop_to_mark()?;
                self.set_entries(&entries)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Opcodes about classes and what they make. False if it is another opcode.
    fn object(&mut self, opcode: u8) -> Step<bool> {
        match opcode {
            opcode::GLOBAL => {
                let (module, name) = (self.input.line()?, self.input.line()?);
                let module = self.arena.add(Node::Leaf(Value::Str(module)))?;
                let name = self.arena.add(Node::Leaf(Value::Str(name)))?;
                self.push_new(Node::Global { module, name })?;
            }
            opcode::STACK_GLOBAL => {
                let name = self.pop_text()?;
                let module = self.pop_text()?;
                self.push_new(Node::Global { module, name })?;
            }
            opcode::REDUCE | opcode::NEWOBJ => {
                let args = self.pop()?;
                let callee = self.pop()?;
                self.call(callee, args)?;
            }
            opcode::BUILD => {
                let state = self.pop()?;
                match self.top_mut()? {
                    Node::Object(object) => object.state = Some(state),
                    _ => return Err(Stack),
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Opcodes about the stack, the memo and frames. False if it is another opcode.
    fn bookkeeping(&mut self, opcode: u8) -> Step<bool> {
        match opcode {
            opcode::MARK => {
                if self.marks.len() >= MAX_VALUES {
                    return Err(TooMuch);
                }
                self.marks.push(self.stack.len());
            }
            opcode::POP if self.marks.last() == Some(&self.stack.len()) => drop(self.marks.pop()),
            opcode::POP => drop(self.pop()?),
            opcode::POP_MARK => drop(self.pop_to_mark()?),
            opcode::DUP => {
                let top = self.top()?;
                self.push(top)?;
            }
            opcode::MEMOIZE => self.memoize(self.memo.len() as u32)?,
            opcode::BINPUT => {
                let index = self.input.byte()?;
                self.memoize(index.into())?;
            }
            opcode::LONG_BINPUT => {
                let index = u32::from_le_bytes(self.input.array()?);
                self.memoize(index)?;
            }
            opcode::BINGET => {
                let index = self.input.byte()?;
                self.recall(index.into())?;
            }
            opcode::LONG_BINGET => {
                let index = u32::from_le_bytes(self.input.array()?);
                self.recall(index)?;
            }
            opcode::FRAME => drop(self.input.array::<8>()?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn call(&mut self, callee: Id, args: Id) -> Step {
        let (Node::Global { .. }, Node::Tuple(_)) =
            (self.arena.node(callee), self.arena.node(args))
        else {
            return Err(Stack);
        };
        self.push_new(Node::Object(Box::new(ObjectNode::new(callee, args))))
    }

    fn tuple(&mut self, length: usize) -> Step {
        let mut parts = (0..length).map(|_| self.pop()).collect::<Step<Vec<Id>>>()?;
        parts.reverse();
        self.push_new(Node::Tuple(parts))
    }

    fn append(&mut self, mut new: Vec<Id>) -> Step {
        match self.top_mut()? {
            Node::List(elements) => elements.append(&mut new),
            Node::Object(object) => object.elements.append(&mut new),
            _ => return Err(Stack),
        }
        Ok(())
    }

    fn add_to_set(&mut self, mut new: Vec<Id>) -> Step {
        match self.top_mut()? {
            Node::Set(elements) => elements.append(&mut new),
            _ => return Err(Stack),
        }
        Ok(())
    }

    fn set_entries(&mut self, flat: &[Id]) -> Step {
        let (pairs, rest) = flat.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(Stack);
        }
        let pairs = pairs.iter().map(|[key, value]| (*key, *value));
        match self.top_mut()? {
            Node::Dict(entries) => entries.extend(pairs),
            Node::Object(object) => object.entries.extend(pairs),
            _ => return Err(Stack),
        }
        Ok(())
    }

    fn memoize(&mut self, index: u32) -> Step {
        let top = self.top()?;
        if self.memo.len() >= MAX_VALUES {
            return Err(TooMuch);
        }
        self.memo.insert(index, top);
        Ok(())
    }

    fn recall(&mut self, index: u32) -> Step {
        let id = *self.memo.get(&index).ok_or(PickleErrorKind::Memo(index))?;
        self.push(id)
    }

    fn push_new(&mut self, node: Node) -> Step {
        let id = self.arena.add(node)?;
        self.push(id)
    }

    fn push(&mut self, id: Id) -> Step {
        if self.stack.len() >= MAX_VALUES {
            return Err(TooMuch);
        }
        self.stack.push(id);
        Ok(())
    }

    /// Takes the top of the stack, but never what lies below the last mark.
    fn pop(&mut self) -> Step<Id> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    fn top(&self) -> Step<Id> {
        let bottom = self.marks.last().copied().unwrap_or(0);
        self.stack
            .get(bottom..)
            .and_then(<[Id]>::last)
            .copied()
            .ok_or(Stack)
    }

    fn top_mut(&mut self) -> Step<&mut Node> {
        let top = self.top()?;
        Ok(self.arena.node_mut(top))
    }

    fn pop_to_mark(&mut self) -> Step<Vec<Id>> {
        let mark = self.marks.pop().ok_or(Stack)?;
        Ok(self.stack.split_off(mark.min(self.stack.len())))
    }

    fn pop_text(&mut self) -> Step<Id> {
        let id = self.pop()?;
        match self.arena.node(id) {
            Node::Leaf(Value::Str(_)) => Ok(id),
            _ => Err(Stack),
        }
    }
}

/// An integer from its little-endian two's complement; no bytes are zero.
fn integer(bytes: &[u8]) -> Value {
    let bytes = shortest_twos_complement(bytes);
    if bytes.len() > 8 {
        return Value::BigInt(bytes.to_vec());
    }
    let negative = bytes.last().is_some_and(|last| *last >= 0x80);
    let mut all = if negative { [0xff; 8] } else { [0; 8] };
    all[..bytes.len()].copy_from_slice(bytes);
    Value::Int(i64::from_le_bytes(all))
}
