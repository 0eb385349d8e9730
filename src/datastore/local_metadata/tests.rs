use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use model::{
    Attempt, FlowName, TaskPath, Timestamp,
    spec::{Ended, SPEC_VERSION, TaskOutcome, Usage},
    task_metadata::{self, Owner},
};
use tar::{Builder, EntryType, Header};
use tempfile::TempDir;

use super::*;
use crate::{PutOptions, local::LocalStore};

/// Left by `sync_local_metadata_to_datastore` of Metaflow 2.19.39: three files and an artifact of the task, the `_self` of
/// another task and of another flow, and a file that is no metadata; each with the time 1795474310.25.
const UPSTREAM: &str = "testdata/local-metadata-2.19.39";
const RUN: &str = "1795479905905506";

struct Fixture {
    root: TempDir,
    store: LocalStore,
    flow: FlowName,
    task: TaskPath,
}

impl Fixture {
    fn new(store: LocalStore) -> Self {
        Self {
            root: tempfile::tempdir().unwrap(),
            store,
            flow: "FixtureFlow".parse().unwrap(),
            task: format!("{RUN}/start/1").parse().unwrap(),
        }
    }

    fn upstream() -> Self {
        Self::new(LocalStore::new(
            Path::new(env!("CARGO_MANIFEST_DIR")).join(UPSTREAM),
        ))
    }

    /// A store with this archive as the task's.
    async fn with(tarball: Vec<u8>) -> (TempDir, Self) {
        let folder = tempfile::tempdir().unwrap();
        let fixture = Self::new(LocalStore::new(folder.path()));
        let blob = cas::save_raw(&fixture.store, &fixture.flow, tarball.into())
            .await
            .unwrap();
        fixture.put_key(&format!("\"{blob}\"")).await;
        (folder, fixture)
    }

    async fn put_key(&self, text: &str) {
        let key = layout::local_metadata(&self.flow, &self.task, Attempt(0));
        let body = Bytes::copy_from_slice(text.as_bytes());
        self.store
            .put(&key, body, PutOptions::default())
            .await
            .unwrap();
    }

    async fn merge(&self, attempt: u32) -> Result<bool, LocalMetadataError> {
        let at = AttemptRef {
            flow: &self.flow,
            task: &self.task,
            attempt: Attempt(attempt),
        };
        merge(&self.store, at, self.root.path()).await
    }

    fn meta(&self) -> PathBuf {
        self.root
            .path()
            .join(format!("FixtureFlow/{RUN}/start/1/_meta"))
    }

    fn files(&self) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        list(self.root.path(), self.root.path(), &mut found);
        found
    }
}

fn list(folder: &Path, root: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            list(&path, root, found);
        } else {
            found.insert(
                path.strip_prefix(root)
                    .unwrap()
                    .to_string_lossy()
                    .into_owned(),
            );
        }
    }
}

/// A compressed tar with members of any name.
fn tarball(members: &[(&str, EntryType, &[u8])]) -> Vec<u8> {
    let mut builder = Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (name, kind, content) in members {
        let mut header = Header::new_ustar();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(*kind);
        header.set_mode(0o6755);
        header.set_mtime(1000);
        header.set_size(content.len() as u64);
        header.set_cksum();
        builder.append(&header, *content).unwrap();
    }
    builder.into_inner().unwrap().finish().unwrap()
}

#[tokio::test]
async fn it_takes_the_tasks_metadata_from_upstreams_archive() {
    let fixture = Fixture::upstream();
    assert!(fixture.merge(0).await.unwrap());
    let task = format!("FixtureFlow/{RUN}/start/1/_meta");
    let expected = [
        "0_artifact_x.json",
        "sysmeta_attempt-done_1795479906911.json",
        "sysmeta_attempt_1795479906887.json",
        "sysmeta_attempt_ok_1795479906901.json",
    ];
    assert_eq!(
        fixture.files(),
        expected.map(|name| format!("{task}/{name}")).into()
    );
    let file = fixture.meta().join("sysmeta_attempt_ok_1795479906901.json");
    let value: serde_json::Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert_eq!(value["value"], "True");
    let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_474_310_250);
    assert_eq!(fs::metadata(&file).unwrap().modified().unwrap(), time);
}

#[tokio::test]
async fn an_attempt_without_metadata_is_no_error() {
    let fixture = Fixture::upstream();
    assert!(!fixture.merge(1).await.unwrap());
    assert!(fixture.files().is_empty());
}

#[tokio::test]
async fn only_older_files_are_replaced() {
    let fixture = Fixture::upstream();
    fs::create_dir_all(fixture.meta()).unwrap();
    let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_474_310_250);
    for (name, time) in [
        ("0_artifact_x.json", time - Duration::from_millis(1)),
        ("sysmeta_attempt_1795479906887.json", time),
    ] {
        let path = fixture.meta().join(name);
        fs::write(&path, "mine").unwrap();
        fs::File::open(&path).unwrap().set_modified(time).unwrap();
    }
    fixture.merge(0).await.unwrap();
    fixture.merge(0).await.unwrap();
    let content = |name: &str| fs::read_to_string(fixture.meta().join(name)).unwrap();
    assert!(content("0_artifact_x.json").contains("run_number"));
    assert_eq!(content("sysmeta_attempt_1795479906887.json"), "mine");
}

#[tokio::test]
async fn ancestors_are_taken_and_strangers_are_not() {
    let file = EntryType::Regular;
    let run = format!(".metaflow/FixtureFlow/{RUN}");
    let [of_run, of_step, other_step] = ["_meta/a.json", "start/_meta/a.json", "end/_meta/a.json"]
        .map(|name| format!("./{run}/{name}"));
    let (_folder, fixture) = Fixture::with(tarball(&[
        (".metaflow/FixtureFlow/_meta/_self.json", file, b"{}"),
        (&of_run, file, b"{}"),
        (&of_step, file, b"{}"),
        (&other_step, file, b"{}"),
        (".metaflow/_meta/a.json", file, b"{}"),
        (".metaflow/FixtureFlow/link", EntryType::Symlink, b""),
        ("elsewhere/FixtureFlow/_meta/a.json", file, b"{}"),
    ]))
    .await;
    assert!(fixture.merge(0).await.unwrap());
    let expected = [
        "FixtureFlow/_meta/_self.json".to_owned(),
        format!("FixtureFlow/{RUN}/_meta/a.json"),
        format!("FixtureFlow/{RUN}/start/_meta/a.json"),
    ];
    assert_eq!(fixture.files(), expected.into());
    let mode = std::os::unix::fs::MetadataExt::mode(
        &fs::metadata(fixture.root.path().join("FixtureFlow/_meta/_self.json")).unwrap(),
    );
    assert_eq!(mode & 0o7777, 0o755);
}

#[tokio::test]
async fn nothing_is_written_from_an_archive_that_leads_elsewhere() {
    let good = ".metaflow/FixtureFlow/_meta/good.json";
    for (name, kind) in [
        ("../outside.json", EntryType::Regular),
        ("/tmp/outside.json", EntryType::Regular),
        (
            ".metaflow/FixtureFlow/../../outside.json",
            EntryType::Regular,
        ),
        (".metaflow/FixtureFlow/_meta/link.json", EntryType::Symlink),
        (".metaflow/FixtureFlow/_meta/link.json", EntryType::Link),
        (".metaflow/FixtureFlow/_meta/pipe.json", EntryType::Fifo),
    ] {
        let (_folder, fixture) = Fixture::with(tarball(&[
            (good, EntryType::Regular, b"{}"),
            (name, kind, b""),
        ]))
        .await;
        let error = fixture.merge(0).await.unwrap_err();
        assert!(
            matches!(&error, LocalMetadataError::Refused { member, .. } if member == name),
            "{error}"
        );
        assert!(fixture.files().is_empty());
    }
}

#[tokio::test]
async fn broken_archives_are_errors() {
    let whole = tarball(&[(
        ".metaflow/FixtureFlow/_meta/a.json",
        EntryType::Regular,
        &[7; 5000],
    )]);
    for broken in [b"no gzip".to_vec(), whole[..whole.len() / 2].to_vec()] {
        let (_folder, fixture) = Fixture::with(broken).await;
        let error = fixture.merge(0).await.unwrap_err();
        assert!(
            matches!(error, LocalMetadataError::BadArchive { .. }),
            "{error}"
        );
    }
    let (_folder, fixture) = Fixture::with(whole).await;
    fixture.put_key("{}").await;
    assert!(matches!(
        fixture.merge(0).await,
        Err(LocalMetadataError::BadKey { .. })
    ));
    fixture
        .put_key(&format!("\"{}\"", BlobKey::of(b"absent")))
        .await;
    assert!(matches!(
        fixture.merge(0).await,
        Err(LocalMetadataError::Blob(CasError::Absent(_)))
    ));
}

#[tokio::test]
async fn what_a_task_used_is_added() {
    let fixture = Fixture::upstream();
    fixture.merge(0).await.unwrap();
    let before = fixture.files();
    let outcome = TaskOutcome {
        version: SPEC_VERSION,
        attempt: Attempt(0),
        launch: 0,
        nonce: String::new(),
        job: String::new(),
        ended: Ended::Exited {
            code: 0,
            stopped: None,
        },
        oom_kills: 0,
        usage: Usage::default(),
        data_json_sha256: None,
        logs: None,
    };
    let owner = Owner {
        flow: &fixture.flow,
        task: &fixture.task,
        attempt: Attempt(0),
        user: "ada",
    };
    let records = task_metadata::of_usage(&outcome, owner, Timestamp(5));
    let add = |records| {
        let (flow, task) = (&fixture.flow, &fixture.task);
        register(fixture.root.path(), flow, task, records, Timestamp(5))
    };
    add(records).await.unwrap();
    add(Vec::new()).await.unwrap();
    let after = fixture.files();
    let name = "sysmeta_ferroflow-cpu-seconds_5.json";
    let added: Vec<_> = after.difference(&before).cloned().collect();
    assert_eq!(added, [format!("FixtureFlow/{RUN}/start/1/_meta/{name}")]);
    let text = fs::read_to_string(fixture.meta().join(name)).unwrap();
    let record: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(record["value"], "0.00");
}
