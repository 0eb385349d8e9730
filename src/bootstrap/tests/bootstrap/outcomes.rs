//! How tasks end, and what is told about it.

use model::{
    exit_code::container as exit_code,
    layout::Stream,
    spec::{Claim, Ended, LogSizes, TaskOutcome},
};
use sha2::{Digest, Sha256};

use crate::fixture::{Fixture, PREAMBLE, tar_gz};

fn exited(code: i32) -> Ended {
    Ended::Exited {
        code,
        stopped: None,
    }
}

#[test]
fn a_task_runs_and_is_recorded() {
    let mut fixture = Fixture::new("cat flow.py; echo err >&2; echo out");
    fixture
        .server
        .put("bucket/root/F/7/start/1/0.data.json", "{}");
    let ended = fixture.run();
    assert_eq!(ended.code, 0, "{}", String::from_utf8_lossy(&ended.stderr));
    assert_eq!(fixture.output(), ["print('flow')", "out"]);
    assert_eq!(fixture.errors(), "err");
    let console = format!("{}\nprint('flow')\nout\n", PREAMBLE.join("\n"));
    assert_eq!(String::from_utf8_lossy(&ended.stdout), console);
    assert_eq!(ended.stderr, b"err\n");

    let Some(Claim::Claimed { nonce, job }) = fixture.claim() else {
        panic!("no claim");
    };
    let outcome = fixture.outcome().unwrap();
    let TaskOutcome { usage, .. } = outcome;
    assert_eq!(outcome.ended, exited(0));
    assert_eq!((outcome.nonce, outcome.job), (nonce, job));
    assert_eq!((outcome.version, outcome.launch), (1, 2));
    assert_eq!(outcome.oom_kills, 0);
    let digest = hex::encode(Sha256::digest(b"{}"));
    assert_eq!(outcome.data_json_sha256, Some(digest));
    let size = |stream| fixture.log(stream).len() as u64;
    let sizes = LogSizes {
        stdout: size(Stream::Stdout),
        stderr: size(Stream::Stderr),
    };
    assert_eq!(outcome.logs, Some(sizes));
    assert!(usage.claimed_at > 0 && usage.claimed_at <= usage.started_at);
    assert!(usage.started_at <= usage.ended_at);
    assert!(usage.peak_memory > 0 && usage.cpu_seconds >= 0.0);

    let writes = fixture.server.writes();
    assert!(writes[0].contains("/claim/"), "{writes:?}");
    assert!(writes.last().unwrap().contains("/outcome/"), "{writes:?}");
    assert!(fixture.work().join("metaflow/.metaflow").is_dir());
    // The private folder is gone.
    assert_eq!(std::fs::read_dir(fixture.work()).unwrap().count(), 1);
}

#[test]
fn the_program_does_the_same() {
    let mut fixture = Fixture::new("echo out; exit 7");
    let output = fixture.run_program();
    assert_eq!(output.status.code(), Some(7));
    assert!(output.stdout.ends_with(b"Task is starting.\nout\n"));
    assert_eq!(fixture.outcome().unwrap().ended, exited(7));
}

#[test]
fn exit_codes_and_signals_are_kept() {
    for (script, code, ended) in [
        ("exit 3", 3, exited(3)),
        ("exit 113", 113, exited(113)),
        (
            "kill -9 $$",
            137,
            Ended::Signaled {
                signal: 9,
                stopped: None,
            },
        ),
    ] {
        let mut fixture = Fixture::new(script);
        assert_eq!(fixture.run().code, code, "{script}");
        assert_eq!(fixture.outcome().unwrap().ended, ended, "{script}");
    }
}

#[test]
fn a_step_has_upstreams_environment() {
    let mut fixture = Fixture::new("env; pwd");
    fixture.set("PYTHONPATH", "/mine");
    fixture.set("FERROFLOW_STUB", "x");
    fixture.set("OVERRIDDEN", "image");
    for (name, value) in [("OVERRIDDEN", "spec"), ("A", "ü\n'$(id)")] {
        fixture.spec.environment.insert(name.into(), value.into());
    }
    assert_eq!(fixture.run().code, 0);
    let lines = fixture.output();
    let folder = fixture.work().join("metaflow");
    let folder = folder.to_str().unwrap();
    for expected in [
        "PYTHONUNBUFFERED=x".to_owned(),
        "MF_PATHSPEC=F/7/start/1".to_owned(),
        "MF_DATASTORE=s3".to_owned(),
        "MF_ATTEMPT=0".to_owned(),
        format!("METAFLOW_EXTRACTED_ROOT={folder}"),
        format!("PYTHONPATH={folder}/.mf_code:/mine"),
        format!("PWD={folder}"),
        "AWS_BATCH_JOB_ID=job-1".to_owned(),
        "AWS_BATCH_JOB_ATTEMPT=1".to_owned(),
        "AWS_BATCH_CE_NAME=unknown".to_owned(),
        "AWS_BATCH_JQ_NAME=unknown".to_owned(),
        "AWS_EXECUTION_ENV=unknown".to_owned(),
        "OVERRIDDEN=spec".to_owned(),
        "A=ü".to_owned(),
        "'$(id)".to_owned(),
        folder.to_owned(),
    ] {
        assert!(lines.contains(&expected), "{expected} is not in {lines:#?}");
    }
    let ours = lines.iter().filter(|line| line.starts_with("FERROFLOW_"));
    assert_eq!(ours.collect::<Vec<_>>(), ["FERROFLOW_LOG_SIDECAR=off"]);
    for stream in ["MFLOG_STDOUT=", "MFLOG_STDERR="] {
        let line = lines.iter().find(|line| line.starts_with(stream)).unwrap();
        assert!(!std::path::Path::new(&line[stream.len()..]).exists());
    }
}

#[test]
fn preparation_changes_the_steps_environment() {
    let mut fixture = Fixture::new("echo $GIVEN; exit 5");
    fixture.spec.prepare = vec!["export GIVEN='a b'".into(), "echo prepared".into()];
    assert_eq!(fixture.run().code, 5);
    assert_eq!(fixture.output(), ["prepared", "a b"]);
    assert_eq!(fixture.outcome().unwrap().ended, exited(5));
}

#[test]
fn a_shell_step_expands_variables() {
    let mut fixture = Fixture::new("");
    fixture.spec.prepare = vec!["export TOOL=echo".into()];
    fixture.spec.command = ["$TOOL", "a", "*.py", "\"b  c\""]
        .map(String::from)
        .to_vec();
    fixture.spec.shell = true;
    assert_eq!(fixture.run().code, 0);
    assert_eq!(fixture.output(), ["a flow.py b  c"]);
}

#[test]
fn a_failed_preparation_means_that_nothing_started() {
    let mut fixture = Fixture::new("echo never");
    fixture.spec.prepare = vec!["echo no >&2; (exit 4)".into()];
    assert_eq!(fixture.run().code, exit_code::BOOTSTRAP_FAILED);
    assert!(fixture.output().is_empty());
    let errors = fixture.errors();
    assert!(
        errors.starts_with("no\n") && errors.contains("exit code 4"),
        "{errors}"
    );
    assert!(matches!(
        fixture.outcome().unwrap().ended,
        Ended::NotStarted { message, .. } if message.contains("exit code 4")
    ));
}

#[test]
fn a_missing_program_is_named() {
    let mut fixture = Fixture::new("");
    fixture.spec.command = vec!["no-such-program".into()];
    assert_eq!(fixture.run().code, exit_code::BOOTSTRAP_FAILED);
    assert!(
        fixture
            .errors()
            .contains("failed to start `no-such-program`")
    );
    let writes = fixture.server.writes();
    assert!(writes.last().unwrap().contains("/outcome/"), "{writes:?}");
}

#[test]
fn a_folder_of_the_image_is_left_alone() {
    let mut fixture = Fixture::new("pwd");
    std::fs::create_dir(fixture.work().join("metaflow")).unwrap();
    assert_eq!(fixture.run().code, 0);
    assert!(fixture.output()[0].ends_with("/work/metaflow.1"));
}

#[test]
fn a_read_only_folder_is_left_alone() {
    let mut fixture = Fixture::new("pwd");
    std::fs::remove_dir(fixture.work()).unwrap();
    std::fs::write(fixture.work(), "not a folder").unwrap();
    let ended = fixture.run();
    assert_eq!(ended.code, 0, "{}", String::from_utf8_lossy(&ended.stderr));
    let folder = fixture.path("metaflow");
    assert_eq!(fixture.output(), [folder.to_str().unwrap()]);
}

#[test]
fn no_folder_at_all_is_told() {
    let mut fixture = Fixture::new("echo never");
    std::fs::remove_dir(fixture.work()).unwrap();
    fixture.set("TMPDIR", "/nowhere");
    fixture.settings.last_resort = fixture.path("gone");
    assert_eq!(fixture.run().code, exit_code::BOOTSTRAP_FAILED);
    assert!(fixture.errors().contains("no folder for the task"));
    assert!(matches!(
        fixture.outcome().unwrap().ended,
        Ended::NotStarted { .. }
    ));
}

#[test]
fn packages_of_the_image_are_not_installed_again() {
    let mut fixture = Fixture::new("true");
    fixture.spec.install = true;
    let asked = fixture.path("asked");
    let asked_path = asked.display();
    fixture.program("python", &format!("echo \"$@\" >> {asked_path}"));
    assert_eq!(fixture.run().code, 0);
    let lines = std::fs::read_to_string(&asked).unwrap();
    assert_eq!(lines.lines().count(), 1, "{lines}");
    assert!(lines.contains("find_spec"));
}

#[test]
fn missing_packages_are_installed_by_upstreams_command() {
    let mut fixture = Fixture::new("true");
    fixture.spec.install = true;
    let asked = fixture.path("asked");
    let asked_path = asked.display();
    let script = format!("echo \"$@\" >> {asked_path}; test \"$1\" = -m");
    fixture.program("python", &script);
    assert_eq!(fixture.run().code, 0);
    let lines = std::fs::read_to_string(&asked).unwrap();
    let pip = "-m pip install -qqq --no-compile --no-cache-dir --disable-pip-version-check \
               boto3 requests";
    assert_eq!(lines.lines().nth(1), Some(pip));

    // Upstream's switch, given by the spec.
    let mut fixture = Fixture::new("true");
    fixture.spec.install = true;
    let name = "METAFLOW_SKIP_INSTALL_DEPENDENCIES";
    fixture.spec.environment.insert(name.into(), "1".into());
    fixture.program("python", "exit 1");
    assert_eq!(fixture.run().code, 0);
}

#[test]
fn a_failed_installation_says_what_pip_says() {
    let mut fixture = Fixture::new("echo never");
    fixture.spec.install = true;
    fixture.program("python", "echo no index >&2; exit 9");
    let ended = fixture.run();
    assert_eq!(ended.code, exit_code::BOOTSTRAP_FAILED);
    let errors = fixture.errors();
    assert!(
        errors.contains("exit code 9") && errors.contains("no index"),
        "{errors}"
    );
    assert!(
        !fixture
            .messages(Stream::Stdout)
            .contains(&b"never".to_vec())
    );
}

#[test]
fn an_image_with_python3_only_gets_a_python() {
    let mut fixture = Fixture::new("");
    let bin = fixture.path("only");
    std::fs::create_dir(&bin).unwrap();
    std::os::unix::fs::symlink("/bin/sh", bin.join("sh")).unwrap();
    crate::fixture::write_program(&bin.join("python3"), "echo three \"$@\"");
    fixture.set("PATH", bin.to_str().unwrap());
    fixture.spec.command = ["python", "-u", "flow.py"].map(String::from).to_vec();
    let ended = fixture.run();
    assert_eq!(ended.code, 0, "{}", String::from_utf8_lossy(&ended.stderr));
    assert_eq!(fixture.output(), ["three -u flow.py"]);
}

#[test]
fn an_image_without_python_is_refused() {
    let mut fixture = Fixture::new("echo never");
    fixture.set("PATH", "/nowhere");
    assert_eq!(fixture.run().code, exit_code::BOOTSTRAP_FAILED);
    assert!(fixture.errors().contains("neither `python` nor `python3`"));
}

#[test]
fn modes_of_the_package_are_kept() {
    let mut fixture = Fixture::new("./run");
    fixture.package(&tar_gz(&[("run", b"#!/bin/sh\necho ran\n", 0o755)]));
    assert_eq!(fixture.run().code, 0);
    assert_eq!(fixture.output(), ["ran"]);
}
