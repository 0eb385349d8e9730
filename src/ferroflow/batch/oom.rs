//! More memory for tasks that ran out of it: FERROFLOW_OOM_RETRIES.

use std::{cell::RefCell, collections::HashMap, env, fmt};

use model::{Attempt, TaskKey, batch::more_memory, failure::grouped};

/// Environment variable: how many attempts of a task that ran out of memory are followed, at no cost to `@retry`, by one
/// that has half as much again.
pub(crate) const RETRIES: &str = "FERROFLOW_OOM_RETRIES";

/// Environment variable: the most that such an attempt asks for, in MiB, which Metaflow calls MB.
pub(crate) const MAX_MEMORY: &str = "FERROFLOW_OOM_MAX_MEMORY";

/// All attempts of a task but the first.
const MAX_TIMES: u32 = Attempt::LIMIT - 1;

/// What the environment says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct OomRetries {
    times: u32,
    most: Option<u64>,
}

/// A variable makes no sense.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OomRetriesError {
    #[error(
        "{RETRIES} is `{0}`\nhint: it is the number of attempts that may be repeated with more memory, from 0 to {MAX_TIMES}; 0 unless it is set"
    )]
    Times(String),
    #[error("{MAX_MEMORY} is `{0}`\nhint: it is a whole number of MB, at least 1: 65536")]
    Most(String),
}

impl OomRetries {
    /// Reads both variables.
    pub(crate) fn of_environment() -> Result<Self, OomRetriesError> {
        let text = |name| {
            let value = env::var_os(name).unwrap_or_default();
            value.to_string_lossy().into_owned()
        };
        Self::parse(&text(RETRIES), &text(MAX_MEMORY))
    }

    fn parse(times: &str, most: &str) -> Result<Self, OomRetriesError> {
        let times = match times {
            "" | "off" => 0,
            number => match number.parse() {
                Ok(times) if times <= MAX_TIMES => times,
                _ => return Err(OomRetriesError::Times(number.to_owned())),
            },
        };
        let most = match most {
            "" => None,
            number => match number.parse() {
                Ok(most @ 1..) => Some(most),
                _ => return Err(OomRetriesError::Most(number.to_owned())),
            },
        };
        Ok(Self { times, most })
    }
}

/// What a task is given more of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Raise {
    /// How many of its attempts ran out of memory.
    pub(super) times: u32,
    /// What the last of them had, in MiB.
    pub(super) from: u64,
    /// What each one gets from now on, in MiB.
    pub(super) to: u64,
}

impl fmt::Display for Raise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, to) = (grouped(self.from), grouped(self.to));
        write!(
            f,
            "An attempt ran out of {from} MB of memory: this one asks for {to} MB ({RETRIES})."
        )
    }
}

/// The tasks of a run that get more than their decorators say.
#[derive(Debug, Default)]
pub(super) struct Raises {
    retries: OomRetries,
    of_task: RefCell<HashMap<TaskKey, Raise>>,
}

impl Raises {
    pub(super) fn new(retries: OomRetries) -> Self {
        Self {
            retries,
            of_task: RefCell::default(),
        }
    }

    /// What this task is given, if that is more than it asks for.
    pub(super) fn of(&self, task: TaskKey) -> Option<Raise> {
        self.of_task.borrow().get(&task).copied()
    }

    /// How many attempts of this task were repeated for want of memory.
    pub(super) fn times(&self, task: TaskKey) -> u32 {
        self.of(task).map_or(0, |raise| raise.times)
    }

    /// What comes after an attempt that had so much memory, in MiB, and so many vCPUs.
    pub(super) fn next(&self, memory: u64, vcpu: &str, is_fargate: bool) -> Option<u64> {
        more_memory(memory, self.retries.most, vcpu, is_fargate)
    }

    /// Gives a task more from now on. False if it has been given more often enough.
    pub(super) fn raise(&self, task: TaskKey, from: u64, to: u64) -> bool {
        let times = self.times(task) + 1;
        if times > self.retries.times {
            return false;
        }
        let raise = Raise { times, from, to };
        self.of_task.borrow_mut().insert(task, raise);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_off_unless_a_number_says_how_often() {
        let is = |times, most| Ok(OomRetries { times, most });
        assert_eq!(OomRetries::parse("", ""), is(0, None));
        assert_eq!(OomRetries::parse("off", ""), is(0, None));
        assert_eq!(OomRetries::parse("5", "65536"), is(5, Some(65_536)));
        for bad in ["6", "-1", "on", "2 "] {
            let error = OomRetriesError::Times(bad.to_owned());
            assert_eq!(OomRetries::parse(bad, ""), Err(error));
        }
        for bad in ["0", "64G", "-1"] {
            let error = OomRetriesError::Most(bad.to_owned());
            assert_eq!(OomRetries::parse("1", bad), Err(error));
        }
    }

    #[test]
    fn a_task_is_given_more_so_often() {
        let raises = Raises::new(OomRetries {
            times: 2,
            most: Some(7_000),
        });
        let (one, other) = (TaskKey(1), TaskKey(2));
        assert_eq!((raises.of(one), raises.times(one)), (None, 0));
        assert_eq!(raises.next(4_096, "1", false), Some(6_144));
        assert!(raises.raise(one, 4_096, 6_144));
        assert_eq!(raises.next(6_144, "1", false), Some(7_000));
        assert!(raises.raise(one, 6_144, 7_000));
        assert_eq!(raises.next(7_000, "1", false), None);
        assert!(!raises.raise(one, 7_000, 8_000));
        let last = Raise {
            times: 2,
            from: 6_144,
            to: 7_000,
        };
        assert_eq!(raises.of(one), Some(last));
        assert_eq!(
            last.to_string(),
            "An attempt ran out of 6,144 MB of memory: this one asks for 7,000 MB (FERROFLOW_OOM_RETRIES)."
        );
        assert_eq!(raises.of(other), None);
        assert!(!Raises::default().raise(one, 1, 2), "off by default");
    }
}
