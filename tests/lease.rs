//! The lease of a run whose datastore answers badly: the launcher goes on renewing it, and takes its own writes for its own.

#![cfg(target_os = "linux")]

mod harness;

use std::fs;

use harness::{
    lab::{Lab, Launcher, Running},
    processes::alive,
    stack::Stack,
    temporary, wait_for,
};
use serde_json::{Value, json};

/// A run of `blocks.py` whose jobs block, with something wrong about its lease.
struct Blocked {
    lab: Lab,
    stack: Stack,
    running: Running,
}

impl Blocked {
    fn start(lease: &str, mut rule: Value) -> Self {
        rule["operation"] = json!("PutObject");
        rule["subject"] = json!("/lease");
        let folder = temporary::folder();
        let file = folder.path().join("faults.json");
        fs::write(&file, json!([rule]).to_string()).expect("a file");
        let stack = Stack::start(&["--faults", &file.to_string_lossy()]);
        let lab = Lab::new("blocks.py");
        let variables = json!({"TEST_SHARED": lab.path().join("shared")});
        let variables = format!("environment:vars={variables}");
        let args = ["run", "--with", "batch", "--with", &variables];
        let mut command = lab.command(Launcher::Ferroflow, &args);
        command
            .envs(stack.environment())
            .env("FERROFLOW_LEASE", lease);
        let running = lab.start(command);
        Self {
            lab,
            stack,
            running,
        }
    }

    /// Waits until the lease was written after the last of so many faults.
    fn outlives(&self, faults: usize) {
        wait_for("the lease to be renewed in spite of all", || {
            assert!(alive(self.running.pid()), "{}", self.running.output());
            let history = fs::read_to_string(self.stack.folder().join("history.jsonl"));
            let history = history.unwrap_or_default();
            let about_lease = |line: &Value| {
                line["kind"] == "fault"
                    || line["detail"]["key"]
                        .as_str()
                        .is_some_and(|key| key.ends_with("/lease"))
            };
            let lines = history
                .lines()
                .filter_map(|line| serde_json::from_str(line).ok());
            let lines: Vec<Value> = lines.filter(about_lease).collect();
            let seen = lines.iter().filter(|line| line["kind"] == "fault").count();
            let since = lines
                .iter()
                .rev()
                .take_while(|line| line["kind"] != "fault");
            let renewed = since.filter(|line| line["kind"] == "object.replaced");
            seen == faults && renewed.count() >= 2
        });
    }

    /// Panics unless the run ends well.
    fn ends_well(self) {
        wait_for("both jobs to block", || {
            assert!(alive(self.running.pid()), "{}", self.running.output());
            ["task-0", "task-1"]
                .iter()
                .all(|task| self.lab.shared(task).exists())
        });
        fs::write(self.lab.shared("release"), "").expect("the tasks can be let go");
        self.running.wait().exited(0).says("Done!");
    }
}

/// The next renewal meets a lease that is not the one that it has seen, and yet its own.
#[test]
fn a_renewal_whose_reply_was_lost_is_ones_own() {
    let run = Blocked::start("10s", json!({"nth": 2, "times": 3, "fault": "lose_reply"}));
    run.outlives(3);
    run.ends_well();
}

/// Tasks would end, and be launched again, if it were a minute before the lease is renewed.
#[test]
fn a_request_that_hangs_keeps_no_lease_from_being_renewed() {
    let run = Blocked::start(
        "60s",
        json!({"nth": 2, "times": 2, "fault": {"delay": 3600}}),
    );
    run.outlives(2);
    run.ends_well();
}
