//! The stub becomes the bootstrap, or says why not. Every Python on `PATH` is tried.

use std::process::{Command, Output};

use model::exit_code::container as exit_code;
use sha2::{Digest, Sha256};

use crate::{
    fixture::{Fixture, write_program},
    server::{Fault, SECRET},
};

/// Stands in for the binary: a script would not do, because it is executed from memory.
const PROGRAM: &str = "/bin/echo";
const FOLDER: &str = "bucket/ro ot/é+=/.ferroflow/bootstrap";

fn interpreters() -> Vec<String> {
    let names = (6..=14).map(|minor| format!("python3.{minor}"));
    names
        .chain(["python3".to_owned()])
        .filter(|name| {
            let output = Command::new(name).arg("--version").output();
            output.is_ok_and(|output| output.status.success())
        })
        .collect()
}

/// A container whose job definition names a binary.
fn container() -> Fixture {
    let mut fixture = Fixture::new("");
    let binary = std::fs::read(PROGRAM).unwrap();
    let digest = hex::encode(Sha256::digest(&binary));
    fixture.server.put(&format!("{FOLDER}/{digest}"), binary);
    fixture.set(bootstrap::variable::STUB, bootstrap::STUB);
    fixture.set(bootstrap::variable::URL, &format!("s3://{FOLDER}"));
    fixture.set(bootstrap::variable::REGION, "eu-west-3");
    let machine = std::env::consts::ARCH;
    let digests = format!(r#"{{"{machine}": "{digest}", "other": "00"}}"#);
    fixture.set(bootstrap::variable::SHA256, &digests);
    fixture
}

fn run(fixture: &Fixture) -> Output {
    let [program, arguments @ ..] = &bootstrap::ENTRY_COMMAND;
    Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(&fixture.variables)
        .current_dir(fixture.work())
        .output()
        .unwrap()
}

fn assert_becomes(fixture: &Fixture) {
    let output = run(fixture);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    // An `echo` without arguments.
    assert_eq!(output.stdout, b"\n", "{stderr}");
}

fn assert_dies(fixture: &Fixture, code: i32, text: &str) {
    let output = run(fixture);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    assert!(
        stderr.starts_with("ferroflow: ") && stderr.contains(text),
        "{stderr}"
    );
    assert!(output.stdout.is_empty());
}

#[test]
fn the_packed_stub_is_the_readable_one() {
    let script = "import sys, zlib, base64, re; sys.path.insert(0, 'stub'); import pack\n\
         packed = open('stub/stub.min.txt').read()\n\
         text = re.search(r\"b85decode\\('(.*)'\\)\", packed).group(1)\n\
         unpacked = zlib.decompress(base64.b85decode(text), -15).decode()\n\
         assert unpacked == pack.minify(open('stub/stub.py').read()), 'run stub/pack.py'";
    let output = Command::new("python3")
        .args(["-B", "-c", script])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
}

#[test]
fn the_stub_fits_into_a_job_definition() {
    assert!(bootstrap::STUB.len() <= 2560, "{}", bootstrap::STUB.len());
    assert!(!bootstrap::STUB.contains(['\n', '"', '\\']));
}

#[test]
fn every_python_becomes_the_bootstrap() {
    let fixture = container();
    let interpreters = interpreters();
    assert!(!interpreters.is_empty());
    for python in interpreters {
        let script = format!(
            "PATH={} exec {python} -W error \"$@\"",
            std::env::var("PATH").unwrap()
        );
        write_program(&fixture.path("bin").join("python3"), &script);
        assert_becomes(&fixture);
    }
}

#[test]
fn an_entrypoint_that_evaluates_its_words_is_survived() {
    let fixture = container();
    write_program(&fixture.path("entrypoint"), "eval $@");
    let output = Command::new(fixture.path("entrypoint"))
        .args(bootstrap::ENTRY_COMMAND)
        .env_clear()
        .envs(&fixture.variables)
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.stdout, b"\n", "{stderr}");
}

#[test]
fn the_bootstrap_runs_a_task_from_the_stub() {
    let mut fixture = container();
    fixture.spec.command = ["sh", "-c", "echo from the stub; exit 9"]
        .map(String::from)
        .to_vec();
    let binary = std::fs::read(env!("CARGO_BIN_EXE_ferroflow-bootstrap")).unwrap();
    let digest = hex::encode(Sha256::digest(&binary));
    fixture.server.put(&format!("{FOLDER}/{digest}"), binary);
    let digests = format!(r#"{{"{}": "{digest}"}}"#, std::env::consts::ARCH);
    fixture.set(bootstrap::variable::SHA256, &digests);
    fixture.publish();
    assert_eq!(run(&fixture).status.code(), Some(9));
    assert_eq!(fixture.output(), ["from the stub"]);
}

#[test]
fn other_bytes_are_never_executed() {
    let fixture = container();
    let key = fixture
        .server
        .keys()
        .into_iter()
        .find(|key| key.starts_with(FOLDER));
    let true_program = std::fs::read("/bin/true").unwrap();
    fixture.server.put(&key.unwrap(), true_program);
    assert_dies(&fixture, exit_code::BOOTSTRAP_FETCH, "sha256 mismatch");
}

#[test]
fn a_missing_binary_is_named() {
    let mut fixture = container();
    let digests = format!(r#"{{"{}": "abc"}}"#, std::env::consts::ARCH);
    fixture.set(bootstrap::variable::SHA256, &digests);
    assert_dies(&fixture, exit_code::BOOTSTRAP_FETCH, "NoSuchKey");
    fixture.set(bootstrap::variable::SHA256, r#"{"pdp11": "abc"}"#);
    assert_dies(
        &fixture,
        exit_code::NO_BOOTSTRAP,
        "no bootstrap for machine",
    );
}

#[test]
fn a_store_that_throttles_is_outlived() {
    let fixture = container();
    fixture
        .server
        .fail("GET", "/bootstrap/", 1, Fault::Status(503));
    fixture.server.fail("GET", "/bootstrap/", 1, Fault::Reset);
    assert_becomes(&fixture);
}

#[test]
fn credentials_come_from_the_container_or_the_instance() {
    let document = format!(r#"{{"AccessKeyId":"A","SecretAccessKey":"{SECRET}","Token":"t o/k"}}"#);
    let mut fixture = container();
    fixture.unset("AWS_ACCESS_KEY_ID");
    let needs = [("x-aws-ec2-metadata-token-ttl-seconds", "21600")];
    fixture
        .server
        .answer("PUT", "/latest/api/token", &needs, "tok");
    let folder = "/latest/meta-data/iam/security-credentials/";
    let needs = [("x-aws-ec2-metadata-token", "tok")];
    fixture.server.answer("GET", folder, &needs, "role");
    fixture
        .server
        .answer("GET", &format!("{folder}role"), &needs, &document);
    let endpoint = fixture.server.url();
    fixture.set("AWS_EC2_METADATA_SERVICE_ENDPOINT", &endpoint);
    assert_becomes(&fixture);

    let needs = [("authorization", "word")];
    fixture.server.answer("GET", "/full", &needs, &document);
    fixture.set(
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        &format!("{endpoint}/full"),
    );
    fixture.set("AWS_CONTAINER_AUTHORIZATION_TOKEN", "word");
    // Credentials never go through a proxy.
    fixture.set("http_proxy", "http://127.0.0.1:9");
    fixture.set("no_proxy", "127.0.0.1");
    assert_becomes(&fixture);
}
