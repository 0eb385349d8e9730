//! A store that does not always answer.

use std::time::Duration;

use model::{exit_code::container as exit_code, layout::Stream};

use crate::{fixture::Fixture, server::Fault};

#[test]
fn faults_that_pass_are_outlived() {
    let mut fixture = Fixture::new("echo one");
    for (method, part, fault) in [
        ("GET", "/launch/", Fault::Status(503)),
        ("GET", "/launch/", Fault::Torn),
        ("PUT", "/claim/", Fault::Reset),
        ("GET", "/data/", Fault::Torn),
        ("GET", "/data/", Fault::Slow(Duration::from_millis(300))),
        ("PUT", "_stdout.log", Fault::Status(500)),
        ("PUT", "_stdout.log", Fault::LostReply),
        ("PUT", "/outcome/", Fault::Status(503)),
        ("PUT", "/outcome/", Fault::LostReply),
    ] {
        fixture.server.fail(method, part, 1, fault);
    }
    let ended = fixture.run();
    assert_eq!(ended.code, 0, "{}", String::from_utf8_lossy(&ended.stderr));
    assert_eq!(fixture.output(), ["one"]);
    assert!(fixture.outcome().is_some());
}

#[test]
fn a_store_that_stays_away_is_named() {
    let mut fixture = Fixture::new("echo never");
    fixture
        .server
        .fail("GET", "/launch/", 1000, Fault::Status(503));
    let ended = fixture.run();
    assert_eq!(ended.code, exit_code::BOOTSTRAP_FAILED);
    let text = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(text.contains("status 503 Injected"), "{text}");
    assert!(fixture.server.writes().is_empty());
}

#[test]
fn a_refused_claim_is_no_outcome() {
    let mut fixture = Fixture::new("echo never");
    fixture
        .server
        .fail("PUT", "/claim/", 1000, Fault::Status(403));
    assert_eq!(fixture.run().code, exit_code::BOOTSTRAP_FAILED);
    assert!(fixture.outcome().is_none());
    let tries = fixture.server.seen();
    let tries = tries.iter().filter(|seen| seen.path.contains("/claim/"));
    assert_eq!(tries.count(), 3);
}

#[test]
fn an_outcome_that_cannot_be_written_keeps_the_exit_code() {
    let mut fixture = Fixture::new("exit 5");
    fixture
        .server
        .fail("PUT", "/outcome/", 1000, Fault::Status(403));
    let ended = fixture.run();
    assert_eq!(ended.code, 5);
    let text = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(text.contains("outcome could not be written"), "{text}");
}

#[test]
fn writes_ask_for_encryption() {
    let mut fixture = Fixture::new("echo one");
    fixture.spec.store.server_side_encryption = Some("aws:kms".into());
    assert_eq!(fixture.run().code, 0);
    let writes = fixture.server.seen();
    let writes: Vec<_> = writes.iter().filter(|seen| seen.method == "PUT").collect();
    assert!(writes.len() >= 3);
    for write in writes {
        let header = write.headers.get("x-amz-server-side-encryption");
        assert_eq!(
            header.map(String::as_str),
            Some("aws:kms"),
            "{}",
            write.path
        );
    }
}

#[test]
fn keys_of_any_characters_are_signed() {
    let mut fixture = Fixture::new("echo one");
    fixture.spec.store.prefix = "a b/ü+=&%".into();
    assert_eq!(fixture.run().code, 0);
    let keys = fixture.server.keys();
    let log = "bucket/a b/ü+=&%/F/7/start/1/0.task_stdout.log";
    assert!(keys.iter().any(|key| key == log), "{keys:?}");
    assert!(fixture.log(Stream::Stdout).is_empty());
}
