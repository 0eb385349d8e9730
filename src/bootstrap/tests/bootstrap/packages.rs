//! Code packages that are not what the launcher packed, or should not have been.

use model::{exit_code::container as exit_code, spec::Ended};

use crate::fixture::{Fixture, tar_gz};

fn refused(fixture: &mut Fixture) -> String {
    assert_eq!(fixture.run().code, exit_code::BOOTSTRAP_FAILED);
    let Ended::NotStarted { message, .. } = fixture.outcome().unwrap().ended else {
        panic!("it was started");
    };
    assert_eq!(fixture.errors(), message);
    assert!(!fixture.path("ran").exists());
    message
}

#[test]
fn a_changed_package_is_never_unpacked() {
    let mut fixture = Fixture::new("touch ../../ran");
    let evil = tar_gz(&[("flow.py", b"print('evil')\n", 0o644)]);
    fixture.spec.package.size = evil.len() as u64;
    fixture.server.put("bucket/root/F/data/aa/aabb", evil);
    let message = refused(&mut fixture);
    assert!(message.contains("it was changed"), "{message}");
    assert!(!fixture.work().join("metaflow/flow.py").exists());
}

#[test]
fn a_longer_package_is_not_read_to_its_end() {
    let mut fixture = Fixture::new("touch ../../ran");
    fixture
        .server
        .put("bucket/root/F/data/aa/aabb", vec![0; 8 << 20]);
    let message = refused(&mut fixture);
    assert!(message.contains("it was changed"), "{message}");
}

#[test]
fn a_package_that_leaves_its_folder_is_refused() {
    let mut fixture = Fixture::new("touch ../../ran");
    fixture.package(&tar_gz(&[("../../out", b"x", 0o644)]));
    let message = refused(&mut fixture);
    assert!(message.contains("outside the task's folder"), "{message}");
    assert!(!fixture.path("out").exists());
}

#[test]
fn a_missing_package_is_named() {
    let mut fixture = Fixture::new("touch ../../ran");
    fixture.spec.package.url = "s3://bucket/root/F/data/aa/gone".into();
    let message = refused(&mut fixture);
    assert!(
        message.contains("s3://bucket/root/F/data/aa/gone"),
        "{message}"
    );
    assert!(message.contains("404 NoSuchKey"), "{message}");
}

#[test]
fn files_of_the_spec_lie_beside_the_code() {
    let mut fixture = Fixture::new("cat .ferroflow-input-paths a/b flow.py");
    let long = "7/start/1,".repeat(20_000);
    for (name, content) in [(".ferroflow-input-paths", long.as_str()), ("a/b", "\n")] {
        fixture.spec.files.insert(name.into(), content.into());
    }
    assert_eq!(fixture.run().code, 0);
    assert_eq!(fixture.output(), [&long, "print('flow')"]);
}

#[test]
fn files_of_the_spec_stay_in_their_folder_and_replace_nothing() {
    for name in ["../out", "/tmp/out", "", "flow.py"] {
        let mut fixture = Fixture::new("touch ../../ran");
        fixture.spec.files.insert(name.into(), "x".into());
        let message = refused(&mut fixture);
        assert!(message.contains(&format!("`{name}`")), "{message}");
    }
}

#[test]
fn bytecode_lies_beside_the_code() {
    let mut fixture = Fixture::new("cat lib/__pycache__/m.pyc; find . -path ./no -o -name other");
    fixture.package(&tar_gz(&[("lib/m.py", b"", 0o644)]));
    fixture.bytecode(&tar_gz(&[
        ("lib/__pycache__/m.pyc", b"code\n", 0o644),
        ("lib/other", b"", 0o644),
        ("no/__pycache__/other", b"", 0o644),
    ]));
    fixture.run();
    assert_eq!(fixture.output(), ["code"]);
}

#[test]
fn a_task_does_without_bytecode() {
    let bytes = tar_gz(&[("__pycache__/m.pyc", b"code", 0o644)]);
    let changed = tar_gz(&[("__pycache__/m.pyc", b"evil", 0o644)]);
    let outside = tar_gz(&[
        ("__pycache__/m.pyc", b"code", 0o644),
        ("/x/__pycache__/m.pyc", b"code", 0o644),
    ]);
    // What the launcher wrote, and what is there.
    for (written, stored) in [
        (&bytes, None),
        (&bytes, Some(&changed)),
        (&outside, Some(&outside)),
    ] {
        let mut fixture = Fixture::new("find . -name '*.py*'");
        fixture.bytecode(written);
        match stored {
            Some(other) => fixture.server.put("bucket/root/F/data/bb/bbcc", &other[..]),
            None => fixture.spec.bytecode.as_mut().unwrap().url = "nowhere".into(),
        }
        let ended = fixture.run();
        assert_eq!(ended.code, 0);
        assert_eq!(fixture.output(), ["./flow.py"]);
        let said = String::from_utf8(ended.stderr).unwrap();
        assert!(
            said.contains("The task starts without bytecode ("),
            "{said}"
        );
    }
}
