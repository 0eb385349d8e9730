//! `ferroflow doctor`: a healthy set-up, and broken ones, each of which it names. And a run whose AWS credentials only the
//! flow's Python has.

mod harness;
#[path = "doctor/place.rs"]
mod place;

use std::{
    collections::BTreeMap,
    net::TcpListener,
    time::{Duration, Instant},
};

use harness::{
    FERROFLOW,
    lab::{Lab, Launcher},
    python,
    stack::Stack,
};
use place::{Place, canned, server, text};
use serde_json::json;

#[test]
fn a_healthy_set_up_has_no_problem() {
    let service = server(
        "HTTP/1.1 200 OK\r\nMETADATA_SERVICE_VERSION: 2.5.1\r\ncontent-length: 4\r\nconnection: close\r\n\r\npong",
    );
    let place = Place::on_stack()
        .set(
            "FERROFLOW_PYTHON",
            &text(python::with_metaflow().to_owned()),
        )
        .set("METAFLOW_DEFAULT_METADATA", "service")
        .set("METAFLOW_SERVICE_URL", &service)
        .set("METAFLOW_SERVICE_AUTH_KEY", "the-key-of-the-service");
    let report = place.examine();
    report.has_problems(&[]);
    assert_eq!(report.of_level("warning"), Vec::<String>::new());
    let fine = report.of_level("ok").join("\n");
    for part in [
        "found as FERROFLOW_PYTHON",
        "metaflow: 2.19.39",
        "extension: found as ",
        "user: tester",
        "bootstraps for containers: x86_64, aarch64",
        "AWS credentials: from the environment",
        "AWS identity: arn:aws:",
        "clock: within 30 s",
        "datastore `s3://",
        "can be listed",
        "job queue `ferroflow-dev`: ENABLED and VALID",
        "compute environment `",
        "job role: arn:aws:iam::",
        "image `ferroflow-dev`",
        "answers, version 2.5.1",
    ] {
        assert!(fine.contains(part), "{part} is not in\n{fine}");
    }
    let values = report.values();
    let queue = ("ferroflow-dev".to_owned(), "environment".to_owned());
    assert_eq!(values["METAFLOW_BATCH_JOB_QUEUE"], queue);
    assert_eq!(values["METAFLOW_SERVICE_AUTH_KEY"].0, "(set)");
    assert_eq!(values["AWS region"].1, "AWS_DEFAULT_REGION");
    for secret in [
        "the-key-of-the-service",
        &*place.variables["AWS_SECRET_ACCESS_KEY"],
    ] {
        assert!(!report.said.contains(secret), "{}", report.said);
    }
    // For people, the same.
    let output = place
        .command(FERROFLOW.as_ref())
        .arg("doctor")
        .output()
        .expect("it starts");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.ends_with("\nproblems: 0, warnings: 0\n"), "{said}");
    assert!(!said.contains("the-key-of-the-service"), "{said}");
}

#[test]
fn without_aws_nothing_is_asked_of_it() {
    let report = Place::new().examine();
    report.has_problems(&[]);
    let skipped = report.of_level("skipped").join("\n");
    assert!(skipped.contains("AWS: not configured"), "{skipped}");
    assert!(skipped.contains("metadata service: not used"), "{skipped}");
}

#[test]
fn credentials_that_are_no_good_are_named() {
    let on_stack = Place::on_stack;
    for (place, code) in [
        (
            on_stack().set("AWS_SECRET_ACCESS_KEY", "wrong"),
            "SignatureDoesNotMatch",
        ),
        (
            on_stack().set("AWS_ACCESS_KEY_ID", "AKIAUNKNOWN"),
            "InvalidClientTokenId",
        ),
    ] {
        let parts = ["AWS identity: the credentials are refused: ", code];
        place.examine().has_problems(&[&parts]);
    }
    let none = on_stack()
        .unset("AWS_ACCESS_KEY_ID")
        .unset("AWS_SECRET_ACCESS_KEY");
    none.examine()
        .has_problems(&[&["AWS credentials: no AWS credentials"]]);
    let none = on_stack()
        .unset("AWS_ACCESS_KEY_ID")
        .unset("AWS_SECRET_ACCESS_KEY");
    let config = "[default]\nrole_arn = arn:aws:iam::1:role/r\nsource_profile = k\nmfa_serial = m\n[profile k]\n\
                  aws_access_key_id = a\naws_secret_access_key = s\n";
    let report = none.file("home/.aws/config", config).examine();
    report.has_problems(&[]);
    assert!(report.of_level("skipped")[0].contains("profile `default` (a role) has `mfa_serial`"));
}

#[test]
fn what_is_wrong_with_aws_is_named() {
    let on_stack = Place::on_stack;
    let role = "METAFLOW_ECS_S3_ACCESS_IAM_ROLE";
    let table: [(Place, &[&str]); 9] = [
        (
            on_stack().set("AWS_PROFILE", "none"),
            &["AWS configuration: there is no AWS profile `none`, which AWS_PROFILE names"],
        ),
        (
            on_stack().set("AWS_CA_BUNDLE", "/none.pem"),
            &["AWS configuration: cannot read the certificates `/none.pem`"],
        ),
        (
            on_stack().set("METAFLOW_DATASTORE_SYSROOT_S3", "s3://nowhere/x"),
            &[
                "datastore `s3://nowhere/x`: NoSuchBucket",
                "METAFLOW_DATASTORE_SYSROOT_S3",
            ],
        ),
        (
            on_stack().set("METAFLOW_BATCH_JOB_QUEUE", "none"),
            &[
                "job queue `none`: AWS Batch Job Queue none not found.",
                "METAFLOW_BATCH_JOB_QUEUE",
            ],
        ),
        (on_stack().unset(role), &["job role: none is named", role]),
        (
            on_stack().set(role, "a-role"),
            &["job role: `a-role` is not the ARN of a role", role],
        ),
        (
            on_stack().unset("METAFLOW_DATASTORE_SYSROOT_S3"),
            &["datastore (S3): METAFLOW_DATASTORE_SYSROOT_S3 is not set"],
        ),
        (
            on_stack().unset("AWS_DEFAULT_REGION").unset("AWS_REGION"),
            &["AWS region: none is configured", "AWS_DEFAULT_REGION"],
        ),
        (
            on_stack()
                .file("empty/x", "")
                .set("FERROFLOW_BOOTSTRAP_DIR", "/nowhere"),
            &[
                "bootstraps for containers: the bootstrap for containers is not installed",
                "/nowhere",
            ],
        ),
    ];
    for (place, parts) in table {
        place.examine().has_problems(&[parts]);
    }
    let warned = on_stack()
        .set("METAFLOW_BATCH_CONTAINER_IMAGE", "r/python:3.9-slim")
        .examine();
    warned.has_problems(&[]);
    let warnings = warned.of_level("warning").join("\n");
    assert!(
        warnings.contains("has Python 3.9, and flows are launched by Python 3.11"),
        "{warnings}"
    );
}

/// Of the queue's compute environments, one that works is enough.
#[test]
fn queues_that_run_nothing_are_named() {
    const PREPARE: &str = r#"
import boto3
batch = boto3.client("batch")
queue = batch.describe_job_queues()["jobQueues"][0]
order = [dict(order=1, computeEnvironment=queue["computeEnvironmentOrder"][0]["computeEnvironment"])]
batch.create_job_queue(jobQueueName="closed", state="DISABLED", priority=1, computeEnvironmentOrder=order)
resources = dict(type="EC2", maxvCpus=1, minvCpus=0, subnets=["s"], securityGroupIds=["g"], instanceRole="r", instanceTypes=["optimal"])
batch.create_compute_environment(computeEnvironmentName="off", type="MANAGED", state="DISABLED", computeResources=resources)
off = [dict(order=2, computeEnvironment="off")]
batch.create_job_queue(jobQueueName="idle", state="ENABLED", priority=1, computeEnvironmentOrder=off)
batch.create_job_queue(jobQueueName="half", state="ENABLED", priority=1, computeEnvironmentOrder=order + off)
"#;
    let place = Place::on_stack();
    let mut prepare = place.command(python::with_metaflow());
    let prepared = prepare
        .args(["-c", PREPARE])
        .output()
        .expect("Python starts");
    assert!(
        prepared.status.success(),
        "{}",
        String::from_utf8_lossy(&prepared.stderr)
    );
    let with = |queue: &str| {
        Place::on_stack()
            .set("METAFLOW_BATCH_JOB_QUEUE", queue)
            .examine()
    };
    with("closed").has_problems(&[&["job queue `closed`: it is DISABLED"]]);
    with("idle").has_problems(&[&[
        "compute environment `off`: it is DISABLED",
        "jobs stay RUNNABLE",
    ]]);
    let half = with("half");
    half.has_problems(&[]);
    assert!(half.of_level("warning")[0].contains("compute environment `off`: it is DISABLED"));
}

#[test]
fn what_is_wrong_with_this_machine_is_named() {
    let table: [(Place, &[&str]); 8] = [
        (
            Place::new().set("FERROFLOW_PYTHON", "/nowhere/python"),
            &["interpreter: FERROFLOW_PYTHON names `/nowhere/python`, which does not exist"],
        ),
        (
            Place::new().python(&canned("2.12.5")),
            &["metaflow: 2.12.5 is older than 2.15"],
        ),
        (
            Place::new().python(
                &json!({"python": "3.11.7", "settings": {}, "extension": "x",
                "error": "ModuleNotFoundError: No module named metaflow"}),
            ),
            &[
                "metaflow: cannot be imported: ModuleNotFoundError",
                "pip install metaflow",
            ],
        ),
        (
            Place::new().python(
                &json!({"python": "3.11.7", "settings": {}, "metaflow": "2.19.39",
                "extension_error": "no such module"}),
            ),
            &[
                "extension: cannot be imported: no such module",
                "__init__.py",
            ],
        ),
        (
            Place::new().unset("METAFLOW_USER").set("USER", "root"),
            &["user: ", "set METAFLOW_USER"],
        ),
        (
            Place::new().set("METAFLOW_PROFILE", "none"),
            &[
                "Metaflow configuration: there is no `",
                "config_none.json`",
                "METAFLOW_PROFILE",
            ],
        ),
        (
            Place::new().file("work/.metaflow/config.json", "{"),
            &[
                "Metaflow configuration: `",
                "config.json` is no JSON object",
            ],
        ),
        (
            Place::new().set("METAFLOW_DATASTORE_SYSROOT_LOCAL", "/dev/null"),
            &["datastore (local) `/dev/null/.metaflow`: cannot make a file in"],
        ),
    ];
    for (place, parts) in table {
        place.examine().has_problems(&[parts]);
    }
}

#[test]
fn what_is_wrong_with_the_metadata_service_is_named() {
    let refusing =
        server("HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    let with = |url: Option<&str>| {
        let place = Place::new().set("METAFLOW_DEFAULT_METADATA", "service");
        match url {
            Some(url) => place.set("METAFLOW_SERVICE_URL", url).examine(),
            None => place.examine(),
        }
    };
    with(None).has_problems(&[&["metadata service: ", "METAFLOW_SERVICE_URL is not set"]]);
    with(Some(&refusing))
        .has_problems(&[&["refuses the key: status 403", "METAFLOW_SERVICE_AUTH_KEY"]]);
    with(Some("http://127.0.0.1:9")).has_problems(&[&["`http://127.0.0.1:9`: does not answer"]]);
}

#[test]
fn a_wrong_clock_is_named() {
    let aws = server(
        "HTTP/1.1 403 Forbidden\r\nDate: Wed, 01 Jan 2020 00:00:00 GMT\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
    );
    let report = Place::on_stack()
        .set("AWS_ENDPOINT_URL", &aws)
        .set("METAFLOW_S3_ENDPOINT_URL", &aws)
        .examine();
    let problems = report.of_level("problem").join("\n");
    assert!(
        problems.contains("clock: ") && problems.contains("s ahead of that of AWS"),
        "{problems}"
    );
}

/// Servers that take connections and say nothing, for all of it.
#[test]
fn an_answer_comes_however_little_can_be_reached() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", silent.local_addr().expect("it is bound"));
    let started = Instant::now();
    let report = Place::on_stack()
        .set("AWS_ENDPOINT_URL", &url)
        .set("METAFLOW_S3_ENDPOINT_URL", &url)
        .set("METAFLOW_DEFAULT_METADATA", "service")
        .set("METAFLOW_SERVICE_URL", &url)
        .examine();
    assert!(
        started.elapsed() < Duration::from_secs(15),
        "{:?}",
        started.elapsed()
    );
    let problems = report.of_level("problem").join("\n");
    for part in ["datastore `s3://", "job queue", "metadata service `"] {
        assert!(problems.contains(part), "{part} is not in\n{problems}");
    }
}

/// The order of the sources, compared with what Metaflow itself makes of the same files and variables.
#[test]
fn settings_are_metaflows() {
    const PRINT: &str = r#"
import json, sys
from metaflow import metaflow_config as config
text = lambda v: json.dumps(v, separators=(",", ":")) if isinstance(v, (dict, list)) else str(v)
print(json.dumps({name: text(getattr(config, name)) for name in json.loads(sys.argv[1])}))
"#;
    let user = json!({"METAFLOW_DATASTORE_SYSROOT_S3": "s3://user/x/", "METAFLOW_BATCH_JOB_QUEUE": "of-user",
        "METAFLOW_SERVICE_URL": "http://user", "METAFLOW_DEFAULT_CONTAINER_IMAGE": "image",
        "METAFLOW_BATCH_EMIT_TAGS": true, "METAFLOW_BATCH_DEFAULT_TAGS": {"a": "b"}});
    let profile = json!({"METAFLOW_BATCH_JOB_QUEUE": "of-profile", "METAFLOW_DEFAULT_RUNTIME_LIMIT": 60,
        "METAFLOW_DATASTORE_SYSROOT_S3": ""});
    let project =
        json!({"METAFLOW_DEFAULT_METADATA": "service", "METAFLOW_BATCH_CONTAINER_REGISTRY": ""});
    let place = || {
        Place::new()
            .file("home/.metaflowconfig/config.json", &user.to_string())
            .file("elsewhere/config_p.json", &profile.to_string())
            .file(".metaflow/config.json", &project.to_string())
    };
    for place in [
        place(),
        place()
            .set("METAFLOW_BATCH_JOB_QUEUE", "of-environment")
            .set("METAFLOW_BATCH_EMIT_TAGS", "0"),
        place()
            .set("METAFLOW_HOME", "../elsewhere")
            .set("METAFLOW_PROFILE", "p"),
    ] {
        let ours = place.examine().values();
        let of_metaflow = |name: &&String| name.starts_with("METAFLOW_");
        let unknown = ["METAFLOW_USER", "METAFLOW_HOME", "METAFLOW_PROFILE"];
        let names: Vec<_> = ours
            .keys()
            .filter(of_metaflow)
            .filter(|name| !unknown.contains(&name.as_str()))
            .map(|name| name.trim_start_matches("METAFLOW_"))
            .collect();
        assert!(names.len() > 9, "{names:?}");
        let mut upstream = place.command(python::with_metaflow());
        let output = upstream
            .args(["-c", PRINT, &json!(names).to_string()])
            .output();
        let output = output.expect("Python starts");
        let failed = String::from_utf8_lossy(&output.stderr);
        let theirs: BTreeMap<String, String> =
            serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{failed}"));
        for name in names {
            let (value, _) = &ours[&format!("METAFLOW_{name}")];
            let value = match (name, value.as_str()) {
                // A switch is what Metaflow makes of the text.
                ("BATCH_EMIT_TAGS", "0") => "False",
                (_, value) => value,
            };
            assert_eq!(value, theirs[name], "{name}");
        }
    }
}

/// The engine asks the host for credentials; neither has any of its own.
#[test]
fn a_run_with_the_credentials_of_a_provider() {
    let lab = Lab::new("single_step.py");
    let mut command = lab.command(Launcher::Ferroflow, &["run", "--with", "batch"]);
    let environment = Stack::shared().environment();
    let extension = harness::tests_folder().with_file_name("python/tests/extension");
    command
        .envs(&environment)
        .env_remove("AWS_ACCESS_KEY_ID")
        .env_remove("AWS_SECRET_ACCESS_KEY")
        .env("METAFLOW_DEFAULT_AWS_CLIENT_PROVIDER", "company")
        .env("PYTHONPATH", extension)
        .env("COMPANY_KEY", &environment["AWS_ACCESS_KEY_ID"])
        .env("COMPANY_SECRET", &environment["AWS_SECRET_ACCESS_KEY"])
        .env("COMPANY_TOKEN", "");
    let run = lab.start(command).wait().exited(0).says("Done!");
    run.does_not_say("handing").does_not_say("own process");
}
