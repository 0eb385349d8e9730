//! The container's own output: what CloudWatch shows.

use std::{
    fmt,
    io::{self, Write},
    sync::{Mutex, PoisonError},
};

use model::layout::Stream;

/// Where the container writes.
pub struct Console {
    stdout: Mutex<Box<dyn Write + Send>>,
    stderr: Mutex<Box<dyn Write + Send>>,
}

impl fmt::Debug for Console {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Console").finish_non_exhaustive()
    }
}

impl Console {
    /// Writes to two sinks.
    pub fn new(stdout: Box<dyn Write + Send>, stderr: Box<dyn Write + Send>) -> Self {
        Self {
            stdout: Mutex::new(stdout),
            stderr: Mutex::new(stderr),
        }
    }

    /// Writes to this process's streams.
    pub fn of_process() -> Self {
        Self::new(Box::new(io::stdout()), Box::new(io::stderr()))
    }

    /// Passes bytes on as they are. A stream that nobody reads is no reason to fail a task.
    pub(crate) fn write(&self, stream: Stream, bytes: &[u8]) {
        let sink = match stream {
            Stream::Stdout => &self.stdout,
            Stream::Stderr => &self.stderr,
        };
        let mut sink = sink.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = sink.write_all(bytes).and_then(|()| sink.flush());
    }

    /// Says something of the bootstrap's own.
    pub(crate) fn say(&self, text: &str) {
        self.write(Stream::Stderr, format!("ferroflow: {text}\n").as_bytes());
    }
}
