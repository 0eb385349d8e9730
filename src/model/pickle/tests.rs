use proptest::prelude::*;
use sha1::{Digest, Sha1};

use super::*;

/// The pickles of one value in protocols 2 to 5, made by `testdata/pickle/make.py`.
macro_rules! golden {
    ($name:literal) => {
        [
            include_bytes!(concat!("../testdata/pickle/", $name, ".2.pkl")).as_slice(),
            include_bytes!(concat!("../testdata/pickle/", $name, ".3.pkl")).as_slice(),
            include_bytes!(concat!("../testdata/pickle/", $name, ".4.pkl")).as_slice(),
            include_bytes!(concat!("../testdata/pickle/", $name, ".5.pkl")).as_slice(),
        ]
    };
}

fn goldens() -> Vec<&'static [u8]> {
    [
        golden!("scalars"),
        golden!("containers"),
        golden!("bytes"),
        golden!("sets"),
        golden!("transition"),
        golden!("shared"),
        golden!("ordered"),
        golden!("cyclic"),
        golden!("foreach_stack"),
        golden!("parallel_ubf"),
    ]
    .concat()
}

fn text(value: &str) -> Value {
    Value::Str(value.to_owned())
}

fn ints(values: impl IntoIterator<Item = i64>) -> Vec<Value> {
    values.into_iter().map(Value::Int).collect()
}

fn object(module: &str, name: &str, args: Vec<Value>) -> Object {
    Object {
        module: module.to_owned(),
        name: name.to_owned(),
        args,
        state: None,
        elements: Vec::new(),
        entries: Vec::new(),
    }
}

fn kind(bytes: &[u8]) -> PickleErrorKind {
    read(bytes).unwrap_err().kind
}

#[test]
fn scalars() {
    let big = |sign: u8, bytes: usize, first: u8| {
        let mut number = vec![if sign == 0 { 0 } else { 0xff }; bytes];
        number[bytes - 1] = first;
        Value::BigInt(number)
    };
    let mut expected = vec![Value::None, Value::Bool(true), Value::Bool(false)];
    expected.extend(ints([
        0,
        255,
        256,
        65535,
        65536,
        -1,
        (1 << 31) - 1,
        -(1 << 31),
        1 << 31,
    ]));
    expected.extend(ints([i64::MIN, i64::MAX]));
    expected.push(Value::BigInt([vec![0; 7], vec![0x80, 0]].concat()));
    expected.push(Value::BigInt([vec![0xff; 7], vec![0x7f, 0xff]].concat()));
    expected.push(big(0, 13, 0x10));
    expected.extend([Value::Float(1.5), Value::Float(f64::NEG_INFINITY)]);
    expected.extend([text(""), text("grüße"), text(&"x".repeat(300))]);
    for pickle in golden!("scalars") {
        assert_eq!(read(pickle).unwrap(), Value::List(expected.clone()));
    }
}

#[test]
fn containers() {
    let one_to = |last| Value::Tuple(ints(1..=last));
    let expected = Value::Dict(vec![
        (
            text("list"),
            Value::List(vec![
                Value::Int(1),
                Value::List(vec![Value::Int(2), Value::List(Vec::new())]),
            ]),
        ),
        (text("tuple"), Value::Tuple((0..=4).map(one_to).collect())),
        (text("dict"), Value::Dict(Vec::new())),
        (
            text("nested"),
            Value::Dict(vec![(text("k"), Value::Tuple(vec![text("v")]))]),
        ),
    ]);
    for pickle in golden!("containers") {
        assert_eq!(read(pickle).unwrap(), expected);
    }
}

#[test]
fn bytes_and_sets() {
    let [two, three, four, five] = golden!("bytes");
    let plain = [&b""[..], b"\x00\xff", &[b'y'; 300]].map(|bytes| Value::Bytes(bytes.to_vec()));
    let with = |last: Value| Value::List([&plain[..], &[last]].concat());
    assert_eq!(read(five).unwrap(), with(Value::Bytes(b"ab".to_vec())));
    let bytearray = |module| object(module, "bytearray", vec![Value::Bytes(b"ab".to_vec())]);
    assert_eq!(
        read(four).unwrap(),
        with(Value::Object(Box::new(bytearray("builtins"))))
    );
    assert!(read(three).is_ok());
    let empty = Value::Object(Box::new(object("__builtin__", "bytes", Vec::new())));
    assert_eq!(read(two).unwrap().as_sequence().unwrap()[0], empty);

    let [two, three, four, five] = golden!("sets");
    let sets = [vec![], ints([7]), vec![text("z")]].map(Value::Set);
    for pickle in [four, five] {
        assert_eq!(read(pickle).unwrap().as_sequence().unwrap(), sets);
    }
    let seven = object("__builtin__", "set", vec![Value::List(ints([7]))]);
    assert_eq!(
        read(two).unwrap().as_sequence().unwrap()[1],
        Value::Object(Box::new(seven))
    );
    assert!(read(three).is_ok());
}

#[test]
fn metaflows_own() {
    for pickle in golden!("transition") {
        let expected = Value::Tuple(vec![Value::List(vec![text("work")]), text("xs")]);
        assert_eq!(read(pickle).unwrap(), expected);
    }
    for pickle in golden!("foreach_stack") {
        let fields = vec![
            text("work"),
            text("xs"),
            Value::Int(3),
            Value::Int(1),
            text("b"),
        ];
        let frame = object("__main__", "ForeachFrame", fields);
        assert_eq!(
            read(pickle).unwrap(),
            Value::List(vec![Value::Object(Box::new(frame))])
        );
    }
    for pickle in golden!("parallel_ubf") {
        let mut expected = object("metaflow.flowspec", "ParallelUBF", Vec::new());
        expected.state = Some(Value::Dict(vec![(text("num_parallel"), Value::Int(4))]));
        assert_eq!(read(pickle).unwrap(), Value::Object(Box::new(expected)));
    }
}

#[test]
fn references_are_unfolded() {
    for pickle in golden!("shared") {
        let list = Value::List(vec![text("s")]);
        let shared = text("shared text");
        let expected = Value::List(vec![list.clone(), list, shared.clone(), shared]);
        assert_eq!(read(pickle).unwrap(), expected);
    }
    for pickle in golden!("ordered") {
        let mut expected = object("collections", "OrderedDict", Vec::new());
        expected.entries = vec![(text("a"), Value::Int(1)), (text("b"), Value::Int(2))];
        assert_eq!(read(pickle).unwrap(), Value::Object(Box::new(expected)));
    }
    for pickle in golden!("cyclic") {
        assert_eq!(kind(pickle), PickleErrorKind::TooDeep);
    }
}

#[test]
fn nesting_is_bounded() {
    let nested = |depth: usize| {
        let mut pickle = b"\x80\x04N".to_vec();
        pickle.extend(std::iter::repeat_n(opcode::TUPLE1, depth));
        pickle.push(opcode::STOP);
        pickle
    };
    assert!(read(&nested(MAX_DEPTH)).is_ok());
    assert_eq!(kind(&nested(MAX_DEPTH + 1)), PickleErrorKind::TooDeep);
    assert_eq!(kind(&nested(100_000)), PickleErrorKind::TooDeep);
}

/// Each tuple holds the one before it twice: 60 bytes of pickle, 2⁶⁰ values.
#[test]
fn unfolding_is_bounded() {
    let doubled = |first: &[u8]| {
        let mut pickle = [b"\x80\x04", first].concat();
        for _ in 0..60 {
            pickle.extend([opcode::DUP, opcode::TUPLE2]);
        }
        pickle.push(opcode::STOP);
        pickle
    };
    assert_eq!(kind(&doubled(b"N")), PickleErrorKind::TooMuch);
    let long = [&b"X\x00\x00\x10\x00"[..], &vec![b'x'; 1 << 20]].concat();
    assert_eq!(kind(&doubled(&long)), PickleErrorKind::TooMuch);
}

#[test]
fn building_is_bounded() {
    for opcode in [opcode::NONE, opcode::MARK] {
        let pickle = [b"\x80\x04".to_vec(), vec![opcode; MAX_VALUES + 1]].concat();
        assert_eq!(kind(&pickle), PickleErrorKind::TooMuch);
    }
    let pickle = [b"\x80\x04N".to_vec(), vec![opcode::MEMOIZE; MAX_VALUES + 1]].concat();
    assert_eq!(kind(&pickle), PickleErrorKind::TooMuch);
    assert_eq!(
        kind(&vec![0; MAX_INPUT_BYTES + 1]),
        PickleErrorKind::TooLarge
    );
}

#[test]
fn errors_say_what_and_where() {
    for (pickle, offset, kind) in [
        (&b""[..], 0, PickleErrorKind::Truncated),
        (b"N.", 0, PickleErrorKind::Protocol),
        (b"\x80\x01N.", 0, PickleErrorKind::Protocol),
        (b"\x80\x06N.", 0, PickleErrorKind::Protocol),
        (b"\x80\x04", 2, PickleErrorKind::Truncated),
        (b"\x80\x04K", 2, PickleErrorKind::Truncated),
        (b"\x80\x04B\xff\xff\xff\xff", 2, PickleErrorKind::Truncated),
        (
            b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\xff",
            2,
            PickleErrorKind::Truncated,
        ),
        (b"\x80\x04N\x92.", 3, PickleErrorKind::Unsupported(0x92)),
        (b"\x80\x04Q.", 2, PickleErrorKind::Unsupported(b'Q')),
        (b"\x80\x04.", 2, PickleErrorKind::Stack),
        (b"\x80\x04N(.", 4, PickleErrorKind::Stack),
        (b"\x80\x04Na.", 3, PickleErrorKind::Stack),
        (b"\x80\x04NNa.", 4, PickleErrorKind::Stack),
        (b"\x80\x04N)R.", 4, PickleErrorKind::Stack),
        (b"\x80\x04}(Nu.", 5, PickleErrorKind::Stack),
        (b"\x80\x04e", 2, PickleErrorKind::Stack),
        (b"\x80\x04h\x07.", 2, PickleErrorKind::Memo(7)),
        (b"\x80\x04\x8c\x01\xff.", 2, PickleErrorKind::NotUtf8),
    ] {
        assert_eq!(
            read(pickle).unwrap_err(),
            PickleError { offset, kind },
            "{pickle:x?}"
        );
    }
    assert_eq!(
        read(b"\x80\x04N\x92.").unwrap_err().to_string(),
        "failed to read a pickle at byte 3: opcode 0x92 is not supported"
    );
}

/// SHA-1 of what `pickle.dumps(value, 4)` of CPython 3.11 gives.
#[test]
fn written_pickles_are_cpythons() {
    let many: Vec<String> = (0..2001).map(|step| format!("s{step}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let long = "x".repeat(300);
    for (pickle, sha1) in [
        (write::none(), "dbc1aaddc8b7343d6d33b34edcf608b8f8801918"),
        (
            write::bool(true),
            "868436778cb011a1c6230bc12534683ab0b7f1c3",
        ),
        (
            write::bool(false),
            "2473d4676d5b2aba674167293142f8031ada401b",
        ),
        (
            write::empty_list(),
            "c5cf38908fc549f499ade5b17ce221ff0ced377f",
        ),
        (write::int(0), "a822ae9b08131462c33402f42bb633cbfe0a8c23"),
        (write::int(255), "5458fa0efb67c76ee776ba85523b8c6924a8ef88"),
        (write::int(256), "f0e1d2da3b3a6886f2234072dda111f64a8db685"),
        (
            write::int(65535),
            "dab3926a46f438af2344b27103f699590eecd5b8",
        ),
        (
            write::int(65536),
            "d11d3bf2bf3e2944e9ceae8875783dd14366afae",
        ),
        (
            write::int(1 << 31),
            "041dc1180948e8e7e9124044fb10c05893f36e5c",
        ),
        (
            write::int(1 << 40),
            "f6a69269665c22729490386dfe33d6c28eb69e66",
        ),
        (write::int(-1), "ba9de903b55053bfa43549fc1d2d1d9124182518"),
        (write::int(-129), "e58ff8833acf75d972f7ca27587ff943c9552a48"),
        (
            write::transition(&["work"], Some("xs")),
            "c5782cc211df2f2c8ee426602f01923ff71c1a61",
        ),
        (
            write::transition(&["a", "b"], None),
            "fbf329dc8f403bef6943719ad91c5e4bf5a7d99d",
        ),
        (
            write::transition(&[&long], None),
            "b51fec53020355e4d1ccff63cb0fe84535b6efd9",
        ),
        (
            write::transition(&many[..1001], None),
            "a5ee37b99b47b0fd87267e884551efa1e8a2f928",
        ),
        (
            write::transition(&many[..1002], None),
            "1ce44553c1fceb129dbe3fce0d50d78cb6d28803",
        ),
        (
            write::transition(&many, None),
            "f55d6cc95919a87c623d0ac45aff2deadfd7b54d",
        ),
    ] {
        assert_eq!(
            hex::encode(Sha1::digest(&pickle)),
            sha1,
            "{:?}",
            read(&pickle)
        );
    }
}

proptest! {
    #[test]
    fn integers_round_trip(value: i64) {
        prop_assert_eq!(read(&write::int(value)).unwrap(), Value::Int(value));
    }

    #[test]
    fn random_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        drop(read(&[b"\x80\x04".to_vec(), bytes].concat()));
    }

    #[test]
    fn random_programs_are_survived(
        opcodes in proptest::collection::vec(proptest::sample::select(&b"NK\x01(]})ae\x85\x86t\x94h\x00us0.2Rbc\n\x93\x8f\x90\x91\x81"[..]), 0..200),
    ) {
        drop(read(&[b"\x80\x04".to_vec(), opcodes].concat()));
    }

    #[test]
    fn mutated_pickles_are_survived(
        golden in proptest::sample::select(goldens()),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut pickle = golden.to_vec();
        for (place, byte) in changes {
            let place = place.index(pickle.len());
            pickle[place] = byte;
        }
        drop(read(&pickle));
        pickle.truncate(cut.index(golden.len()));
        drop(read(&pickle));
    }
}
