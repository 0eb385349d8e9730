//! The last lines that a task printed. There may be ten thousand tasks, so they are few and short.

use std::collections::VecDeque;

use serde::Serialize;

use super::failures::shortened;

/// A Python traceback ends in the frame of the user's code and the exception.
const MOST: usize = 8;

/// Characters of a line that are kept.
const MAX_LINE: usize = 200;

/// At most the last eight lines that are not empty, each cut off after 200 characters.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(transparent)]
pub(crate) struct LastLines(VecDeque<Box<str>>);

impl LastLines {
    pub(crate) fn push(&mut self, line: &str) {
        if line.trim().is_empty() {
            return;
        }
        if self.0.len() == MOST {
            self.0.pop_front();
        }
        self.0
            .push_back(shortened(line.trim_end(), MAX_LINE).into());
    }

    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.iter().map(AsRef::as_ref)
    }

    pub(crate) fn last(&self) -> Option<&str> {
        self.0.back().map(AsRef::as_ref)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_kept() {
        let mut lines = LastLines::default();
        assert_eq!(lines.last(), None);
        for number in 0..20 {
            lines.push(&format!("line {number}\n"));
            lines.push("  \n");
        }
        lines.push(&"é".repeat(1_000));
        let kept: Vec<_> = lines.iter().collect();
        assert_eq!(kept.len(), MOST);
        assert_eq!(kept[..2], ["line 13", "line 14"]);
        assert_eq!(kept[MOST - 1].chars().count(), MAX_LINE + 1);
        assert_eq!(lines.last(), Some(kept[MOST - 1]));
    }
}
