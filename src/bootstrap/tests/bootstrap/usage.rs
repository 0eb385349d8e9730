//! What is told of a task's use of the machine.

use std::time::Duration;

use model::spec::{GpuUsage, TaskOutcome};
use serde_json::Value;

use crate::{
    fixture::{Ended, Fixture},
    server::Fault,
};

const METADATA: &str = "/flows/F/runs/7/steps/start/tasks/1/metadata";
const CREATED: &str = r#"{"metadata_created": 3}"#;

/// A task of a run whose metadata service wants a key.
fn with_service(script: &str) -> Fixture {
    let mut fixture = Fixture::new(script);
    let url = fixture.server.url();
    fixture
        .server
        .answer("POST", METADATA, &[("x-api-key", "k")], CREATED);
    fixture.spec.registers_usage = true;
    for (name, value) in [
        ("METAFLOW_SERVICE_URL", format!("{url}/").as_str()),
        ("METAFLOW_SERVICE_HEADERS", r#"{"x-api-key": "k"}"#),
        ("METAFLOW_USER", "ada"),
    ] {
        fixture.spec.environment.insert(name.into(), value.into());
    }
    fixture
}

/// The bodies of the requests to the service, by their answers.
fn told(fixture: &Fixture) -> Vec<(u16, Value)> {
    let seen = fixture.server.seen().into_iter();
    seen.filter(|seen| seen.method == "POST")
        .map(|seen| {
            assert_eq!(seen.path, METADATA);
            (seen.status, serde_json::from_slice(&seen.body).unwrap())
        })
        .collect()
}

fn console(ended: &Ended) -> String {
    String::from_utf8_lossy(&[&ended.stdout[..], &ended.stderr].concat()).into_owned()
}

#[test]
fn the_metadata_service_is_told_before_the_launcher() {
    let mut fixture = with_service("true");
    let ended = fixture.run();
    assert_eq!(ended.code, 0, "{}", console(&ended));
    let told = told(&fixture);
    let [(200, records)] = &told[..] else {
        panic!("{told:?}");
    };
    let of = |name: &str| {
        let records = records.as_array().unwrap().iter();
        records
            .filter(|record| record["field_name"] == name)
            .cloned()
            .collect::<Vec<_>>()
    };
    let [peak] = &of("ferroflow-peak-memory-mb")[..] else {
        panic!("{records}");
    };
    assert_eq!(peak["type"], "ferroflow-peak-memory-mb");
    assert_eq!(peak["user_name"], "ada");
    assert_eq!(peak["tags"], serde_json::json!(["attempt_id:0"]));
    assert!(peak["value"].as_str().unwrap().parse::<u64>().is_ok());
    assert_eq!(of("ferroflow-cpu-seconds").len(), 1);
    assert_eq!(of("ferroflow-wall-seconds").len(), 1);
    let seen = fixture.server.seen();
    let last = seen.last().unwrap();
    assert!(last.path.contains("/outcome/"), "{last:?}");
}

#[test]
fn a_service_that_fails_is_no_failure_of_the_task() {
    for fault in [Fault::Status(500), Fault::Reset] {
        let mut fixture = with_service("true");
        fixture.server.fail("POST", METADATA, 9, fault);
        let ended = fixture.run();
        assert_eq!(ended.code, 0);
        let text = console(&ended);
        assert!(
            text.contains("what the task used is not in its metadata: "),
            "{text}"
        );
        assert!(fixture.outcome().is_some());
    }
}

#[test]
fn nothing_is_told_unless_the_launcher_says_so() {
    let mut fixture = with_service("true");
    fixture.spec.registers_usage = false;
    assert_eq!(fixture.run().code, 0);
    assert_eq!(told(&fixture), []);
    // A task that never started has used nothing.
    let mut fixture = with_service("");
    fixture.spec.command = vec!["no-such-program".into()];
    assert_ne!(fixture.run().code, 0);
    assert_eq!(told(&fixture), []);
}

/// Of a program in its place: there is no GPU here. When it is asked for the second time, the first answer was taken.
#[test]
fn gpus_are_asked_for_what_they_hold() {
    let mut fixture = Fixture::new("until test -e ../again; do sleep 0.02; done");
    fixture.settings.gpu_interval = Duration::from_millis(10);
    let script = format!(
        "cd {}; test ! -e asked || touch again; echo \"$@\" > asked; echo '100, 1000'; echo '50, 1000'",
        fixture.work().display()
    );
    fixture.program("nvidia-smi", &script);
    let ended = fixture.run();
    assert_eq!(ended.code, 0, "{}", console(&ended));
    let question = std::fs::read_to_string(fixture.work().join("asked")).unwrap();
    let wanted = "--query-gpu=memory.used,memory.total --format=csv,noheader,nounits\n";
    assert_eq!(question, wanted);
    let TaskOutcome { usage, .. } = fixture.outcome().unwrap();
    let expected = GpuUsage {
        peak_memory: 150 << 20,
        memory: 2_000 << 20,
    };
    assert_eq!(usage.gpu, Some(expected));
}

#[test]
fn without_gpus_none_are_told_of() {
    let mut fixture = Fixture::new("true");
    fixture.program("nvidia-smi", "echo 'No devices were found'; exit 6");
    assert_eq!(fixture.run().code, 0);
    assert_eq!(fixture.outcome().unwrap().usage.gpu, None);
}
