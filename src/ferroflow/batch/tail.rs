//! Following a task's own logs in the datastore while it runs. The container writes each log as
//! one whole object again and again, so what is new is what lies behind the bytes seen so far.

use std::time::Duration;

use datastore::{AttemptRef, ObjectStore, StoreError, logs};
use model::{layout::Stream, spec::LogSizes};

/// From the moment that the job is known to run to the first look: Python takes as long to start.
pub(super) const FIRST: Duration = Duration::from_secs(1);

/// The shortest and the longest pause between two looks, as upstream's `update_delay`
/// (metaflow/mflog/__init__.py).
const SHORTEST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(30);

/// Each look that finds nothing doubles the pause, so many times: a silent task is heard within
/// four seconds. Of 64 tasks at once few talk, and these looks are what the engine costs most.
const DOUBLINGS: u32 = 3;

/// The most bytes of a log that one look reads: a task may write gigabytes between two looks.
const LOOK_BYTES: u64 = 8 << 20;

/// New lines, by stream.
pub(super) type Lines = Vec<(Stream, Vec<Vec<u8>>)>;

/// Whether there is more to read at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum More {
    Yes,
    No,
}

/// How far the two logs of an attempt have been read.
#[derive(Debug, Default)]
pub(super) struct Tail {
    stdout: Position,
    stderr: Position,
    silent_looks: u32,
}

#[derive(Debug, Default)]
struct Position {
    read: u64,
    partial: Vec<u8>,
    /// Where the log ends, once that is known.
    end: Option<u64>,
}

impl Tail {
    /// The complete lines that are new, per stream. A stream that cannot be read does not lose
    /// those of the other.
    pub(super) async fn read<S: ObjectStore>(
        &mut self,
        store: &S,
        at: AttemptRef<'_>,
    ) -> (Lines, Result<More, StoreError>) {
        let (out, err) = tokio::join!(
            self.stdout.read(store, at, Stream::Stdout),
            self.stderr.read(store, at, Stream::Stderr)
        );
        let (mut lines, mut more) = (Vec::new(), Ok(More::No));
        for (stream, read) in [(Stream::Stdout, out), (Stream::Stderr, err)] {
            match read {
                Ok((found, filled)) => {
                    lines.push((stream, found));
                    if filled && more.is_ok() {
                        more = Ok(More::Yes);
                    }
                }
                Err(error) => more = Err(error),
            }
        }
        let is_silent = lines.iter().all(|(_, found)| found.is_empty());
        self.silent_looks = if is_silent { self.silent_looks + 1 } else { 0 };
        (lines, more)
    }

    /// Says where the logs end: what has been read to there is not asked for again.
    pub(super) fn ends_at(&mut self, sizes: Option<LogSizes>) {
        self.stdout.end = sizes.map(|sizes| sizes.stdout);
        self.stderr.end = sizes.map(|sizes| sizes.stderr);
    }

    /// How long to wait before the next look at the logs of a task that has run for `age`: often
    /// at first, when somebody is watching, seldom later. Upstream's curve begins at a quarter of a
    /// second for ten minutes, which is six requests per second and task.
    pub(super) fn delay(&self, age: Duration) -> Duration {
        let by_silence = SHORTEST * 2_u32.pow(self.silent_looks.min(DOUBLINGS));
        (age / 20).max(by_silence).min(LONGEST)
    }

    /// What is left without a newline at its end.
    pub(super) fn rest(&mut self) -> Lines {
        let mut rest = Vec::new();
        for (stream, position) in [
            (Stream::Stdout, &mut self.stdout),
            (Stream::Stderr, &mut self.stderr),
        ] {
            if !position.partial.is_empty() {
                rest.push((stream, vec![std::mem::take(&mut position.partial)]));
            }
        }
        rest
    }
}

impl Position {
    async fn read<S: ObjectStore>(
        &mut self,
        store: &S,
        at: AttemptRef<'_>,
        stream: Stream,
    ) -> Result<(Vec<Vec<u8>>, bool), StoreError> {
        if self.end.is_some_and(|end| end <= self.read) {
            return Ok((Vec::new(), false));
        }
        let new = logs::read_task_log(store, at, stream, self.read, LOOK_BYTES).await?;
        let new = new.unwrap_or_default();
        let filled = new.len() as u64 >= LOOK_BYTES;
        self.read += new.len() as u64;
        let mut lines = Vec::new();
        for piece in new.split_inclusive(|b| *b == b'\n') {
            self.partial.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                lines.push(std::mem::take(&mut self.partial));
            }
        }
        Ok((lines, filled))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_become_rare() {
        let mut tail = Tail::default();
        assert_eq!(tail.delay(Duration::ZERO), SHORTEST);
        assert_eq!(tail.delay(Duration::from_mins(1)), Duration::from_secs(3));
        assert_eq!(tail.delay(Duration::from_hours(2)), LONGEST);
        tail.silent_looks = 2;
        assert_eq!(tail.delay(Duration::ZERO), Duration::from_secs(2));
        tail.silent_looks = 1000;
        assert_eq!(tail.delay(Duration::ZERO), Duration::from_secs(4));
        assert_eq!(tail.delay(Duration::from_mins(2)), Duration::from_secs(6));
    }
}
