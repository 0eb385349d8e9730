//! `ferroflow dev`.

use std::net::TcpListener;

use crate::{ground::Ground, rows};

rows! {
    port_is_taken: |g| {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("its address").port().to_string();
        g.set("PORT", &port).name(port, "<port>");
        g.afterwards(move |_| drop(listener));
    };
    stack_of_another_version: |g| { g.folder("stack").write("stack/stack.json", "{\"format\": 99}\n"); };
    stack_is_damaged: |g| { g.folder("stack").write("stack/stack.json", "{format\n"); };
    stack_is_a_file: |g| { g.write("stack", ""); };
    stack_is_not_writable: |_| {};
    stack_is_not_up: |_| {};
    stack_has_other_settings: a_stack;
    stack_is_held_by_another: a_stack;
    faults_are_not_there: |_| {};
    faults_are_no_rules: |g| { g.write("faults.json", "{}\n"); };
    faults_that_never_come: |g| {
        g.write("faults.json", "[{\"operation\": \"SubmitJobs\", \"fault\": \"lose_reply\"}]\n");
    };
    simulation_is_not_there: |_| {};
    simulation_is_none: |g| { g.write("steps.json", "{\"work\": {\"second\": 1}}\n"); };
    history_is_not_there: |_| {};
    history_is_none: |g| { g.write("notes.txt", "a\nb\n"); };
    speed_is_no_number: |_| {};
    no_such_verb_of_dev: |_| {};
}

/// One in `stack`, for as long as the row takes.
fn a_stack(ground: &mut Ground) {
    let dev = |ground: &Ground, verb: &str| {
        let script = format!("ferroflow dev {verb} --dir stack");
        let output = ground.command("/bin/sh", &["-c", &script]).output();
        let output = output.expect("the program starts");
        assert!(output.status.success(), "{output:?}");
    };
    dev(ground, "up");
    ground.afterwards(move |ground| dev(ground, "down"));
}
