//! From evidence to a class. What the container wrote counts most, then that the job was
//! terminated or cancelled, then its status reason, then the container's reason, then the exit
//! code.

use super::{
    BootstrapFault, Class, Evidence, Outlook,
    evidence::{KILLED, TERMINATED},
    reasons,
};
use crate::{
    batch::{JobStatus, terminate_reason},
    exit_code::container,
    spec::{Ended, Stopped, TaskOutcome},
};

impl Evidence<'_> {
    /// The one class of this end.
    pub fn class(&self) -> Class {
        match self.outcome {
            Some(outcome) => self.by_outcome(outcome),
            None => self.without_outcome(),
        }
    }

    fn by_outcome(&self, outcome: &TaskOutcome) -> Class {
        let by_reasons = self.by_reasons();
        let stopped = match &outcome.ended {
            // The datastore said so, and the container listened.
            Ended::NotStarted {
                stopped: Some(Stopped::LauncherLost),
                ..
            } => return Class::LauncherLost,
            Ended::NotStarted {
                stopped: Some(Stopped::Cancelled),
                ..
            } => return Class::CancelledByUs,
            Ended::NotStarted { passing, .. } => {
                // A container that was told to stop gives up before user code, too.
                return self
                    .cancelled()
                    .or(by_reasons.filter(|class| *class == Class::HostLost))
                    .unwrap_or(Class::Bootstrap(BootstrapFault::Prepare(Outlook::new(
                        *passing,
                    ))));
            }
            Ended::Exited { stopped, .. } | Ended::Signaled { stopped, .. } => *stopped,
        };
        // The counter of the kernel cannot be read everywhere, and then is 0.
        let is_out_of_memory = outcome.oom_kills > 0
            || self.exit_code() != Some(0) && by_reasons == Some(Class::OutOfMemory);
        match stopped {
            Some(Stopped::TimeLimit) => Class::Timeout,
            Some(Stopped::LauncherLost) => Class::LauncherLost,
            Some(Stopped::Cancelled) => Class::CancelledByUs,
            Some(Stopped::Terminated) => self
                .cancelled()
                .or(by_reasons.filter(|class| matches!(class, Class::HostLost | Class::Timeout)))
                .unwrap_or(if is_out_of_memory {
                    Class::OutOfMemory
                } else {
                    self.interrupted()
                }),
            None if is_out_of_memory => Class::OutOfMemory,
            None => Class::UserError,
        }
    }

    fn without_outcome(&self) -> Class {
        let Some(job) = self.job else {
            return self.nothing_known();
        };
        if let Some(class) = self.cancelled() {
            return class;
        }
        if job.status == JobStatus::Succeeded {
            return if self.claimed {
                self.nothing_known()
            } else {
                Class::Bootstrap(BootstrapFault::Skipped)
            };
        }
        let is_failed_start = self.status_reason().is_some_and(reasons::is_failed_start);
        self.by_reasons()
            .or(is_failed_start.then_some(Class::ContainerRuntime(Outlook::Passing)))
            .unwrap_or_else(|| self.by_exit_code())
    }

    /// Who ended it on purpose, if somebody did.
    fn cancelled(&self) -> Option<Class> {
        let Some(job) = self.job else {
            return self.ended_by_us.then_some(Class::CancelledByUs);
        };
        let reason = self.status_reason();
        if let Some(class) = reason.and_then(reasons::of_batchs_own_end) {
            return Some(class);
        }
        if !job.is_terminated && !job.is_cancelled {
            return None;
        }
        Some(match reason {
            Some(terminate_reason::TWIN) => Class::Duplicate,
            Some(reason) if reason.starts_with(terminate_reason::PREFIX) => Class::CancelledByUs,
            None if self.ended_by_us => Class::CancelledByUs,
            _ => Class::CancelledBySomebody,
        })
    }

    fn by_reasons(&self) -> Option<Class> {
        let by_status = self.status_reason().and_then(|reason| {
            reasons::of_batchs_own_end(reason).or_else(|| reasons::of_reason(reason))
        });
        by_status.or_else(|| self.container_reason().and_then(reasons::of_reason))
    }

    fn by_exit_code(&self) -> Class {
        let Some(code) = self.exit_code() else {
            return self.nothing_known();
        };
        match code {
            // A kill of unknown origin is not out of memory until somebody says so.
            KILLED => self.nothing_known(),
            TERMINATED => self.interrupted(),
            container::BOOTSTRAP_FAILED if self.claimed => {
                Class::Bootstrap(BootstrapFault::Prepare(Outlook::Passing))
            }
            // Only what Batch has called dead is followed by another attempt.
            container::SUPERSEDED if self.claimed => Class::HostLost,
            0 if self.claimed => self.nothing_known(),
            _ if self.claimed => Class::UserError,
            container::NO_BOOTSTRAP => Class::Bootstrap(BootstrapFault::Missing),
            container::BOOTSTRAP_FETCH => Class::Bootstrap(BootstrapFault::Fetch),
            container::BOOTSTRAP_EXEC => Class::Bootstrap(BootstrapFault::Exec),
            container::DUPLICATE => Class::Duplicate,
            container::BOOTSTRAP_FAILED => Class::Bootstrap(BootstrapFault::Claim),
            0 => Class::Bootstrap(BootstrapFault::Skipped),
            // What a shell gives when it cannot run a command.
            126 | 127 => Class::ContainerRuntime(Outlook::Lasting),
            _ => Class::Bootstrap(BootstrapFault::Early),
        }
    }

    /// It was told to stop, and Batch does not say why.
    fn interrupted(&self) -> Class {
        if self.ended_by_us {
            Class::CancelledByUs
        } else {
            Class::Interrupted
        }
    }

    fn nothing_known(&self) -> Class {
        if self.ended_by_us {
            Class::CancelledByUs
        } else {
            Class::Unknown
        }
    }
}
