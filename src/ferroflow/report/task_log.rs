//! The launcher's share of an attempt's logs: what becomes of each line that its process writes
//! (`Worker.emit_log` and `TruncatedBuffer` in metaflow/runtime.py).

use jiff::Timestamp;
use model::{layout::Stream, mflog};
use uuid::Uuid;

/// A line as the console shows it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LogLine {
    /// When the line was written.
    pub(crate) at: Timestamp,
    /// Its text, stripped; what is not UTF-8 is replaced on the console only.
    pub(crate) text: String,
}

/// What will be stored as `runtime_stdout.log` and `runtime_stderr.log`.
#[derive(Debug)]
pub(crate) struct TaskLog {
    stdout: Capped,
    stderr: Capped,
}

impl TaskLog {
    /// `max_size` is in bytes per stream.
    pub(crate) fn new(max_size: u64) -> Self {
        let capped = || Capped {
            bytes: Vec::new(),
            counted: 0,
            max_size,
            full: false,
        };
        Self {
            stdout: capped(),
            stderr: capped(),
        }
    }

    /// Takes a line that the process wrote. A line that is in mflog format was stored at its
    /// source and is only shown, unless it is marked as not yet stored.
    pub(crate) fn process_line(&mut self, stream: Stream, line: &[u8]) -> LogLine {
        if !mflog::is_structured(line) {
            return self.plain(stream, line, Owner::Process);
        }
        let Some(parsed) = mflog::parse(line) else {
            return LogLine {
                at: Timestamp::now(),
                text: display(line),
            };
        };
        if parsed.should_persist {
            self.of(stream)
                .push(mflog::unset_should_persist(line), Owner::Process);
        }
        LogLine {
            at: parse_utc(parsed.utc_timestamp).unwrap_or_else(Timestamp::now),
            text: display(parsed.message),
        }
    }

    /// Adds words of the launcher's own, as they are: upstream ends the last one, "Task failed.",
    /// without a newline. The size limit does not apply to them.
    pub(crate) fn system_line(&mut self, stream: Stream, text: &str) -> LogLine {
        self.plain(stream, text.as_bytes(), Owner::Launcher)
    }

    /// The bytes to store.
    pub(crate) fn into_bytes(self) -> (Vec<u8>, Vec<u8>) {
        (self.stdout.bytes, self.stderr.bytes)
    }

    fn plain(&mut self, stream: Stream, line: &[u8], owner: Owner) -> LogLine {
        let at = Timestamp::now();
        self.of(stream).push(&formatted(at, line), owner);
        LogLine {
            at,
            text: display(line),
        }
    }

    fn of(&mut self, stream: Stream) -> &mut Capped {
        match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        }
    }
}

/// Whose line it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    Process,
    Launcher,
}

/// A buffer that stops growing, with one line that says so.
#[derive(Debug)]
struct Capped {
    bytes: Vec<u8>,
    counted: u64,
    max_size: u64,
    full: bool,
}

impl Capped {
    fn push(&mut self, record: &[u8], owner: Owner) {
        if owner == Owner::Launcher {
            self.bytes.extend_from_slice(record);
        } else if !self.full {
            let size = record.len() as u64;
            if self.counted + size < self.max_size {
                self.bytes.extend_from_slice(record);
                self.counted += size;
            } else {
                let note = b"[TRUNCATED - MAXIMUM LOG FILE SIZE REACHED]\n";
                self.bytes
                    .extend_from_slice(&formatted(Timestamp::now(), note));
                self.full = true;
            }
        }
    }
}

fn formatted(at: Timestamp, line: &[u8]) -> Vec<u8> {
    let at = at.strftime("%Y-%m-%dT%H:%M:%S%.6f").to_string();
    mflog::format("runtime", &at, &Uuid::new_v4().to_string(), line)
}

fn parse_utc(text: &str) -> Option<Timestamp> {
    format!("{text}Z").parse().ok()
}

fn display(line: &[u8]) -> String {
    String::from_utf8_lossy(line.trim_ascii()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_buffer_says_so_once_and_still_takes_the_launchers_lines() {
        let mut log = TaskLog::new(200);
        for _ in 0..10 {
            log.process_line(Stream::Stdout, b"twenty bytes of text\n");
        }
        log.system_line(Stream::Stdout, "the end");
        let (out, err) = log.into_bytes();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.matches("[TRUNCATED").count(), 1);
        assert!(text.ends_with("]the end"));
        assert!(err.is_empty());
    }

    #[test]
    fn structured_lines_are_shown_but_stored_only_when_marked() {
        let mut log = TaskLog::new(1000);
        let stored = b"[MFLOG|0|2020-01-02T03:04:05.000006Z|task|id]hello\n";
        let line = log.process_line(Stream::Stderr, stored);
        assert_eq!(line.text, "hello");
        assert_eq!(line.at.to_string(), "2020-01-02T03:04:05.000006Z");
        let marked = b"[![MFLOG|0|2020-01-02T03:04:05.000006Z|task|id]lost\n";
        log.process_line(Stream::Stderr, marked);
        let (_, err) = log.into_bytes();
        assert_eq!(err, b"[MFLOG|0|2020-01-02T03:04:05.000006Z|task|id]lost\n");
    }
}
