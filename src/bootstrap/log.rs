//! One log of the task: lines in Metaflow's format, kept in a file until they are uploaded.

use std::{
    fs::File,
    io::{self, Read},
    mem,
    os::unix::fs::FileExt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use model::{
    layout::{LogSource, Stream},
    mflog,
};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{clock, console::Console, s3::Payload};

/// A line longer than this is cut into several, in bytes.
const MAX_LINE: usize = 16 << 20;

/// A log. Several threads may write; lines stay whole.
#[derive(Debug)]
pub(crate) struct Log {
    stream: Stream,
    console: Arc<Console>,
    kept: Mutex<Kept>,
}

/// What has been written, and what of it is a line already.
#[derive(Debug)]
struct Kept {
    file: File,
    size: u64,
    digest: Sha256,
    partial: Vec<u8>,
    is_broken: bool,
}

/// A log as it was at one moment.
#[derive(Debug)]
pub(crate) struct Snapshot {
    file: File,
    size: u64,
    digest: Sha256,
}

impl Log {
    /// An empty log, kept in `file` and shown on the console.
    pub(crate) fn new(stream: Stream, console: Arc<Console>, file: File) -> Self {
        Self {
            stream,
            console,
            kept: Mutex::new(Kept {
                file,
                size: 0,
                digest: Sha256::new(),
                partial: Vec::new(),
                is_broken: false,
            }),
        }
    }

    /// A line as it would be in a log, for where no log can be kept.
    pub(crate) fn lone_line(line: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        format_line(format!("{line}\n").as_bytes(), &mut bytes);
        bytes
    }

    /// The stream that it is of.
    pub(crate) fn stream(&self) -> Stream {
        self.stream
    }

    /// Takes bytes as the task wrote them.
    pub(crate) fn write(&self, bytes: &[u8]) {
        self.console.write(self.stream, bytes);
        let mut lines = Vec::with_capacity(bytes.len() * 2);
        let mut kept = self.lock();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            kept.partial.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                format_line(&mem::take(&mut kept.partial), &mut lines);
            } else if kept.partial.len() >= MAX_LINE {
                kept.partial.push(b'\n');
                format_line(&mem::take(&mut kept.partial), &mut lines);
            }
        }
        self.keep(&mut kept, &lines);
    }

    /// Takes a line of the bootstrap's own, after which no line of the task is open.
    pub(crate) fn write_line(&self, line: &str) {
        if !self.lock().partial.is_empty() {
            self.write(b"\n");
        }
        self.write(format!("{line}\n").as_bytes());
    }

    /// Keeps a last line that has no newline.
    pub(crate) fn finish(&self) {
        let mut kept = self.lock();
        let mut line = Vec::new();
        if !kept.partial.is_empty() {
            format_line(&mem::take(&mut kept.partial), &mut line);
        }
        self.keep(&mut kept, &line);
    }

    /// The bytes kept so far.
    pub(crate) fn size(&self) -> u64 {
        self.lock().size
    }

    /// What is kept now.
    pub(crate) fn snapshot(&self) -> io::Result<Snapshot> {
        let kept = self.lock();
        Ok(Snapshot {
            file: kept.file.try_clone()?,
            size: kept.size,
            digest: kept.digest.clone(),
        })
    }

    fn keep(&self, kept: &mut Kept, lines: &[u8]) {
        if kept.is_broken || lines.is_empty() {
            return;
        }
        match kept.file.write_all_at(lines, kept.size) {
            Ok(()) => {
                kept.size += lines.len() as u64;
                kept.digest.update(lines);
            }
            Err(error) => {
                // What was kept is still uploaded; the console has the rest.
                kept.is_broken = true;
                self.console.say(&format!(
                    "the task's {} log is cut off, because it cannot be kept: {error}",
                    self.stream.as_str()
                ));
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Payload for Snapshot {
    fn sha256(&self) -> String {
        hex::encode(self.digest.clone().finalize())
    }

    fn size(&self) -> u64 {
        self.size
    }

    fn reader(&self) -> Box<dyn Read + '_> {
        Box::new(SnapshotReader {
            snapshot: self,
            offset: 0,
        })
    }
}

struct SnapshotReader<'a> {
    snapshot: &'a Snapshot,
    offset: u64,
}

impl Read for SnapshotReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.snapshot.size - self.offset;
        let wanted = usize::try_from(left)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        let length = self
            .snapshot
            .file
            .read_at(&mut buffer[..wanted], self.offset)?;
        self.offset += length as u64;
        Ok(length)
    }
}

/// Whatever a task writes is its own words, also what looks like a line of Metaflow's log
/// (metaflow/mflog/tee.py).
fn format_line(line: &[u8], into: &mut Vec<u8>) {
    into.extend_from_slice(&mflog::format(
        LogSource::Task.as_str(),
        &clock::utc_timestamp(SystemTime::now()),
        &Uuid::new_v4().to_string(),
        line,
    ));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log() -> Arc<Log> {
        let console = Console::new(Box::new(io::sink()), Box::new(io::sink()));
        let file = tempfile::tempfile().unwrap();
        Arc::new(Log::new(Stream::Stdout, Arc::new(console), file))
    }

    fn text(log: &Arc<Log>) -> Vec<u8> {
        let mut bytes = Vec::new();
        let snapshot = log.snapshot().unwrap();
        snapshot.reader().read_to_end(&mut bytes).unwrap();
        assert_eq!(snapshot.size(), bytes.len() as u64);
        assert_eq!(snapshot.sha256(), bytes.sha256());
        bytes
    }

    fn messages(log: &Arc<Log>) -> Vec<Vec<u8>> {
        text(log)
            .split_inclusive(|byte| *byte == b'\n')
            .map(|line| mflog::parse(line).unwrap().message.to_vec())
            .collect()
    }

    #[test]
    fn lines_are_formatted_whole() {
        let log = log();
        log.write(b"on");
        assert_eq!(log.size(), 0);
        log.write(b"e\n\xff\xfe\nthr");
        assert_eq!(messages(&log), [&b"one"[..], b"\xff\xfe"]);
        log.write(b"ee");
        log.finish();
        assert_eq!(messages(&log), [&b"one"[..], b"\xff\xfe", b"three"]);
        assert!(!text(&log).ends_with(b"\n"));
    }

    #[test]
    fn a_task_cannot_forge_log_lines() {
        let log = log();
        let line = b"[MFLOG|0|2026-11-23T22:51:50.110982Z|runtime|x]hello";
        log.write(line);
        log.write(b"\n");
        assert_eq!(messages(&log), [line]);
    }

    #[test]
    fn own_lines_end_the_tasks() {
        let log = log();
        log.write(b"open");
        log.write_line("own");
        assert_eq!(messages(&log), [b"open".to_vec(), b"own".to_vec()]);
    }

    #[test]
    fn a_line_without_end_is_cut() {
        let log = log();
        log.write(&vec![b'x'; MAX_LINE + 5]);
        log.write(b"\n");
        let lengths: Vec<_> = messages(&log).iter().map(Vec::len).collect();
        assert_eq!(lengths, [MAX_LINE + 5, 0]);
    }

    #[test]
    fn a_snapshot_does_not_grow() {
        let log = log();
        log.write(b"one\n");
        let snapshot = log.snapshot().unwrap();
        log.write(b"two\n");
        let mut bytes = Vec::new();
        snapshot.reader().read_to_end(&mut bytes).unwrap();
        assert!(bytes.ends_with(b"]one\n"));
        assert_eq!(snapshot.sha256(), bytes.sha256());
    }
}
