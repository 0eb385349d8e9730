//! Children of array jobs: each runs its own task, and nobody who can only write to the datastore changes which.

use model::{
    TaskKey, TaskPath,
    array_spec::ArrayKey,
    batch::{Resources, spec_variables},
    exit_code::container,
    launch_record::{self, Header, Planned},
    layout,
};

use crate::fixture::{Fixture, RECORD};

const CHILDREN: u32 = 3;

/// Writes the record of an array whose children say which they are, and makes the fixture one of them.
fn become_child(fixture: &mut Fixture, index: u32) {
    let mut specs = Vec::new();
    for index in 0..CHILDREN {
        let mut spec = fixture.spec.clone();
        let task: TaskPath = format!("7/work/{}", 2 + index).parse().unwrap();
        spec.claim = layout::claim(&spec.flow, &task, spec.attempt, spec.launch);
        spec.outcome = layout::outcome(&spec.flow, &task.run, 3, index);
        spec.task = task;
        spec.command[2] = format!("echo child {index}");
        specs.push(spec);
    }
    fixture.spec = specs[index as usize].clone();
    let planned = Planned {
        job_name: "work".to_owned(),
        queue: "queue".to_owned(),
        definition: "definition:1".to_owned(),
        resources: Resources {
            vcpu: "1".to_owned(),
            memory: "4096".to_owned(),
            gpu: None,
        },
        members: (0..CHILDREN).map(TaskKey).collect(),
        key: Some(ArrayKey([5; 32])),
    };
    let spec = |_: usize, child: usize| Ok::<_, serde_json::Error>(specs[child].clone());
    let header = Header {
        seq: 3,
        ..Header::default()
    };
    let (object, places) = launch_record::encode(header, &[planned], spec).unwrap();
    fixture.server.put(RECORD, object);
    let key = layout::launch_record(&fixture.spec.flow, &fixture.spec.task.run, 3);
    for (name, value) in spec_variables(&fixture.spec.store, &key, &places[0]) {
        fixture.set(&name, &value);
    }
    fixture.set("AWS_BATCH_JOB_ARRAY_INDEX", &index.to_string());
    fixture.set("AWS_BATCH_JOB_ID", &format!("job-1:{index}"));
}

#[test]
fn each_child_runs_its_own_task() {
    for index in 0..CHILDREN {
        let mut fixture = Fixture::new("");
        become_child(&mut fixture, index);
        assert_eq!(fixture.run_as_is().code, 0);
        assert_eq!(fixture.output(), [format!("child {index}")]);
        let outcome = fixture.outcome().unwrap();
        assert_eq!(outcome.job, format!("job-1:{index}"));
    }
}

#[test]
fn what_was_changed_is_not_run() {
    let mut fixture = Fixture::new("");
    become_child(&mut fixture, 1);
    let mut changed = fixture.server.object(RECORD).unwrap();
    let at = changed
        .windows(7)
        .rposition(|bytes| bytes == b"child 1")
        .unwrap();
    changed[at] = b'C';
    fixture.server.put(RECORD, changed);
    assert_refused(
        &mut fixture,
        "spec of child 1 is not the one that the job was submitted with",
    );
}

/// One's entry is not another's, and there is none for what the array does not have.
#[test]
fn an_index_beyond_the_array_is_refused() {
    let mut fixture = Fixture::new("");
    become_child(&mut fixture, 1);
    fixture.set("AWS_BATCH_JOB_ARRAY_INDEX", "3");
    assert_refused(&mut fixture, "spec of child 3");
    fixture.set("AWS_BATCH_JOB_ARRAY_INDEX", "one");
    assert_refused(
        &mut fixture,
        "`AWS_BATCH_JOB_ARRAY_INDEX` has the value `one`",
    );
    fixture.unset("AWS_BATCH_JOB_ARRAY_INDEX");
    assert_refused(&mut fixture, "`AWS_BATCH_JOB_ARRAY_INDEX` is not set");
    become_child(&mut fixture, 1);
    fixture.set("FERROFLOW_SPEC_ARRAY", "12+3:00");
    assert_refused(&mut fixture, "`FERROFLOW_SPEC_ARRAY`");
}

#[track_caller]
fn assert_refused(fixture: &mut Fixture, text: &str) {
    let ended = fixture.run_as_is();
    assert_eq!(ended.code, container::BOOTSTRAP_FAILED);
    let stderr = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(stderr.contains(text), "{stderr}");
    assert!(fixture.claim().is_none());
}
