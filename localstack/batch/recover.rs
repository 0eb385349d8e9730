//! What outlives a process of the stack: the end of jobs that had a place, and a journal of bearable length.

use std::{io, sync::Arc, time::Duration};

use super::{
    event::{Event, Snapshot, Whole},
    outcome::host_lost,
    process::sweep,
    service::{Core, Shared},
};
use crate::ApiError;

/// How long finished jobs can be described (user guide, "Job states").
const RETENTION: Duration = Duration::from_hours(7 * 24);

impl Shared {
    /// What was running when the last process of this stack ended has lost its host.
    pub(super) fn recover(self: &Arc<Self>) -> io::Result<()> {
        let mut core = self.core();
        let placed: Vec<_> = core
            .state
            .placed
            .iter()
            .map(|(key, placed)| (*key, placed.process))
            .collect();
        for (key, process) in placed {
            let Some((id, attempt)) =
                core.state
                    .submission(key.submission)
                    .and_then(|submission| {
                        let job = submission.job(key.index)?;
                        Some((submission.id(key.index), job.attempt()))
                    })
            else {
                continue;
            };
            sweep(process, &id);
            let outcome = host_lost(&id, attempt);
            let event = Event::Ended {
                key,
                attempt,
                outcome,
            };
            self.apply(&mut core, event).map_err(io::Error::other)?;
        }
        let jobs = self.context.folder.join("batch/jobs");
        match std::fs::remove_dir_all(&jobs) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(%error, folder = %jobs.display(), "folders of old jobs cannot be removed");
            }
            _ => {}
        }
        self.expire(&mut core).map_err(io::Error::other)?;
        self.first_resources(&mut core).map_err(io::Error::other)?;
        Self::compact(&mut core)
    }

    pub(super) fn expire(&self, core: &mut Core) -> Result<(), ApiError> {
        let kept = self.context.clock.real(RETENTION).as_millis() as i64;
        let before = self.context.clock.now_ms() - kept;
        match core.state.finished.front() {
            Some((at, _)) if *at < before => self.apply(core, Event::Expired { before }),
            _ => Ok(()),
        }
    }

    pub(super) fn compact(core: &mut Core) -> io::Result<()> {
        let Core {
            state,
            journal,
            last_at,
            ..
        } = core;
        let event = Whole::Snapshot(state);
        journal.rewrite(std::iter::once(Snapshot {
            at: *last_at,
            event,
        }))?;
        core.lines = 0;
        Ok(())
    }
}
