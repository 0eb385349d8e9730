//! Over a run of `testdata/fixture_flow.py` by metaflow 2.19.39, and over attempts that a real run
//! does not leave behind so easily.

use std::{io::Write, path::Path};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use model::{Attempt, FlowName, Graph, Node, NodeKind, StepName, TaskPath, pickle::write};

use super::*;
use crate::{
    Op, PutOptions,
    failing::{Effect, FailingStore, Fault},
    local::LocalStore,
};

const RUN: &str = "1795474309902956";

fn step(name: &str) -> StepName {
    StepName::new(name).unwrap()
}

fn graph() -> Graph {
    let node = |name, kind, next: &[&str]| Node {
        name: step(name),
        kind,
        next: next.iter().map(|name| step(name)).collect(),
        previous: Vec::new(),
        split_parents: Vec::new(),
        parallel_foreach: false,
    };
    Graph {
        start: step("start"),
        end: step("end"),
        nodes: vec![
            node("start", NodeKind::Split, &["left", "right"]),
            node("left", NodeKind::Foreach, &["outer"]),
            node("outer", NodeKind::Foreach, &["inner"]),
            node("inner", NodeKind::Linear, &["inner_join"]),
            node("inner_join", NodeKind::Join, &["outer_join"]),
            node("outer_join", NodeKind::Join, &["both"]),
            node("right", NodeKind::Linear, &["both"]),
            node("both", NodeKind::Join, &["choose"]),
            node("choose", NodeKind::SplitSwitch, &["go", "stay"]),
            node("go", NodeKind::Linear, &["flaky"]),
            node("stay", NodeKind::Linear, &["flaky"]),
            node("flaky", NodeKind::Linear, &["end"]),
            node("end", NodeKind::End, &[]),
        ],
    }
}

fn known() -> KnownValues {
    KnownValues::new(&graph(), 100)
}

fn fixture() -> FailingStore<LocalStore> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/upstream-2.19.39");
    FailingStore::new(LocalStore::new(root))
}

/// What attempt `attempt` of a task of the fixture says.
async fn says<S: ObjectStore>(
    store: &S,
    known: &KnownValues,
    task: &str,
    attempt: u32,
) -> Result<TaskResult, TaskResultError> {
    let flow = FlowName::new("FixtureFlow").unwrap();
    let task: TaskPath = format!("{RUN}/{task}").parse().unwrap();
    read(
        store,
        AttemptRef {
            flow: &flow,
            task: &task,
            attempt: Attempt(attempt),
        },
        known,
    )
    .await
}

fn succeeded(next: &[&str], fanout: Fanout) -> TaskResult {
    let next = next.iter().map(|name| step(name)).collect();
    TaskResult::Succeeded(Transition { next, fanout })
}

#[tokio::test]
async fn a_run_of_upstreams_is_read() {
    let (store, known) = (fixture(), known());
    for (task, attempt, expected) in [
        ("start/1", 0, succeeded(&["left", "right"], Fanout::One)),
        (
            "left/2",
            0,
            succeeded(&["outer"], Fanout::Foreach { splits: 2 }),
        ),
        (
            "outer/4",
            0,
            succeeded(&["inner"], Fanout::Foreach { splits: 3 }),
        ),
        ("inner/6", 0, succeeded(&["inner_join"], Fanout::One)),
        ("inner_join/12", 0, succeeded(&["outer_join"], Fanout::One)),
        ("outer_join/14", 0, succeeded(&["both"], Fanout::One)),
        ("right/3", 0, succeeded(&["both"], Fanout::One)),
        ("both/15", 0, succeeded(&["choose"], Fanout::One)),
        ("choose/16", 0, succeeded(&["go"], Fanout::One)),
        ("go/17", 0, succeeded(&["flaky"], Fanout::One)),
        ("flaky/18", 0, TaskResult::Failed),
        ("flaky/18", 1, succeeded(&["end"], Fanout::One)),
        ("flaky/18", 2, TaskResult::NotDone(Missing::DataJson)),
        ("end/19", 0, succeeded(&[], Fanout::One)),
    ] {
        assert_eq!(
            says(&store, &known, task, attempt).await.unwrap(),
            expected,
            "{task}"
        );
    }
}

#[tokio::test]
async fn only_names_of_foreach_variables_are_fetched_and_those_once() {
    let (store, known) = (fixture(), known());
    for task in ["start/1", "inner/6", "choose/16", "flaky/18", "end/19"] {
        says(&store, &known, task, 0).await.unwrap();
    }
    for _ in 0..3 {
        for task in ["left/2", "outer/4"] {
            says(&store, &known, task, 0).await.unwrap();
        }
    }
    let gets = store.calls(Op::Get);
    let blobs: Vec<&String> = gets.iter().filter(|key| key.contains("/data/")).collect();
    assert_eq!(blobs.len(), 2, "{blobs:?}");
    assert_eq!(gets.len(), 5 + 6 + 2);
}

#[tokio::test]
async fn nothing_needs_to_be_known() {
    let empty = Graph {
        nodes: Vec::new(),
        ..graph()
    };
    let known = KnownValues::new(&empty, 0);
    assert_eq!(
        says(&fixture(), &known, "outer/4", 0).await.unwrap(),
        succeeded(&["inner"], Fanout::Foreach { splits: 3 })
    );
}

#[tokio::test]
async fn a_failing_store_is_no_failed_task() {
    for op in [Op::Get, Op::Head] {
        let store = fixture();
        let kind = crate::ErrorKind::Throttled;
        store.fail(Fault {
            op,
            after: 0,
            count: 1,
            kind,
            effect: Effect::NotDone,
        });
        let error = says(&store, &known(), "start/1", 0).await.unwrap_err();
        assert!(error.is_transient(), "{error}");
        assert!(says(&store, &known(), "start/1", 0).await.is_ok());
    }
}

/// A store in which attempt 0 of task `w/1` has the given artifacts.
struct Made {
    _folder: tempfile::TempDir,
    store: LocalStore,
}

impl Made {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            store: LocalStore::new(folder.path()),
            _folder: folder,
        }
    }

    async fn put(&self, key: &str, body: impl Into<Bytes>) {
        let key = format!("FixtureFlow/{key}");
        self.store
            .put(&key, body.into(), PutOptions::default())
            .await
            .unwrap();
    }

    async fn artifacts(&self, artifacts: &[(&str, Vec<u8>)]) {
        let mut objects = serde_json::Map::new();
        for (name, pickle) in artifacts {
            let sha1 = BlobKey::of(pickle).to_string();
            let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
            packed.write_all(pickle).unwrap();
            self.put(
                &format!("data/{}/{sha1}", &sha1[..2]),
                packed.finish().unwrap(),
            )
            .await;
            objects.insert((*name).to_owned(), sha1.into());
        }
        let data = serde_json::json!({"version": "1.0", "objects": objects, "info": {}});
        self.put(&format!("{RUN}/w/1/0.data.json"), data.to_string())
            .await;
        self.put(&format!("{RUN}/w/1/0.DONE.lock"), "\"\"").await;
    }

    async fn says(&self) -> Result<TaskResult, TaskResultError> {
        says(&self.store, &known(), "w/1", 0).await
    }
}

#[tokio::test]
async fn an_attempt_without_its_marker_is_not_done() {
    let made = Made::new();
    assert_eq!(
        made.says().await.unwrap(),
        TaskResult::NotDone(Missing::DataJson)
    );
    made.put(&format!("{RUN}/w/1/0.data.json"), r#"{"objects": {}}"#)
        .await;
    assert_eq!(
        made.says().await.unwrap(),
        TaskResult::NotDone(Missing::DoneLock)
    );
}

#[tokio::test]
async fn artifacts_that_do_not_exist_are_none() {
    let made = Made::new();
    made.artifacts(&[]).await;
    assert_eq!(made.says().await.unwrap(), TaskResult::Failed);
    made.artifacts(&[("_task_ok", write::bool(true))]).await;
    assert_eq!(made.says().await.unwrap(), succeeded(&[], Fanout::One));
}

#[tokio::test]
async fn an_unbounded_foreach_has_no_width() {
    let made = Made::new();
    let transition = write::transition(&["train"], Some("_parallel_ubf_iter"));
    made.artifacts(&[
        ("_task_ok", write::bool(true)),
        ("_transition", transition),
        ("_foreach_num_splits", write::none()),
        ("_unbounded_foreach", write::bool(true)),
    ])
    .await;
    assert_eq!(
        made.says().await.unwrap(),
        succeeded(&["train"], Fanout::Unbounded)
    );
}

#[tokio::test]
async fn old_pickles_and_wide_foreaches_are_read() {
    let made = Made::new();
    made.artifacts(&[
        ("_task_ok", b"\x80\x02\x88.".to_vec()),
        (
            "_transition",
            b"\x80\x02]q\x00X\x04\x00\x00\x00workq\x01aX\x02\x00\x00\x00xsq\x02\x86q\x03.".to_vec(),
        ),
        ("_foreach_num_splits", write::int(1_000_000)),
    ])
    .await;
    let expected = succeeded(&["work"], Fanout::Foreach { splits: 1_000_000 });
    assert_eq!(made.says().await.unwrap(), expected);
}

#[tokio::test]
async fn impossible_values_are_errors() {
    let ok = || ("_task_ok", write::bool(true));
    let foreach = || ("_transition", write::transition(&["work"], Some("xs")));
    for (artifacts, text) in [
        (
            vec![ok(), ("_transition", write::int(1))],
            "artifact `_transition` of task `1795474309902956/w/1` has an unexpected value",
        ),
        (
            vec![ok(), foreach()],
            "artifact `_foreach_num_splits` of task `1795474309902956/w/1` has an unexpected value",
        ),
        (
            vec![ok(), foreach(), ("_foreach_num_splits", write::int(-1))],
            "artifact `_foreach_num_splits` of task `1795474309902956/w/1` has an unexpected value",
        ),
        (
            vec![("_task_ok", b"\x80\x04Q.".to_vec())],
            "failed to read artifact `_task_ok` of task `1795474309902956/w/1`",
        ),
    ] {
        let made = Made::new();
        made.artifacts(&artifacts).await;
        let error = made.says().await.unwrap_err();
        assert_eq!(error.to_string(), text);
        assert!(!error.is_transient());
    }
    let made = Made::new();
    made.put(&format!("{RUN}/w/1/0.data.json"), "{").await;
    made.put(&format!("{RUN}/w/1/0.DONE.lock"), "\"\"").await;
    assert!(matches!(
        made.says().await,
        Err(TaskResultError::DataJson { .. })
    ));
}
