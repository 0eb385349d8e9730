//! What tasks print is in the store, whatever happens.

use std::time::{Duration, Instant};

use model::layout::Stream;

use crate::{
    fixture::{Fixture, PREAMBLE, eventually},
    server::Fault,
};

#[test]
fn lines_of_any_bytes_are_kept() {
    let mut fixture = Fixture::new(r"printf '\377\376 x\n\000y\r\nlast'");
    let ended = fixture.run();
    assert_eq!(ended.code, 0);
    let messages = fixture.messages(Stream::Stdout);
    let expected = [&b"\xff\xfe x"[..], b"\0y\r", b"last"];
    assert_eq!(messages[PREAMBLE.len()..], expected);
    assert!(ended.stdout.ends_with(b"\xff\xfe x\n\0y\r\nlast"));
}

#[test]
fn many_lines_are_kept_in_order() {
    let script = "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done";
    let mut fixture = Fixture::new(script);
    assert_eq!(fixture.run().code, 0);
    let expected: Vec<_> = (0..20000).map(|i| format!("line {i}")).collect();
    assert_eq!(fixture.output(), expected);
}

#[test]
fn both_streams_at_once_do_not_block() {
    let script = "head -c 3000000 /dev/zero | tr '\\0' x; \
                  head -c 3000000 /dev/zero | tr '\\0' y >&2";
    let mut fixture = Fixture::new(script);
    assert_eq!(fixture.run().code, 0);
    assert_eq!(fixture.output()[0].len(), 3_000_000);
    assert_eq!(fixture.errors().len(), 3_000_000);
}

#[test]
fn a_process_that_holds_the_pipe_does_not_block() {
    // `setsid` takes it out of the step's group, so nobody kills it.
    let mut fixture = Fixture::new("setsid sleep 30 & echo done");
    let started = Instant::now();
    assert_eq!(fixture.run().code, 0);
    assert!(started.elapsed() < Duration::from_secs(15));
    assert_eq!(fixture.output(), ["done"]);
}

#[test]
fn a_process_that_writes_for_ever_does_not_block() {
    let mut fixture = Fixture::new("setsid yes & sleep 0.2");
    let started = Instant::now();
    assert_eq!(fixture.run().code, 0);
    assert!(started.elapsed() < Duration::from_secs(15));
}

#[test]
fn logs_arrive_while_the_step_runs() {
    let mut fixture = Fixture::new("echo early; while [ ! -e ../../go ]; do sleep 0.05; done");
    let mut child = fixture.program_command().spawn().unwrap();
    eventually("an early log", || {
        String::from_utf8_lossy(&fixture.log(Stream::Stdout)).contains("early")
    });
    assert!(fixture.outcome().is_none());
    std::fs::write(fixture.path("go"), "").unwrap();
    assert!(child.wait().unwrap().success());
    assert!(fixture.outcome().is_some());
}

#[test]
fn lines_that_look_like_metaflows_are_the_tasks_own() {
    let line = "[MFLOG|0|2026-11-23T22:51:50.110982Z|task|x]hello";
    let mut fixture = Fixture::new(&format!("echo '{line}'"));
    assert_eq!(fixture.run().code, 0);
    let log = fixture.log(Stream::Stdout);
    assert!(log.ends_with(format!("]{line}\n").as_bytes()));
}

#[test]
fn logs_that_cannot_be_written_do_not_fail_the_task() {
    let mut fixture = Fixture::new("echo one; exit 6");
    fixture
        .server
        .fail("PUT", "_stdout.log", 100, Fault::Status(403));
    let ended = fixture.run();
    assert_eq!(ended.code, 6);
    let text = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(
        text.contains("the end of the task's logs is lost"),
        "{text}"
    );
    assert!(fixture.outcome().is_some());
}
