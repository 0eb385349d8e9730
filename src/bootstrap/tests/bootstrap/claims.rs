//! One container runs a launch.

use model::{
    exit_code::container as exit_code,
    spec::{Claim, variable},
};

use crate::{
    fixture::{Fixture, RECORD},
    server::Fault,
};

#[test]
fn a_second_container_writes_nothing() {
    let mut fixture = Fixture::new("echo one");
    assert_eq!(fixture.run().code, 0);
    let before = fixture.server.writes();
    let ended = fixture.run();
    assert_eq!(ended.code, exit_code::DUPLICATE);
    assert!(ended.stdout.is_empty());
    assert_eq!(fixture.server.writes(), before);
}

#[test]
fn a_revoked_launch_does_not_start() {
    let mut fixture = Fixture::new("echo never");
    let revoked = Claim::Revoked { nonce: "n".into() };
    let key = format!("bucket/root/{}", fixture.spec.claim);
    fixture
        .server
        .put(&key, serde_json::to_vec(&revoked).unwrap());
    let ended = fixture.run();
    assert_eq!(ended.code, exit_code::DUPLICATE);
    assert!(String::from_utf8_lossy(&ended.stderr).contains("revoked"));
    assert!(fixture.server.writes().is_empty());
}

#[test]
fn a_repeated_job_does_not_even_read() {
    let mut fixture = Fixture::new("echo never");
    fixture.set("AWS_BATCH_JOB_ATTEMPT", "2");
    assert_eq!(fixture.run().code, exit_code::DUPLICATE);
    assert!(fixture.server.seen().is_empty());
}

#[test]
fn a_claim_whose_reply_was_lost_is_recognised() {
    let mut fixture = Fixture::new("echo one");
    fixture.server.fail("PUT", "/claim/", 1, Fault::LostReply);
    assert_eq!(fixture.run().code, 0);
    assert_eq!(fixture.output(), ["one"]);
}

#[test]
fn a_conflict_is_tried_again() {
    let mut fixture = Fixture::new("echo one");
    fixture.server.fail("PUT", "/claim/", 2, Fault::Status(409));
    assert_eq!(fixture.run().code, 0);
}

#[test]
fn of_many_containers_one_runs() {
    let mut fixture = Fixture::new("echo x >> ../../ran");
    let mut children: Vec<_> = (0..8)
        .map(|_| fixture.program_command().spawn().unwrap())
        .collect();
    let mut codes: Vec<_> = children
        .iter_mut()
        .map(|child| child.wait().unwrap().code().unwrap())
        .collect();
    codes.sort_unstable();
    assert_eq!(codes, [&[0][..], &[exit_code::DUPLICATE; 7]].concat());
    assert_eq!(std::fs::read(fixture.path("ran")).unwrap(), b"x\n");
}

#[test]
fn a_changed_spec_is_refused() {
    let mut fixture = Fixture::new("echo never");
    fixture.publish();
    let record = fixture.server.object(RECORD).unwrap();
    let text = String::from_utf8(record).unwrap().replace("never", "evil!");
    fixture.server.put(RECORD, text);
    let ended = fixture.run_as_is();
    assert_eq!(ended.code, exit_code::BOOTSTRAP_FAILED);
    assert!(String::from_utf8_lossy(&ended.stderr).contains("it was changed"));
    assert!(fixture.server.writes().is_empty());
}

#[test]
fn a_spec_of_another_version_is_refused() {
    let mut fixture = Fixture::new("echo never");
    fixture.spec.version = 99;
    let ended = fixture.run();
    assert_eq!(ended.code, exit_code::BOOTSTRAP_FAILED);
    let text = String::from_utf8_lossy(&ended.stderr);
    assert!(text.contains("version 99"), "{text}");
}

#[test]
fn a_missing_pointer_is_named() {
    let mut fixture = Fixture::new("echo never");
    fixture.publish();
    fixture.unset(variable::RANGE);
    let ended = fixture.run_as_is();
    assert_eq!(ended.code, exit_code::BOOTSTRAP_FAILED);
    assert!(String::from_utf8_lossy(&ended.stderr).contains("`FERROFLOW_SPEC_RANGE` is not set"));
}
