//! What is full while jobs run: the datastore, and the launcher's own disk. Nothing more is launched then, what runs is followed,
//! and the run goes on when there is room.

mod harness;

use std::{fs, path::Path, process::Command, thread, time::Duration};

use checker::Expectations;
use harness::{
    lab::{Lab, Launcher},
    stack::Stack,
    story::Story,
    wait_for,
};
use serde_json::{Value, json};

/// Of a foreach of twelve, how many run at once.
const WORKERS: usize = 6;

/// Whether a line of a history is a request that the datastore had no room for.
fn is_refused(line: &Value) -> bool {
    line["kind"] == "s3.call" && line["detail"]["status"] == 507
}

/// Stores that are like S3 say so when they have no room for the record of a launch.
#[test]
fn the_datastore_has_no_room_for_a_record() {
    let rule = json!({
        "operation": "PutObject", "subject": "/launch/00000002", "times": 6,
        "fault": {"refuse": {"status": 507, "code": "StorageFull"}},
    });
    let workers = WORKERS.to_string();
    let story = Story::of("dozen.py", &["--max-workers", &workers], &[rule]);
    story.kept_its_promises(&Expectations {
        max_workers: Some(WORKERS),
        ..Expectations::default()
    });
    let kinds = ["s3.call", "job.submitted", "job.ended"];
    let lines = story.stack.history_lines(&kinds);
    let first = lines.iter().position(is_refused).expect("a refusal");
    let last = lines.iter().rposition(is_refused).expect("a refusal");
    let meanwhile = |kind: &str| {
        let of_kind = lines[first..last]
            .iter()
            .filter(|line| line["kind"] == kind);
        of_kind.count()
    };
    assert_eq!(meanwhile("job.submitted"), 0);
    assert!(meanwhile("job.ended") >= 1);
    for index in 0..12 {
        assert_eq!(story.begun(index), "0\n");
    }
}

/// The local metadata is in a file system of its own, which is filled when a task of the foreach begins, until the test
/// wants it empty. It is kept, because it goes away with its processes.
const WITH_SMALL_DISK: &str = "
mkdir .metaflow
mount -t tmpfs -o size=8m tmpfs .metaflow || exit 99
{
    until ls shared/begun-* >/dev/null 2>&1; do sleep 0.05; done
    dd if=/dev/zero of=.metaflow/fill bs=4096 2>/dev/null
    until [ -e shared/room ]; do sleep 0.05; done
    rm .metaflow/fill
} &
\"$@\"
code=$?
wait
cp -r .metaflow kept
exit $code
";

#[test]
fn the_launchers_disk_is_full() {
    let mounts = ["--map-root-user", "--mount", "true"];
    let may = Command::new("unshare").args(mounts).status();
    if !may.is_ok_and(|status| status.success()) {
        let why = "file systems cannot be mounted here, not even in a user namespace";
        return harness::skipped("a full disk (tests/full.rs)", why);
    }
    let (lab, stack) = (Lab::new("dozen.py"), Stack::with_faults(&[], &[]));
    let vars = json!({"TEST_SHARED": lab.path().join("shared")});
    let vars = format!("environment:vars={vars}");
    let workers = WORKERS.to_string();
    let args = ["run", "--with", "batch", "--with", &vars];
    let args = [&args[..], &["--max-workers", &workers]].concat();
    let mut command = lab.command(Launcher::Ferroflow, &args);
    command.envs(stack.environment());
    let shell = [mounts[0], mounts[1], "sh", "-c", WITH_SMALL_DISK, "sh"];
    let command = lab.through("unshare", &shell, &command);
    let run = lab.start(command);

    wait_for("the disk to be full", || {
        run.output().contains("This machine's disk is full")
    });
    // The start step, and those that were launched while there was room.
    let submitted = || stack.history("job.submitted").len();
    wait_for("what runs to end", || {
        stack.history("job.ended").len() == submitted()
    });
    let first = submitted();
    assert!((1 + WORKERS..13).contains(&first), "{first}");
    // There are free slots, and tasks for them.
    thread::sleep(Duration::from_secs(3));
    assert_eq!(submitted(), first);
    fs::write(lab.shared("room"), "").expect("the disk may be emptied");
    let finished = run.wait().exited(0).says("Done!");
    let finished = finished.says("There is room on this machine's disk again.");
    finished.does_not_say("KILLED");
    // A start, a foreach of twelve, a join, an end.
    assert_eq!(submitted(), 15);
    for index in 0..12 {
        let begun = fs::read_to_string(lab.shared(&format!("begun-{index}")));
        assert_eq!(begun.expect("it has begun"), "0\n");
    }
    assert_eq!(values(&lab.path().join("kept/DozenFlow")), 12);
}

/// How many tasks have told the local provider of their artifact `value`. Panics where one was made in vain.
fn values(flow: &Path) -> usize {
    let folders = |of: &Path| -> Vec<_> {
        let entries = fs::read_dir(of).expect("a folder").flatten();
        let paths = entries.map(|entry| entry.path());
        let others = paths.filter(|path| path.is_dir() && !path.ends_with("_meta"));
        others.collect()
    };
    let runs = folders(flow);
    let tasks: Vec<_> = runs
        .iter()
        .flat_map(|run| folders(&run.join("work")))
        .collect();
    assert_eq!(tasks.len(), 12, "{tasks:?}");
    let has = |task: &&std::path::PathBuf| task.join("_meta/0_artifact_value.json").exists();
    tasks.iter().filter(has).count()
}
