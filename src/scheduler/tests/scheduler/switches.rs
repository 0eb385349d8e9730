//! Switches and recursion.

use crate::scenario::Scenario;

#[test]
fn a_switch_takes_one_case() {
    let mut s = Scenario::new(&["start ? a b", "a -> c", "b -> c", "c -> end", "end"]).begin();
    s.chooses("start", "b").done("b").done("c").done("end");
    s.expect(&[
        "launch start",
        "launch b",
        "launch c",
        "launch end",
        "finish Done",
    ]);
    assert_eq!(s.inputs("c"), ["b"]);
    s.assert_quiet();
}

#[test]
fn a_case_may_be_named_twice() {
    let mut s = Scenario::new(&["start ? a a b", "a -> end", "b -> end", "end"]).begin();
    s.chooses("start", "a").done("a");
    s.expect(&["launch start", "launch a", "launch end"]);
}

#[test]
fn a_join_waits_for_branches_and_not_for_all_cases_of_a_switch() {
    let mut s = Scenario::new(&[
        "start -> s b",
        "s ? x y",
        "x -> j",
        "y -> j",
        "b -> j",
        "join j -> end",
        "end",
    ])
    .begin();
    s.done("start").chooses("s", "y").done("b");
    s.expect(&["launch start", "launch s", "launch b", "launch y"]);
    s.done("y").expect(&["launch j"]);
    assert_eq!(s.inputs("j"), ["y", "b"]);
}

#[test]
fn children_of_a_foreach_may_take_different_cases() {
    let mut s = Scenario::new(&[
        "start => s",
        "s ? x y",
        "x -> j",
        "y -> j",
        "join j -> end",
        "end",
    ])
    .begin();
    s.splits("start", 3);
    s.chooses("s[0]", "y")
        .chooses("s[1]", "x")
        .chooses("s[2]", "y");
    s.done("x[1]").done("y[2]").done("y[0]");
    s.expect(&[
        "launch start",
        "launch s[0]",
        "launch s[1]",
        "launch s[2]",
        "launch y[0]",
        "launch x[1]",
        "launch y[2]",
        "launch j",
    ]);
    assert_eq!(s.inputs("j"), ["y[0]", "x[1]", "y[2]"]);
}

#[test]
fn two_foreaches_behind_a_switch_may_share_their_body() {
    let mut s = Scenario::new(&[
        "start ? f g",
        "f => w",
        "g => w",
        "w -> j",
        "join j -> end",
        "end",
    ])
    .begin();
    s.chooses("start", "f").splits("f", 2);
    s.done("w[0]").done("w[1]");
    s.expect(&[
        "launch start",
        "launch f",
        "launch w[0]",
        "launch w[1]",
        "launch j",
    ]);
}

/// Upstream looks for the inputs of each join by itself, so neither gets all of them.
#[test]
fn a_foreach_torn_between_two_joins_never_ends() {
    let mut s = Scenario::new(&[
        "start => s",
        "s ? x y",
        "x -> j",
        "y -> k",
        "join j -> end",
        "join k -> end",
        "end",
    ])
    .begin();
    s.splits("start", 2);
    s.chooses("s[0]", "x").chooses("s[1]", "y");
    s.done("x[0]").done("y[1]");
    s.expect(&[
        "launch start",
        "launch s[0]",
        "launch s[1]",
        "launch x[0]",
        "launch y[1]",
        "finish EndNotReached",
    ]);
}

#[test]
fn a_recursive_switch_counts_its_iterations() {
    let mut s = Scenario::new(&["start -> loop", "loop ? loop out", "out -> end", "end"]).begin();
    s.done("start")
        .expect(&["launch start", "launch loop[][0]"]);
    s.chooses("loop[][0]", "loop").chooses("loop[][1]", "loop");
    s.expect(&["launch loop[][1]", "launch loop[][2]"]);
    assert_eq!(s.inputs("loop[][2]"), ["loop[][1]"]);
    s.chooses("loop[][2]", "out").expect(&["launch out"]);
    assert_eq!(s.inputs("out"), ["loop[][2]"]);
    s.done("out").done("end");
    s.expect(&["launch end", "finish Done"]).assert_quiet();
}

#[test]
fn a_flow_may_start_with_a_recursive_switch() {
    let mut s = Scenario::new(&["start ? start end", "end"]).begin();
    s.chooses("start[][0]", "start")
        .chooses("start[][1]", "end");
    s.expect(&["launch start[][0]", "launch start[][1]", "launch end"]);
}

#[test]
fn one_loop_may_follow_another() {
    let mut s = Scenario::new(&["start -> l", "l ? l m", "m ? m end", "end"]).begin();
    s.done("start")
        .chooses("l[][0]", "l")
        .chooses("l[][1]", "m");
    s.chooses("m[][0]", "m").chooses("m[][1]", "end");
    s.expect(&[
        "launch start",
        "launch l[][0]",
        "launch l[][1]",
        "launch m[][0]",
        "launch m[][1]",
        "launch end",
    ]);
}

#[test]
fn each_child_of_a_foreach_loops_by_itself() {
    let mut s = Scenario::new(&[
        "start => loop",
        "loop ? loop x",
        "x -> j",
        "join j -> end",
        "end",
    ])
    .begin();
    s.splits("start", 2);
    s.expect(&["launch start", "launch loop[0][0]", "launch loop[1][0]"]);
    assert_eq!(s.split_index("loop[1][0]"), Some(1));
    s.chooses("loop[0][0]", "loop").chooses("loop[1][0]", "x");
    s.expect(&["launch loop[0][1]", "launch x[1]"]);
    assert_eq!(s.split_index("loop[0][1]"), None);
    s.chooses("loop[0][1]", "x").done("x[0]").done("x[1]");
    s.expect(&["launch x[0]", "launch j"]);
    assert_eq!(s.inputs("j"), ["x[0]", "x[1]"]);
    s.done("j").done("end");
    s.expect(&["launch end", "finish Done"]).assert_quiet();
}

#[test]
fn a_branch_may_begin_with_a_loop() {
    let mut s = Scenario::new(&[
        "start -> loop b",
        "loop ? loop x",
        "x -> j",
        "b -> j",
        "join j -> end",
        "end",
    ])
    .begin();
    s.done("start").done("b");
    s.chooses("loop[][0]", "loop").chooses("loop[][1]", "x");
    s.done("x");
    s.expect(&[
        "launch start",
        "launch loop[][0]",
        "launch b",
        "launch loop[][1]",
        "launch x",
        "launch j",
    ]);
    assert_eq!(s.inputs("j"), ["x", "b"]);
}
