//! Files of streams: a JSON line for each event, `{"t": milliseconds, "m": text}`. Positions in a stream are byte offsets.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};
use tokio::{io::AsyncReadExt, net::unix::pipe};

/// Longest event; longer lines are cut in pieces, as the awslogs driver does.
const EVENT_LENGTH: usize = 256 << 10;
/// Longest part of a definition's name in a stream's name (user guide).
const PREFIX_LENGTH: usize = 200;

/// One line of output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LogEvent {
    /// Milliseconds since 1970.
    #[serde(rename = "t")]
    pub(super) at: i64,
    #[serde(rename = "m")]
    pub(super) message: String,
}

/// The name of the stream of an ECS task.
pub(crate) fn stream_name(definition: &str, task: &str) -> String {
    let prefix: String = definition.chars().take(PREFIX_LENGTH).collect();
    format!("{prefix}/default/{task}")
}

/// Where the files of the group are.
pub(super) fn folder(stack: &Path) -> PathBuf {
    stack.join("logs/aws-batch-job")
}

/// The file of a stream; none if no stream can have this name.
pub(super) fn path(stack: &Path, name: &str) -> Option<PathBuf> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let parts: Vec<&str> = name.split('/').collect();
    let [definition, "default", task] = parts.as_slice() else {
        return None;
    };
    let is_good = |part: &&str| !part.is_empty() && part.chars().all(is_plain);
    let is_good = is_good(definition) && is_good(task);
    is_good.then(|| folder(stack).join(definition).join(format!("{task}.jsonl")))
}

/// Writes a stream. Clones write the same one.
#[derive(Debug, Clone)]
pub(crate) struct StreamWriter {
    file: Arc<Mutex<File>>,
}

impl StreamWriter {
    /// Makes the stream.
    pub(crate) fn create(stack: &Path, name: &str) -> io::Result<Self> {
        let path = path(stack, name).ok_or(io::ErrorKind::InvalidInput)?;
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self {
            file: Arc::new(Mutex::new(file)),
        })
    }

    /// Whole lines only, so that a reader never sees half an event but at the very end.
    fn write(&self, lines: &[u8]) {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = file.write_all(lines) {
            tracing::warn!(%error, "output of a job is lost");
        }
    }
}

/// Copies output into a stream, until all who have the other end of the pipe are gone.
pub(crate) async fn copy_lines(mut output: pipe::Receiver, writer: StreamWriter) {
    let mut open = Vec::new();
    let mut chunk = vec![0; 64 << 10];
    loop {
        let length = match output.read(&mut chunk).await {
            Ok(length) => length,
            Err(error) => {
                tracing::warn!(%error, "output of a job cannot be read");
                0
            }
        };
        let mut lines = Vec::new();
        if length == 0 {
            if !open.is_empty() {
                encode(&open, &mut lines);
                writer.write(&lines);
            }
            return;
        }
        open.extend_from_slice(&chunk[..length]);
        cut(&mut open, &mut lines);
        if !lines.is_empty() {
            writer.write(&lines);
        }
    }
}

/// Takes whole lines, and pieces of lines that are too long.
fn cut(open: &mut Vec<u8>, lines: &mut Vec<u8>) {
    let mut start = 0;
    while let Some(rest) = open.get(start..) {
        let end = rest
            .iter()
            .take(EVENT_LENGTH)
            .position(|byte| *byte == b'\n');
        match end {
            Some(end) => {
                encode(&rest[..end], lines);
                start += end + 1;
            }
            None if rest.len() >= EVENT_LENGTH => {
                encode(&rest[..EVENT_LENGTH], lines);
                start += EVENT_LENGTH;
            }
            None => break,
        }
    }
    open.drain(..start);
}

fn encode(line: &[u8], lines: &mut Vec<u8>) {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let event = LogEvent {
        at: since.as_millis() as i64,
        message: String::from_utf8_lossy(line).into_owned(),
    };
    if serde_json::to_writer(&mut *lines, &event).is_ok() {
        lines.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_streams_do_not_lead_out_of_the_folder() {
        let stack = Path::new("/s");
        assert!(path(stack, &stream_name("d", "0a")).is_some());
        for name in [
            "../default/x",
            "d/default/..",
            "d/default/",
            "/default/x",
            "d/other/x",
            "d/default/x/y",
            "d",
        ] {
            assert_eq!(path(stack, name), None, "{name}");
        }
    }

    #[test]
    fn long_lines_are_cut_and_open_ones_stay() {
        let mut open = vec![b'x'; EVENT_LENGTH + 10];
        open.extend_from_slice(b"\n\nab\xff\nrest");
        let mut lines = Vec::new();
        cut(&mut open, &mut lines);
        assert_eq!(open, b"rest");
        let text = String::from_utf8(lines).unwrap();
        let events: Vec<LogEvent> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let lengths: Vec<usize> = events.iter().map(|event| event.message.len()).collect();
        assert_eq!(lengths, [EVENT_LENGTH, 10, 0, 5]);
        assert_eq!(events[3].message, "ab\u{fffd}");
    }
}
