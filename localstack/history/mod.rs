//! What happened, in order: one JSON line for each call, effect, process start and process end. Tests and the checker
//! read it; users look into it when they wonder.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::Path,
    sync::Mutex,
};

use serde_json::{Value, json};

/// The open history. Recording never fails a call: what cannot be written is told once on the log.
#[derive(Debug, Default)]
pub struct History {
    file: Option<Mutex<File>>,
}

impl History {
    /// Appends to a file.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self {
            file: Some(Mutex::new(file)),
        })
    }

    /// Records something. `kind` is one word, e.g. `call`, `job.started`, `job.ended`; `detail` is an object.
    pub fn record(&self, at_ms: i64, kind: &str, detail: Value) {
        let Some(file) = &self.file else { return };
        let mut line = json!({"at": at_ms, "kind": kind, "detail": detail}).to_string();
        line.push('\n');
        let mut file = file
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Err(error) = file.write_all(line.as_bytes()) {
            tracing::warn!(%error, "the history cannot be written");
        }
    }
}
