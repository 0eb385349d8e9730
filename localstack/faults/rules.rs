//! The rules of a stack, and how often each has matched and fired.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use super::{fault::Fault, rule::Rule, subject::task_of};
use crate::Caller;

/// What rules are asked about: a call, or the start of a job.
#[derive(Debug, Clone, Copy)]
pub struct Event<'a> {
    /// Operation in AWS's spelling, or [`super::START_JOB`].
    pub operation: &'a str,
    /// Job name, object key, job id…
    pub subject: &'a str,
    /// Of a child of an array.
    pub index: Option<u32>,
    /// The task that a job of Ferroflow's runs, where that is known: its name tells only the first one of an array.
    pub task: Option<&'a str>,
    /// Who calls.
    pub by: Option<&'a Caller>,
}

/// A fault that is to happen.
#[derive(Debug, Clone, PartialEq)]
pub struct Fired {
    /// Place of the rule in its file, counted from 1.
    pub rule: usize,
    /// Which of its matches it was.
    pub nth: u64,
    /// What happens.
    pub fault: Fault,
}

/// The rules of a stack.
#[derive(Debug, Default)]
pub struct Faults {
    rules: Mutex<Vec<Counted>>,
}

#[derive(Debug)]
struct Counted {
    rule: Rule,
    matches: u64,
    /// By task, or by subject and index; empty for rules without a bound.
    fired: HashMap<(String, Option<u32>), u64>,
}

impl Faults {
    /// Rules in order; the first that fires wins.
    pub fn new(rules: Vec<Rule>) -> Self {
        let counted = |rule| Counted {
            rule,
            matches: 0,
            fired: HashMap::new(),
        };
        let rules = Mutex::new(rules.into_iter().map(counted).collect());
        Self { rules }
    }

    /// Counts what happens, in all rules that match, and says what goes wrong with it.
    pub fn fire(&self, event: Event<'_>) -> Option<Fired> {
        let mut rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found = None;
        for (place, counted) in rules.iter_mut().enumerate() {
            if !counted.rule.matches(event) {
                continue;
            }
            counted.matches += 1;
            if found.is_none() && counted.fires(place, event) {
                found = Some(Fired {
                    rule: place + 1,
                    nth: counted.matches,
                    fault: counted.rule.fault.clone(),
                });
            }
        }
        found
    }

    /// Whether any rule counts what it does to each subject.
    pub(crate) fn count_subjects(&self) -> bool {
        let rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        let mut rules = rules.iter();
        rules.any(|counted| counted.rule.at_most_per_subject.is_some())
    }

    /// How old an answer can get by these rules.
    pub(crate) fn longest_lag(&self) -> Duration {
        let rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        let lags = rules.iter().map(|counted| counted.rule.fault.lag());
        lags.max().unwrap_or_default()
    }
}

impl Counted {
    fn fires(&mut self, place: usize, event: Event<'_>) -> bool {
        let rule = &self.rule;
        let range = rule.nth..rule.nth.saturating_add(rule.times);
        let is_chosen = || {
            rule.chance
                .is_none_or(|chance| chance.fires(place, self.matches))
        };
        if !range.contains(&self.matches) || !is_chosen() {
            return false;
        }
        let Some(most) = rule.at_most_per_subject else {
            return true;
        };
        let subject = match event.task {
            Some(task) => (task.to_owned(), None),
            None => (task_of(event.subject).to_owned(), event.index),
        };
        let fired = self.fired.entry(subject).or_default();
        if *fired >= most {
            return false;
        }
        *fired += 1;
        true
    }
}

impl Rule {
    fn matches(&self, event: Event<'_>) -> bool {
        let is_of = |part: &str| event.by.is_some_and(|by| by.is(part));
        self.is_about(event.operation)
            && self
                .subject
                .as_ref()
                .is_none_or(|part| event.subject.contains(part.as_str()))
            && (self.index.is_none() || self.index == event.index)
            && self.client.as_deref().is_none_or(is_of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(rules: &str) -> Faults {
        Faults::new(serde_json::from_str(rules).unwrap())
    }

    fn job(subject: &str, index: Option<u32>) -> Event<'_> {
        Event {
            operation: "StartJob",
            subject,
            index,
            task: None,
            by: None,
        }
    }

    fn call<'a>(operation: &'a str, subject: &'a str) -> Event<'a> {
        Event {
            operation,
            subject,
            index: None,
            task: None,
            by: None,
        }
    }

    #[test]
    fn a_rule_fires_on_the_matches_it_names() {
        let faults = faults(
            r#"[{"operation": "SubmitJob", "subject": "-work-", "nth": 2, "times": 2, "fault": "lose_reply"},
                {"operation": "StartJob", "index": 3, "fault": {"lose_host": 0.5}}]"#,
        );
        let lost = |nth| {
            Some(Fired {
                rule: 1,
                nth,
                fault: Fault::LoseReply,
            })
        };
        let call = || faults.fire(call("SubmitJob", "u-work-1"));
        assert_eq!(
            [call(), call(), call(), call()],
            [None, lost(2), lost(3), None]
        );
        assert_eq!(faults.fire(self::call("SubmitJob", "u-other-1")), None);
        assert_eq!(faults.fire(job("x", Some(2))), None);
        let fired = faults.fire(job("x", Some(3))).unwrap();
        assert_eq!(fired.rule, 2);
        assert_eq!(fired.fault, Fault::LoseHost(Duration::from_millis(500)));
    }

    #[test]
    fn a_rule_with_a_probability_fires_on_the_same_matches_each_time() {
        let rules = r#"[{"operation": "SubmitJob", "seed": 7, "probability": 0.3, "nth": 11, "fault": "lose_reply"}]"#;
        let fired = || {
            let faults = faults(rules);
            let fired = (1..=200).filter(|_| faults.fire(call("SubmitJob", "x")).is_some());
            fired.collect::<Vec<_>>()
        };
        let first = fired();
        assert_eq!(first, fired());
        assert!(
            first.len() > 30 && first.len() < 90 && first[0] > 10,
            "{first:?}"
        );
    }

    #[test]
    fn a_bound_is_for_each_subject() {
        let faults = faults(
            r#"[{"operation": "StartJob", "probability": 1, "at_most_per_subject": 2, "fault": {"lose_host": 1}}]"#,
        );
        let fires = |name: &str, index| faults.fire(job(name, index)).is_some();
        let attempts = [0, 1, 2, 3].map(|n| format!("u-F-1-work-3-{n}-L{n}-0123456{n}"));
        let fired = attempts.each_ref().map(|name| fires(name, None));
        assert_eq!(fired, [true, true, false, false]);
        assert!(fires("u-F-1-work-4-0-L9-01234567", None));
        assert!(fires(&attempts[0], Some(0)) && fires(&attempts[0], Some(1)));
        let of_task = |name: &str, index| {
            let start = Event {
                task: Some("1/work/7"),
                ..job(name, index)
            };
            faults.fire(start).is_some()
        };
        let fired = [(Some(5)), (Some(2)), None].map(|index| of_task(&attempts[0], index));
        assert_eq!(fired, [true, true, false]);
    }

    #[test]
    fn a_client_can_be_cut_off() {
        let faults = faults(
            r#"[{"operation": "*", "client": "launcher-a", "times": 100, "fault": "hang_up"}]"#,
        );
        let by = |app: &str| Caller {
            app: Some(app.to_owned()),
            ..Caller::default()
        };
        let fires = |operation, app: &str| {
            let by = by(app);
            let call = Event {
                by: Some(&by),
                ..call(operation, "")
            };
            faults.fire(call).is_some()
        };
        assert!(fires("DescribeJobs", "launcher-a") && fires("PutObject", "launcher-a"));
        assert!(!fires("DescribeJobs", "launcher-b"));
        assert_eq!(faults.fire(job("launcher-a", None)), None);
    }
}
