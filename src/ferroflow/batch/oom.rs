//! More memory for tasks that ran out of it: FERROFLOW_OOM_RETRIES.

use std::{cell::RefCell, collections::HashMap, env};

use model::{Attempt, TaskKey, batch::more_memory, failure::grouped, launch_record::Raise};

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

/// What is said of it.
pub(super) fn told(raise: Raise) -> String {
    let (from, to) = (grouped(raise.from), grouped(raise.to));
    format!("An attempt ran out of {from} MB of memory: this one asks for {to} MB ({RETRIES}).")
}

/// The tasks of a run that get more than their decorators say.
#[derive(Debug, Default)]
pub(super) struct Raises {
    retries: OomRetries,
    /// In the order of attempts.
    of_task: RefCell<HashMap<TaskKey, Vec<Raise>>>,
    /// What no record of the chain tells yet.
    unwritten: RefCell<Vec<Raise>>,
}

impl Raises {
    /// `before` is what launchers before this one have written down.
    pub(super) fn new(retries: OomRetries, before: Vec<Raise>) -> Self {
        let mut of_task: HashMap<_, Vec<Raise>> = HashMap::new();
        for raise in before {
            of_task.entry(raise.key).or_default().push(raise);
        }
        Self {
            retries,
            of_task: of_task.into(),
            unwritten: RefCell::default(),
        }
    }

    /// What this attempt is given, if that is more than its task asks for.
    pub(super) fn of(&self, task: TaskKey, attempt: Attempt) -> Option<Raise> {
        let of_task = self.of_task.borrow();
        let mut before = of_task.get(&task)?.iter().rev();
        before.find(|raise| raise.attempt < attempt).copied()
    }

    /// How many attempts of this task were repeated for want of memory.
    pub(super) fn times(&self, task: TaskKey) -> u32 {
        let times = self.of_task.borrow().get(&task).map_or(0, Vec::len);
        u32::try_from(times).unwrap_or(u32::MAX)
    }

    /// What comes after an attempt that had so much memory, in MiB, and so many vCPUs.
    pub(super) fn next(&self, memory: u64, vcpu: &str, is_fargate: bool) -> Option<u64> {
        more_memory(memory, self.retries.most, vcpu, is_fargate)
    }

    /// Gives a task more from now on. False if it has been given more often enough. An attempt that is judged once more, by a
    /// launcher that took the run over, counts once.
    pub(super) fn raise(&self, raise: Raise) -> bool {
        let times = self.times(raise.key);
        let mut of_task = self.of_task.borrow_mut();
        let of_task = of_task.entry(raise.key).or_default();
        if of_task.iter().any(|known| known.attempt == raise.attempt) {
            return true;
        }
        if times >= self.retries.times {
            return false;
        }
        of_task.push(raise);
        self.unwritten.borrow_mut().push(raise);
        true
    }

    /// What the next record of the chain tells.
    pub(super) fn unwritten(&self) -> Vec<Raise> {
        self.unwritten.borrow().clone()
    }

    /// A record tells so many of them.
    pub(super) fn forget(&self, count: usize) {
        self.unwritten.borrow_mut().drain(..count);
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

    const FIRST: Raise = Raise {
        key: TaskKey(1),
        attempt: Attempt(0),
        from: 4_096,
        to: 6_144,
    };
    const SECOND: Raise = Raise {
        attempt: Attempt(2),
        from: 6_144,
        to: 7_000,
        ..FIRST
    };

    fn twice() -> OomRetries {
        OomRetries {
            times: 2,
            most: Some(7_000),
        }
    }

    #[test]
    fn a_task_is_given_more_so_often() {
        let raises = Raises::new(twice(), Vec::new());
        let (one, other) = (TaskKey(1), TaskKey(2));
        assert_eq!((raises.of(one, Attempt(5)), raises.times(one)), (None, 0));
        assert_eq!(raises.next(4_096, "1", false), Some(6_144));
        assert!(raises.raise(FIRST));
        assert_eq!(raises.next(6_144, "1", false), Some(7_000));
        assert!(raises.raise(SECOND));
        assert_eq!(raises.next(7_000, "1", false), None);
        let third = Raise {
            attempt: Attempt(3),
            ..SECOND
        };
        assert!(!raises.raise(third));
        let given: Vec<_> = (0..4).map(|n| raises.of(one, Attempt(n))).collect();
        assert_eq!(given, [None, Some(FIRST), Some(FIRST), Some(SECOND)]);
        assert_eq!(
            told(SECOND),
            "An attempt ran out of 6,144 MB of memory: this one asks for 7,000 MB (FERROFLOW_OOM_RETRIES)."
        );
        assert_eq!(raises.of(other, Attempt(1)), None);
        assert!(!Raises::default().raise(FIRST), "off by default");
    }

    /// Judged once more by a launcher that has taken the run over, and found in the chain.
    #[test]
    fn an_attempt_is_followed_by_more_once() {
        let first = Raises::new(twice(), Vec::new());
        assert!(first.raise(FIRST));
        let second = Raises::new(twice(), first.unwritten());
        assert!(second.raise(FIRST));
        assert_eq!((second.times(TaskKey(1)), second.unwritten().len()), (1, 0));
        assert!(second.raise(SECOND));
        assert_eq!(second.unwritten(), [SECOND]);
        second.forget(1);
        assert_eq!(second.unwritten(), []);
    }
}
