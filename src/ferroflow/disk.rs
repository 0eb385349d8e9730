//! Waiting for room on this machine's disk, where the local metadata provider writes what becomes of tasks. A full one is no
//! failure of jobs on AWS Batch: nothing more is launched, what runs is followed, and the run goes on when there is room.

use std::{cell::Cell, fmt::Display, io, rc::Rc, time::Duration};

use datastore::ErrorKind;
use tokio::time::sleep;

use crate::trouble::{Notices, jittered};

/// Before it is tried again.
const PAUSE: Duration = Duration::from_secs(2);

/// Who waits for room on it.
#[derive(Debug)]
pub(crate) struct Disk {
    notices: Notices,
    waiting: Cell<usize>,
    /// Whether it was said that it is full, and not yet that this is over.
    is_told: Cell<bool>,
}

impl Disk {
    pub(crate) fn new(notices: Notices) -> Rc<Self> {
        Rc::new(Self {
            notices,
            waiting: Cell::default(),
            is_told: Cell::default(),
        })
    }

    /// Whether anybody waits for room.
    pub(crate) fn is_full(&self) -> bool {
        self.waiting.get() > 0
    }

    /// Whether several wait.
    pub(crate) fn is_awaited_by_others(&self) -> bool {
        self.waiting.get() > 1
    }

    /// There was no room for a write, which waits from now on.
    pub(crate) fn begin_waiting(&self, error: &impl Display) {
        tracing::warn!(%error, "this machine's disk is full");
        self.waiting.update(|count| count + 1);
        if !self.is_told.replace(true) {
            self.say(format!(
                "This machine's disk is full ({error}). Nothing more is launched until there is room; jobs go on."
            ));
        }
    }

    /// A write that waited is tried again, or given up.
    pub(crate) fn stop_waiting(&self) {
        self.waiting.update(|count| count.saturating_sub(1));
    }

    /// There was room for a write. That is told when no other waits: a disk that is nearly full has room for small ones.
    pub(crate) fn found_room(&self) {
        if !self.is_full() && self.is_told.take() {
            self.say("There is room on this machine's disk again.".to_owned());
        }
    }

    fn say(&self, text: String) {
        // The driver is gone only when the engine ends.
        let _ = self.notices.send(text);
    }

    /// Repeats an act that writes here until there is room for it, or `gives_up` says that waiting is over.
    pub(crate) async fn wait_for_room<T>(
        &self,
        gives_up: impl Fn() -> bool,
        mut act: impl AsyncFnMut() -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let mut waits = false;
        loop {
            let done = act().await;
            if let Err(error) = &done
                && lacks_room(error)
                && !gives_up()
            {
                if !std::mem::replace(&mut waits, true) {
                    self.begin_waiting(&format_args!("{error:#}"));
                }
                pause().await;
                continue;
            }
            if waits {
                self.stop_waiting();
            }
            if done.is_ok() {
                self.found_room();
            }
            return done;
        }
    }
}

/// Waits before a write is tried again for which there was no room.
pub(crate) async fn pause() {
    sleep(jittered(PAUSE)).await;
}

fn lacks_room(error: &anyhow::Error) -> bool {
    let full = |error: &io::Error| ErrorKind::from(error) == ErrorKind::StorageFull;
    error
        .chain()
        .any(|cause| cause.downcast_ref().is_some_and(full))
}

#[cfg(test)]
mod tests {
    use anyhow::Context;
    use tokio::sync::mpsc;

    use super::*;

    fn full() -> anyhow::Result<()> {
        Err(io::Error::from(io::ErrorKind::StorageFull)).context("cannot write `x`")
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_disk_is_waited_for_and_told_once() {
        let (notices, mut told) = mpsc::unbounded_channel();
        let disk = Disk::new(notices);
        let mut tries = 0;
        let act = async || {
            tries += 1;
            if tries < 4 { full() } else { Ok(()) }
        };
        disk.wait_for_room(|| false, act).await.unwrap();
        assert!(!disk.is_full());
        let first = told.recv().await.unwrap();
        assert!(first.contains("cannot write `x`"), "{first}");
        let then = told.recv().await.unwrap();
        assert_eq!(then, "There is room on this machine's disk again.");
        assert!(told.try_recv().is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn other_errors_and_an_end_are_not_waited_out() {
        let (notices, _told) = mpsc::unbounded_channel();
        let disk = Disk::new(notices);
        let other = disk.wait_for_room(
            || false,
            async || -> anyhow::Result<()> { anyhow::bail!("denied") },
        );
        assert!(other.await.is_err());
        assert!(!disk.is_full());
        assert!(disk.wait_for_room(|| true, async || full()).await.is_err());
    }
}
