//! The engine's end of the host protocol, against a scripted host.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    time::Duration,
};

use compute::host::{
    Host, HostError, HostEvents, PrepareSiblings, SiblingKey,
    protocol::{DatastoreWrite, FinishOutcome, PROTOCOL_VERSION, Prepare, PreparedPlace},
};
use model::{Attempt, StepName, TaskKey};
use serde_json::{Value, json};

const DEADLINE: Duration = Duration::from_secs(20);

struct ScriptedHost(UnixStream);

impl ScriptedHost {
    fn say(&mut self, message: &Value) {
        let body = serde_json::to_vec(message).unwrap();
        self.0
            .write_all(&u32::try_from(body.len()).unwrap().to_be_bytes())
            .unwrap();
        self.0.write_all(&body).unwrap();
    }

    fn hear(&mut self) -> Value {
        let mut length = [0; 4];
        self.0.read_exact(&mut length).unwrap();
        let mut body = vec![0; u32::from_be_bytes(length) as usize];
        self.0.read_exact(&mut body).unwrap();
        serde_json::from_slice(&body).unwrap()
    }

    fn greet(&mut self, protocol: u32) {
        self.say(
            &json!({"type": "hello", "protocol": protocol, "metaflow": "2.19.39",
                         "python": "3.11.7", "pid": 1}),
        );
        let node = json!({"name": "start", "kind": "end", "next": [], "previous": [],
                          "split_parents": []});
        self.say(&json!({"type": "plan", "plan": {
            "version": 1, "flow": "F", "run": "1", "params": "1/_parameters/0",
            "graph": {"start": "start", "end": "start", "nodes": [node]},
            "steps": {"start": {"retry": {"user": 0, "error": 0}}},
            "limits": {"max_workers": 16, "max_num_splits": 100, "max_log_size": 1},
            "datastore": {"kind": "local", "root": "/x"}, "metadata": "local",
            "console": {"color": false}}}));
    }
}

fn pair() -> (ScriptedHost, std::os::fd::OwnedFd) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    ours.set_read_timeout(Some(DEADLINE)).unwrap();
    (ScriptedHost(ours), theirs.into())
}

fn question(task: u32, step: &StepName) -> Prepare<'_> {
    Prepare {
        id: 0,
        task: TaskKey(task),
        step,
        attempt: Attempt(0),
        split_index: None,
        max_user_code_retries: 0,
        input_paths: &[],
        task_id: None,
    }
}

#[tokio::test]
async fn credentials_are_asked_for_beside_attempts() {
    let (mut host_end, fd) = pair();
    host_end.greet(PROTOCOL_VERSION);
    let (host, _, _events) = Host::connect(fd).await.unwrap();
    let step = StepName::new("start").unwrap();
    let questions = host.questions();
    let first = questions.credentials("s3");
    let attempt = host.prepare(question(1, &step));
    let second = questions.credentials("batch");
    let scripted = tokio::task::spawn_blocking(move || {
        let asked = [host_end.hear(), host_end.hear(), host_end.hear()];
        host_end.say(
            &json!({"type": "credentials", "id": 1, "access_key_id": "AK", "secret_access_key": "s",
                "session_token": null, "expires_at": 1.5e9}),
        );
        let no = json!({"type": "refused", "id": 2, "error": "no", "traceback": ""});
        host_end.say(&no);
        let no = json!({"type": "refused", "id": 3, "error": "none", "traceback": ""});
        host_end.say(&no);
        (asked, host_end)
    });
    let (asked, _host_end) = scripted.await.unwrap();
    let question = json!({"type": "credentials", "id": 1, "service": "s3"});
    assert_eq!(asked[0], question);
    assert_eq!(
        (&asked[1]["type"], &asked[1]["id"]),
        (&json!("prepare"), &json!(2))
    );
    assert_eq!(
        (&asked[2]["service"], &asked[2]["id"]),
        (&json!("batch"), &json!(3))
    );
    let found = first.await.unwrap();
    assert_eq!(found.access_key_id, "AK");
    assert_eq!(
        (found.session_token.clone(), found.expires_at),
        (None, Some(1.5e9))
    );
    assert!(!format!("{found:?}").contains("AK"), "{found:?}");
    assert!(matches!(
        attempt.await,
        Err(HostError::Refused { id: 2, .. })
    ));
    assert!(matches!(
        second.await,
        Err(HostError::Refused { id: 3, .. })
    ));
}

#[tokio::test]
async fn questions_find_their_answers() {
    let (mut scripted, fd) = pair();
    scripted.greet(PROTOCOL_VERSION);
    let (host, session, mut events) = Host::connect(fd).await.unwrap();
    assert_eq!(session.plan.flow.as_str(), "F");

    let step = StepName::new("start").unwrap();
    let (first, second) = (
        host.prepare(question(4, &step)),
        host.prepare(question(5, &step)),
    );
    let third = host.prepare(question(6, &step));
    let script = tokio::task::spawn_blocking(move || {
        let (one, two) = (scripted.hear(), scripted.hear());
        assert_eq!((&one["task"], &two["task"]), (&json!(4), &json!(5)));
        scripted.say(&json!({"type": "prepared", "id": one["id"], "task_id": "9",
            "argv": ["true"], "env": {"set": {}, "unset": []}, "cwd": "/",
            "place": {"kind": "local"}, "writes": [{"key": "F/1/a/9/0.attempt.json", "body": "{}"}]}));
        scripted.say(&json!({"type": "refused", "id": two["id"], "error": "no", "traceback": ""}));
        let three = scripted.hear();
        scripted.say(
            &json!({"type": "refused", "id": three["id"], "error": "not ours", "taken_over": true}),
        );
        scripted.say(&json!({"type": "signal", "signo": 15}));
        scripted
    });
    let prepared = first.await.unwrap();
    assert_eq!(prepared.task_id.as_str(), "9");
    assert!(matches!(
        prepared.place,
        PreparedPlace::Local { fresh: None }
    ));
    let (key, body) = ("F/1/a/9/0.attempt.json".to_owned(), "{}".to_owned());
    assert_eq!(prepared.writes, [DatastoreWrite { key, body }]);
    assert!(matches!(second.await, Err(HostError::Refused { error, .. }) if error == "no"));
    assert!(matches!(third.await, Err(HostError::TakenOver)));
    let mut scripted = script.await.unwrap();
    assert!(matches!(events.recv().await, Some(HostEvents::Signal(15))));

    host.finish(&FinishOutcome::EndNotReached);
    let finish = tokio::task::spawn_blocking(move || scripted.hear())
        .await
        .unwrap();
    assert_eq!(
        finish,
        json!({"type": "finish", "outcome": {"kind": "end_not_reached"}})
    );
    let gone = tokio::time::timeout(DEADLINE, events.recv()).await.unwrap();
    assert!(matches!(gone, Some(HostEvents::Gone)));
}

#[tokio::test]
async fn an_open_question_fails_when_the_host_goes() {
    let (mut scripted, fd) = pair();
    scripted.greet(PROTOCOL_VERSION);
    let (host, _, _events) = Host::connect(fd).await.unwrap();
    let step = StepName::new("start").unwrap();
    let answer = host.prepare(question(1, &step));
    drop(scripted);
    let answer = tokio::time::timeout(DEADLINE, answer).await.unwrap();
    assert!(matches!(answer, Err(HostError::Gone)));
}

#[tokio::test]
async fn another_protocol_is_refused_with_its_cause() {
    let (mut scripted, fd) = pair();
    scripted.greet(99);
    let error = Host::connect(fd).await.unwrap_err().to_string();
    assert!(error.contains("protocol 99"), "{error}");
    assert!(error.contains("different versions"), "{error}");
}

/// An answer for four siblings, of which so many follow from the first.
fn siblings(id: &Value, others: u64) -> Value {
    let command = |task: u64| {
        json!([
            "python",
            "--split-index",
            (task - 5).to_string(),
            "--task-id",
            task.to_string()
        ])
    };
    let place = json!({"kind": "batch", "command_options": {"task-id": "5"},
        "code": {"url": "s3://b/k", "sha256": "00", "size": 1},
        "container": {"command": command(5), "shell": false, "prepare": [], "environment": {"ID": "5", "CPU": "5"},
                      "user_environment": {}, "install": true},
        "parameters": {"metaflow.task_id": "5", "metaflow.user": "ada"}, "tags": {}});
    let first =
        json!({"id": id, "task_id": "5", "argv": ["true"], "env": {}, "cwd": "/", "place": place});
    let other = |task: u64| json!({"task_id": task.to_string(), "writes": [{"key": task.to_string(), "body": "{}"}]});
    json!({"type": "prepared_siblings", "id": id, "members": [first],
        "differences": [[["container", "command", 2], "split_index"], [["container", "command", 4], "task_id"],
                        [["container", "environment", "ID"], "task_id"], [["parameters", "metaflow.task_id"], "task_id"],
                        [["command_options", "task-id"], "task_id"]],
        "others": (6..6 + others).map(other).collect::<Vec<_>>()})
}

#[tokio::test]
async fn siblings_follow_from_the_first() {
    let (mut scripted, fd) = pair();
    scripted.greet(PROTOCOL_VERSION);
    let (host, _, _events) = Host::connect(fd).await.unwrap();
    let step = StepName::new("start").unwrap();
    let member = |index: u32| SiblingKey {
        task: TaskKey(3 + index),
        split_index: u64::from(index),
    };
    let members: Vec<_> = (0..4).map(member).collect();
    let question = || PrepareSiblings {
        id: 0,
        step: &step,
        members: &members,
        max_user_code_retries: 0,
        input_paths: &[],
    };
    let (all, first_two, too_many) = (
        host.prepare_siblings(question()),
        host.prepare_siblings(question()),
        host.prepare_siblings(question()),
    );
    let script = tokio::task::spawn_blocking(move || {
        for others in [3, 1, 4] {
            let asked = scripted.hear();
            assert_eq!(asked["members"][3], json!({"task": 6, "split_index": 3}));
            scripted.say(&siblings(&asked["id"], others));
        }
        scripted
    });
    let all = all.await.unwrap();
    assert_eq!(first_two.await.unwrap().len(), 2);
    assert!(matches!(too_many.await, Err(HostError::Protocol { .. })));
    drop(script.await.unwrap());
    let tasks = all.iter().map(|prepared| match &prepared.place {
        PreparedPlace::Batch(task) => task,
        other => panic!("{other:?}"),
    });
    let tasks: Vec<_> = tasks.collect();
    for (index, (prepared, task)) in all.iter().zip(&tasks).enumerate() {
        let id = (5 + index).to_string();
        assert_eq!(prepared.task_id.as_str(), id);
        let command = [
            "python",
            "--split-index",
            &index.to_string(),
            "--task-id",
            &id,
        ];
        assert_eq!(task.command(), command);
        let variables = task.environment();
        assert_eq!((&variables["ID"], variables["CPU"].as_str()), (&id, "5"));
        let parameters = task.parameters();
        assert_eq!(parameters["metaflow.task_id"], id);
        assert_eq!(parameters["metaflow.user"], "ada");
        assert!(task.shares_with(tasks[0]));
    }
    assert_eq!(all[3].writes[0].key, "8");
}
