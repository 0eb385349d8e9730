//! Splits, foreaches and joins.

use crate::scenario::Scenario;

#[test]
fn linear() {
    let mut s = Scenario::new(&["start -> a", "a -> end", "end"]).begin();
    s.expect(&["launch start"]);
    assert_eq!(s.inputs("start"), [""; 0]);
    s.done("start").expect(&["launch a"]);
    assert_eq!(s.inputs("a"), ["start"]);
    s.done("a").expect(&["launch end"]);
    s.done("end").expect(&["finish Done"]);
    s.assert_quiet();
}

#[test]
fn first_and_last_step_have_any_name() {
    let mut s = Scenario::new(&["first -> last", "last"]).begin();
    s.expect(&["launch first"]);
    s.done("first").expect(&["launch last"]);
    s.done("last").expect(&["finish Done"]).assert_quiet();
}

#[test]
fn one_step_is_a_flow() {
    let mut s = Scenario::new(&["only"]).begin();
    s.expect(&["launch only"]);
    s.done("only").expect(&["finish Done"]).assert_quiet();
}

#[test]
fn a_join_waits_for_all_branches_and_has_them_in_order() {
    let mut s = Scenario::new(&[
        "start -> c a b",
        "a -> j",
        "b -> b2",
        "b2 -> j",
        "c -> j",
        "join j -> end",
        "end",
    ])
    .begin();
    s.expect(&["launch start"]);
    s.done("start")
        .expect(&["launch c", "launch a", "launch b"]);
    s.done("b").expect(&["launch b2"]);
    s.done("a").done("b2").expect(&[]);
    s.done("c").expect(&["launch j"]);
    assert_eq!(s.inputs("j"), ["c", "a", "b2"]);
    assert_eq!(s.split_index("a"), None);
    s.done("j").expect(&["launch end"]);
    assert_eq!(s.inputs("end"), ["j"]);
    s.done("end").expect(&["finish Done"]).assert_quiet();
}

#[test]
fn splits_nest() {
    let mut s = Scenario::new(&[
        "start -> a b",
        "a -> p q",
        "p -> in",
        "q -> in",
        "join in -> out",
        "b -> out",
        "join out -> end",
        "end",
    ])
    .begin();
    s.done("start").done("a").done("b").done("q").done("p");
    s.expect(&[
        "launch start",
        "launch a",
        "launch b",
        "launch p",
        "launch q",
        "launch in",
    ]);
    assert_eq!(s.inputs("in"), ["p", "q"]);
    s.done("in").expect(&["launch out"]);
    assert_eq!(s.inputs("out"), ["in", "b"]);
}

#[test]
fn foreach_children_and_their_join_are_in_the_order_of_items() {
    let mut s = Scenario::new(&["start => w", "w -> x", "x -> j", "join j -> end", "end"]).begin();
    s.expect(&["launch start"]);
    s.splits("start", 3)
        .expect(&["launch w[0]", "launch w[1]", "launch w[2]"]);
    assert_eq!(s.split_index("w[2]"), Some(2));
    assert_eq!(s.inputs("w[2]"), ["start"]);
    s.done("w[2]").expect(&["launch x[2]"]);
    assert_eq!(s.split_index("x[2]"), None);
    s.done("x[2]").done("w[0]").done("w[1]");
    s.expect(&["launch x[0]", "launch x[1]"]);
    s.done("x[1]").expect(&[]);
    s.done("x[0]").expect(&["launch j"]);
    assert_eq!(s.inputs("j"), ["x[0]", "x[1]", "x[2]"]);
    assert_eq!(s.split_index("j"), None);
    s.done("j").done("end");
    s.expect(&["launch end", "finish Done"]).assert_quiet();
}

#[test]
fn foreaches_nest() {
    let mut s = Scenario::new(&[
        "start => f",
        "f => w",
        "w -> in",
        "join in -> out",
        "join out -> end",
        "end",
    ])
    .begin();
    s.splits("start", 2).splits("f[1]", 2).splits("f[0]", 1);
    s.expect(&[
        "launch start",
        "launch f[0]",
        "launch f[1]",
        "launch w[1,0]",
        "launch w[1,1]",
        "launch w[0,0]",
    ]);
    assert_eq!(s.split_index("w[1,0]"), Some(0));
    s.done("w[0,0]").done("w[1,1]").expect(&["launch in[0]"]);
    s.done("w[1,0]").expect(&["launch in[1]"]);
    assert_eq!(s.inputs("in[1]"), ["w[1,0]", "w[1,1]"]);
    s.done("in[1]").expect(&[]);
    s.done("in[0]").expect(&["launch out"]);
    assert_eq!(s.inputs("out"), ["in[0]", "in[1]"]);
}

#[test]
fn a_foreach_follows_a_join() {
    let mut s = Scenario::new(&[
        "start => a",
        "a -> j",
        "join j -> f",
        "f => b",
        "b -> k",
        "join k -> end",
        "end",
    ])
    .begin();
    s.splits("start", 1).done("a[0]").done("j").splits("f", 2);
    s.done("b[1]").done("b[0]");
    s.expect(&[
        "launch start",
        "launch a[0]",
        "launch j",
        "launch f",
        "launch b[0]",
        "launch b[1]",
        "launch k",
    ]);
    assert_eq!(s.inputs("k"), ["b[0]", "b[1]"]);
}

#[test]
fn a_split_inside_a_foreach_joins_per_item() {
    let mut s = Scenario::new(&[
        "start => f",
        "f -> a b",
        "a -> in",
        "b -> in",
        "join in -> out",
        "join out -> end",
        "end",
    ])
    .begin();
    s.splits("start", 2).done("f[0]").done("f[1]");
    s.done("a[0]").done("b[1]");
    s.expect(&[
        "launch start",
        "launch f[0]",
        "launch f[1]",
        "launch a[0]",
        "launch b[0]",
        "launch a[1]",
        "launch b[1]",
    ]);
    s.done("a[1]").expect(&["launch in[1]"]);
    s.done("b[0]").expect(&["launch in[0]"]);
    assert_eq!(s.inputs("in[0]"), ["a[0]", "b[0]"]);
    s.done("in[0]").done("in[1]").expect(&["launch out"]);
    assert_eq!(s.inputs("out"), ["in[0]", "in[1]"]);
}

#[test]
fn a_foreach_inside_a_split() {
    let mut s = Scenario::new(&[
        "start -> f b",
        "f => w",
        "w -> in",
        "join in -> out",
        "b -> out",
        "join out -> end",
        "end",
    ])
    .begin();
    s.done("start").splits("f", 2).done("w[0]").done("w[1]");
    s.done("in").done("b");
    s.expect(&[
        "launch start",
        "launch f",
        "launch b",
        "launch w[0]",
        "launch w[1]",
        "launch in",
        "launch out",
    ]);
    assert_eq!(s.inputs("out"), ["in", "b"]);
}

#[test]
fn slots_are_limited_and_given_first_come_first_served() {
    let mut s = Scenario::new(&[
        "start -> f a",
        "f => w",
        "w -> in",
        "join in -> j",
        "a -> b",
        "b -> j",
        "join j -> end",
        "end",
    ])
    .max_workers(2)
    .begin();
    s.done("start").splits("f", 3);
    s.expect(&["launch start", "launch f", "launch a", "launch w[0]"]);
    assert_eq!(s.run().in_flight(), 2);
    assert_eq!(s.run().progress().queued, 2);
    s.done("a").expect(&["launch w[1]"]);
    s.done("w[0]").expect(&["launch w[2]"]);
    s.done("w[2]").expect(&["launch b"]);
}
