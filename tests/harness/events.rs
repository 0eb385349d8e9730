//! What `ferroflow --json` writes, read as programs read it.

use std::collections::BTreeMap;

use serde_json::Value;

/// The events of a run, from first to last.
#[derive(Debug)]
pub(crate) struct Events(pub(crate) Vec<Value>);

impl Events {
    /// Panics unless each line is an event, the run's beginning the first one and its end the last.
    pub(crate) fn parse(stdout: &str) -> Self {
        let events: Vec<Value> = stdout
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
            .collect();
        for event in &events {
            assert_eq!(event["version"], 1, "{event}");
            let time = event["time"].as_str().expect("a time");
            time.parse::<jiff::Timestamp>().expect("a time of RFC 3339");
        }
        let kinds: Vec<_> = events.iter().map(kind).collect();
        assert_eq!(kinds.first(), Some(&"run_started"), "{stdout}");
        assert_eq!(kinds.last(), Some(&"run_ended"), "{stdout}");
        Self(events)
    }

    pub(crate) fn of(&self, wanted: &str) -> Vec<&Value> {
        self.0.iter().filter(|e| kind(e) == wanted).collect()
    }

    pub(crate) fn end(&self) -> &Value {
        self.0.last().expect("parse has seen it")
    }

    /// Panics unless the attempts that have started are those that have ended, and as many as the last event says.
    pub(crate) fn add_up(&self) {
        let mut open: BTreeMap<(String, u64), &str> = BTreeMap::new();
        for event in &self.0 {
            let Some(task) = event["task"].as_str() else {
                continue;
            };
            let key = (
                task.to_owned(),
                event["attempt"].as_u64().expect("a number"),
            );
            match kind(event) {
                "task_started" => assert_eq!(open.insert(key, "open"), None, "{event}"),
                "task_succeeded" | "task_failed" => {
                    assert_eq!(open.insert(key, "ended"), Some("open"), "{event}");
                }
                "task_retried" => {
                    let before = (key.0, key.1 - 1);
                    assert_eq!(open.get(&before), Some(&"ended"), "{event}");
                }
                _ => assert_eq!(open.get(&key), Some(&"open"), "{event}"),
            }
        }
        assert!(open.values().all(|state| *state == "ended"), "{open:?}");
        let counts = &self.end()["counts"];
        let told = |name: &str| counts[name].as_u64().expect("a number") as usize;
        assert_eq!(told("started"), self.of("task_started").len());
        assert_eq!(told("succeeded"), self.of("task_succeeded").len());
        assert_eq!(told("failed"), self.of("task_failed").len());
    }
}

fn kind(event: &Value) -> &str {
    event["event"].as_str().expect("an event has a name")
}
