//! Which attempts go out together, as one array job.

use std::{env, time::Duration};

use model::array_spec::{MAX_CHILDREN, MIN_CHILDREN};

/// Environment variable: how many attempts that ask for the same it takes to make an array of them, or `off`.
pub(crate) const ARRAY_MIN: &str = "FERROFLOW_ARRAY_MIN";

/// Without [`ARRAY_MIN`]. Some cost as much as an array: its children show up in listings of their own only.
const DEFAULT_MIN: usize = 8;

/// How long an attempt waits for others that are being prepared: a slot may be free for so long.
const COMPANY: Duration = Duration::from_secs(2);

/// In a fan-out so wide that this is longer for all of it, it is: with local metadata it takes less to prepare them all, and one
/// array is worth it.
const COMPANY_FOR_EACH: Duration = Duration::from_millis(1);

/// How long an attempt waits for so many others that are being prepared.
pub(super) fn patience(coming: usize) -> Duration {
    let coming = u32::try_from(coming.min(MAX_CHILDREN)).unwrap_or_default();
    COMPANY.max(COMPANY_FOR_EACH * coming)
}

/// From how many attempts on an array is made; none ever without one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ArrayMin(Option<usize>);

/// [`ARRAY_MIN`] makes no sense.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{ARRAY_MIN} is `{0}`\nhint: set it to a number from {MIN_CHILDREN} to {MAX_CHILDREN}, or to `off`"
)]
pub(crate) struct ArrayMinError(String);

impl ArrayMin {
    /// What the environment says.
    pub(crate) fn of_environment() -> Result<Self, ArrayMinError> {
        match env::var_os(ARRAY_MIN) {
            Some(text) => Self::parse(&text.to_string_lossy()),
            None => Ok(Self(Some(DEFAULT_MIN))),
        }
    }

    fn parse(text: &str) -> Result<Self, ArrayMinError> {
        match text {
            "" => Ok(Self(Some(DEFAULT_MIN))),
            "off" => Ok(Self(None)),
            number => match number.parse() {
                Ok(min) if (MIN_CHILDREN..=MAX_CHILDREN).contains(&min) => Ok(Self(Some(min))),
                _ => Err(ArrayMinError(number.to_owned())),
            },
        }
    }

    /// Whether attempts ever wait for each other.
    pub(super) fn is_on(self) -> bool {
        self.0.is_some()
    }

    /// Divides what is to be submitted into what goes out together. What comes alone is a plain job; the order is that of
    /// the first of each.
    pub(super) fn divide<T>(self, all: Vec<T>, same: impl Fn(&T, &T) -> bool) -> Vec<Vec<T>> {
        let Some(min) = self.0 else {
            return all.into_iter().map(|one| vec![one]).collect();
        };
        let mut groups: Vec<Vec<T>> = Vec::new();
        for one in all {
            let fits = |group: &&mut Vec<T>| group.len() < MAX_CHILDREN && same(&group[0], &one);
            // From the end: siblings come one after the other.
            match groups.iter_mut().rev().find(fits) {
                Some(group) => group.push(one),
                None => groups.push(vec![one]),
            }
        }
        let apart = |group: Vec<T>| {
            if group.len() < min {
                group.into_iter().map(|one| vec![one]).collect()
            } else {
                vec![group]
            }
        };
        groups.into_iter().flat_map(apart).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_or_off() {
        for (text, min) in [
            ("", Some(8)),
            ("off", None),
            ("2", Some(2)),
            ("10000", Some(10_000)),
        ] {
            assert_eq!(ArrayMin::parse(text), Ok(ArrayMin(min)), "{text}");
        }
        for bad in ["1", "0", "10001", "-3", "on", "8 "] {
            assert_eq!(ArrayMin::parse(bad), Err(ArrayMinError(bad.to_owned())));
        }
    }

    #[test]
    fn up_to_two_thousand_siblings_wait_two_seconds() {
        for (coming, seconds) in [(0, 2), (16, 2), (2_000, 2), (10_000, 10), (100_000, 10)] {
            assert_eq!(patience(coming), Duration::from_secs(seconds), "{coming}");
        }
    }

    #[test]
    fn what_asks_for_the_same_goes_together() {
        let all = vec!['a', 'b', 'a', 'c', 'a', 'b'];
        let divide = |min| {
            let groups = ArrayMin(min).divide(all.clone(), |x, y| x == y);
            groups
                .into_iter()
                .map(String::from_iter)
                .collect::<Vec<_>>()
        };
        assert_eq!(divide(Some(3)), ["aaa", "b", "b", "c"]);
        assert_eq!(divide(Some(2)), ["aaa", "bb", "c"]);
        assert_eq!(divide(Some(4)), ["a", "a", "a", "b", "b", "c"]);
        assert_eq!(divide(None), ["a", "b", "a", "c", "a", "b"]);
    }

    #[test]
    fn an_array_has_an_end() {
        let groups = ArrayMin(Some(8)).divide(vec![(); 2 * MAX_CHILDREN + 9], |(), ()| true);
        let lengths: Vec<_> = groups.iter().map(Vec::len).collect();
        assert_eq!(lengths, [MAX_CHILDREN, MAX_CHILDREN, 9]);
    }
}
