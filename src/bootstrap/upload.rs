//! Brings the logs into the datastore while the task runs, at the pace of upstream's sidecar.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use model::{
    layout::{self, LogSource, Stream},
    spec::{LogSizes, TaskSpec},
};

use crate::{console::Console, log::Log, s3::Patience, s3_error::S3Error, store::Store};

/// Shortest and longest time between uploads (`MIN_UPDATE_DELAY`, metaflow/mflog/__init__.py).
const SHORTEST: f64 = 0.25;
const LONGEST: f64 = 30.0;

/// A thread that uploads.
#[derive(Debug)]
pub(crate) struct Uploader {
    orders: Sender<()>,
    thread: JoinHandle<Uploads>,
}

/// The logs and where they go.
#[derive(Debug)]
struct Uploads {
    store: Store,
    console: Arc<Console>,
    logs: Vec<(Arc<Log>, String)>,
    uploaded: Vec<Option<u64>>,
    has_complained: bool,
}

impl Uploader {
    /// Starts to upload the logs of a task.
    pub(crate) fn start(
        store: &Store,
        spec: &TaskSpec,
        console: &Arc<Console>,
        logs: &[Arc<Log>],
    ) -> Self {
        let mut uploads = Uploads {
            store: store.clone(),
            console: Arc::clone(console),
            logs: logs
                .iter()
                .map(|log| (Arc::clone(log), key(spec, log.stream())))
                .collect(),
            uploaded: vec![None; logs.len()],
            has_complained: false,
        };
        let (orders, received) = channel();
        let thread = thread::spawn(move || {
            uploads.run(&received);
            uploads
        });
        Self { orders, thread }
    }

    /// Uploads now what is new.
    pub(crate) fn flush(&self) {
        // The thread ends after `finish`, or when nothing may be written any more.
        let _ = self.orders.send(());
    }

    /// Uploads the rest. Tells how long the logs are in the datastore, unless that is not certain.
    pub(crate) fn finish(self) -> Result<Option<LogSizes>, S3Error> {
        drop(self.orders);
        // Its panic has been reported.
        let Ok(mut uploads) = self.thread.join() else {
            return Ok(None);
        };
        uploads.upload()?;
        Ok(uploads.sizes())
    }
}

impl Uploads {
    fn run(&mut self, orders: &Receiver<()>) {
        let started = Instant::now();
        loop {
            match orders.recv_timeout(update_delay(started.elapsed())) {
                Ok(()) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            // Logs that cannot be written now may be at the end; the task goes on.
            match self.upload() {
                Err(S3Error::Superseded) => return,
                Err(error) if !self.has_complained => {
                    self.has_complained = true;
                    self.console
                        .say(&format!("failed to upload the task's logs: {error}"));
                }
                _ => {}
            }
        }
    }

    fn upload(&mut self) -> Result<(), S3Error> {
        let mut result = Ok(());
        for ((log, key), uploaded) in self.logs.iter().zip(&mut self.uploaded) {
            if Some(log.size()) == *uploaded {
                continue;
            }
            let Ok(snapshot) = log.snapshot() else {
                continue;
            };
            match self.store.put(key, &snapshot, Patience::UntilLastCall) {
                Ok(()) => *uploaded = Some(crate::s3::Payload::size(&snapshot)),
                Err(error) => result = Err(error),
            }
        }
        result
    }

    fn sizes(&self) -> Option<LogSizes> {
        let size = |stream| {
            let place = self
                .logs
                .iter()
                .position(|(log, _)| log.stream() == stream)?;
            self.uploaded[place]
        };
        Some(LogSizes {
            stdout: size(Stream::Stdout)?,
            stderr: size(Stream::Stderr)?,
        })
    }
}

/// Key of a log of the task's own.
pub(crate) fn key(spec: &TaskSpec, stream: Stream) -> String {
    layout::log(
        &spec.flow,
        &spec.task,
        spec.attempt,
        LogSource::Task,
        stream,
    )
}

/// The time to the next upload: short in the first ten minutes, then less and less so
/// (`update_delay`, metaflow/mflog/__init__.py).
fn update_delay(since_start: Duration) -> Duration {
    let sigmoid = 1.0 / (1.0 + (9.0 - 0.01 * since_start.as_secs_f64()).exp());
    Duration::from_secs_f64(SHORTEST + sigmoid * LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed by `metaflow.mflog.update_delay` of 2.19.39.
    #[test]
    fn the_pace_is_upstreams() {
        for (seconds, delay) in [
            (0, 0.253_701_837_279_586_95),
            (660, 2.745_180_894_867_472_4),
            (900, 15.25),
            (3600, 30.249_999_999_943_61),
        ] {
            let found = update_delay(Duration::from_secs(seconds)).as_secs_f64();
            assert!((found - delay).abs() < 1e-6, "{seconds}: {found}");
        }
    }
}
