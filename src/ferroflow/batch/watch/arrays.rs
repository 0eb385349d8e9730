//! Which jobs are asked for where they are more than one call serves.

use std::collections::{BTreeMap, HashMap, HashSet};

use model::batch::{JobDetail, JobId};

use super::{Entry, IDS_PER_CALL, OutcomePlace, to_describe};

/// Of an array, so many children at most are asked for in a round that wait for Batch's word, or are missing once it has ended.
const MISSING_AT_ONCE: usize = 5 * IDS_PER_CALL;

/// What Batch has said of arrays whose children are not asked for one by one.
#[derive(Debug, Default)]
pub(in crate::batch) struct Arrays {
    ended: HashMap<JobId, EndedChildren>,
    /// Arrays of which more children have ended since their outcomes were last listed.
    moved: HashSet<JobId>,
    /// Where the last question for children of an array has stopped.
    last: HashMap<JobId, OutcomePlace>,
}

/// How many children of an array have ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EndedChildren {
    Some(u32),
    All,
}

impl Arrays {
    pub(super) fn told(
        &mut self,
        found: &BTreeMap<JobId, JobDetail>,
        ended_children: &BTreeMap<JobId, u32>,
    ) {
        for (id, count) in ended_children {
            let is_over = found.get(id).is_some_and(|job| job.status.is_terminal());
            let ended = if is_over {
                EndedChildren::All
            } else {
                EndedChildren::Some(*count)
            };
            if self.ended.insert(id.clone(), ended) != Some(ended) {
                self.moved.insert(id.clone());
            }
        }
    }

    /// Whether there may be more outcomes of this job's array than when they were last listed. Of a plain job nobody tells
    /// beforehand.
    pub(super) fn may_list(&self, job: &JobId) -> bool {
        job.parent().is_none_or(|array| self.moved.contains(&array))
    }

    /// The outcomes of this job's array are listed now.
    pub(super) fn lists(&mut self, job: &JobId) {
        if let Some(array) = job.parent() {
            self.moved.remove(&array);
        }
    }

    /// The jobs to ask for: where these are more than a call serves, arrays in the place of their children.
    pub(super) fn in_their_place(
        &mut self,
        registry: &HashMap<JobId, Entry>,
        first_in_line: usize,
    ) -> Vec<JobId> {
        let ids = to_describe(registry, first_in_line);
        if ids.len() <= IDS_PER_CALL {
            return ids;
        }
        let mut children = BTreeMap::<JobId, BTreeMap<OutcomePlace, &JobId>>::new();
        let mut plain: Vec<_> = ids;
        plain.retain(|id| id.parent().is_none());
        for (id, entry) in registry {
            if let Some(array) = id.parent() {
                children.entry(array).or_default().insert(entry.place, id);
            }
        }
        self.ended.retain(|array, _| children.contains_key(array));
        self.last.retain(|array, _| children.contains_key(array));
        self.moved.retain(|array| children.contains_key(array));
        for (array, children) in children {
            let (awaited, open): (Vec<_>, Vec<_>) = children
                .into_iter()
                .filter(|(_, id)| !registry[*id].is_terminal())
                .partition(|(_, id)| registry[*id].seen.borrow().outcome);
            // A success is not watched any more: why the others failed waits for Batch's word.
            let awaited = awaited.into_iter().take(MISSING_AT_ONCE);
            plain.extend(awaited.map(|(_, id)| id.clone()));
            plain.extend(self.missing(&array, &open));
            plain.push(array);
        }
        plain
    }

    /// Children that may have ended without an outcome. Until Batch tells which, a call's worth of them is asked for in
    /// turn; nobody knows how many of the array's are still watched, so that any ended one is a reason to ask.
    fn missing(&mut self, array: &JobId, open: &[(OutcomePlace, &JobId)]) -> Vec<JobId> {
        let asked = match self.ended.get(array) {
            Some(EndedChildren::All) => MISSING_AT_ONCE,
            Some(EndedChildren::Some(count)) if *count > 0 => IDS_PER_CALL - 1,
            _ => return Vec::new(),
        };
        let last = self.last.get(array);
        let begin = open.partition_point(|(place, _)| last.is_some_and(|last| place <= last));
        let turn = open.iter().cycle().skip(begin).take(asked.min(open.len()));
        let turn: Vec<_> = turn.collect();
        if let Some((place, _)) = turn.last() {
            self.last.insert(array.clone(), *place);
        }
        turn.into_iter().map(|(_, id)| (*id).clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use tokio::sync::watch;

    use super::{
        super::{Seen, tests::detail},
        *,
    };

    /// An array of 200 children, of which some have an outcome, and one is known to have failed.
    fn array(with_outcome: &[u32]) -> HashMap<JobId, Entry> {
        let entry = |index: u32| {
            let seen = Seen {
                outcome: with_outcome.contains(&index),
                detail: (index == 7).then(|| detail("array:7", "FAILED")),
                ..Seen::default()
            };
            let place = OutcomePlace { seq: 1, index };
            let seen = watch::channel(seen).0;
            (JobId::new("array").child(index), Entry { place, seen })
        };
        (0..200).map(entry).collect()
    }

    fn tell(arrays: &mut Arrays, status: &str, ended: u32) {
        let id = JobId::new("array");
        let found = BTreeMap::from([(id.clone(), detail("array", status))]);
        arrays.told(&found, &BTreeMap::from([(id, ended)]));
    }

    #[test]
    fn wide_arrays_are_asked_for_in_the_place_of_their_children() {
        let (mut arrays, registry) = (Arrays::default(), array(&[]));
        let array = [JobId::new("array")];
        assert_eq!(arrays.in_their_place(&registry, 8), array);
        tell(&mut arrays, "PENDING", 0);
        assert_eq!(arrays.in_their_place(&registry, 8), array);
    }

    #[test]
    fn children_that_may_have_ended_are_asked_for_in_turn() {
        let (mut arrays, registry) = (Arrays::default(), array(&[]));
        tell(&mut arrays, "PENDING", 1);
        let mut asked = BTreeSet::new();
        for _ in 0..3 {
            let ids = arrays.in_their_place(&registry, 8);
            assert_eq!(ids.len(), IDS_PER_CALL);
            asked.extend(ids);
        }
        // All but the one that has failed, and the array.
        assert_eq!(asked.len(), 200);
        assert!(!asked.contains(&JobId::new("array:7")));
        tell(&mut arrays, "FAILED", 200);
        assert_eq!(arrays.in_their_place(&registry, 8).len(), 200);
    }

    #[test]
    fn outcomes_are_listed_when_children_have_ended() {
        let mut arrays = Arrays::default();
        let child = JobId::new("array").child(3);
        tell(&mut arrays, "PENDING", 0);
        arrays.lists(&child);
        assert!(!arrays.may_list(&child));
        tell(&mut arrays, "PENDING", 1);
        assert!(arrays.may_list(&child));
        arrays.lists(&child);
        tell(&mut arrays, "PENDING", 1);
        assert!(!arrays.may_list(&child));
        tell(&mut arrays, "PENDING", 2);
        assert!(arrays.may_list(&child));
        assert!(arrays.may_list(&JobId::new("plain")));
    }

    #[test]
    fn failures_wait_for_the_word_of_batch() {
        let mut arrays = Arrays::default();
        let ids = arrays.in_their_place(&array(&[3, 7, 150]), 8);
        let ids: Vec<_> = ids.iter().map(JobId::as_str).collect();
        assert_eq!(ids, ["array:3", "array:150", "array"]);
    }
}
