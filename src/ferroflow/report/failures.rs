//! Failed tasks by step and cause, so that a wide foreach tells each cause once, with one log.
//!
//! A task counts as long as its last attempt has failed. Memory is bounded: a number for each failed task, and so many
//! causes with so many lines each.

use std::collections::HashMap;

use model::{StepName, TaskKey};
use serde::Serialize;

use super::LastLines;

/// Causes that are told apart; further ones of any step are one.
const MAX_CAUSES: usize = 64;

/// Characters of a text that are kept.
const MAX_TEXT: usize = 1_000;

/// Causes that are told in words at the end of a run.
const MAX_TOLD: usize = 8;

/// What is said of causes beyond the first [`MAX_CAUSES`].
const OTHER_CAUSES: &str = "other causes";

/// Why an attempt failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// One of docs/failures.md.
    pub(crate) class: String,
    /// What happened, and the evidence.
    pub(crate) cause: String,
    /// What to do about it.
    pub(crate) fix: Option<String>,
    /// The last lines that the task itself printed.
    pub(crate) log: LastLines,
}

/// Tasks that failed for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Group {
    /// Their step; of [`OTHER_CAUSES`] that of the first.
    pub(crate) step: StepName,
    /// The class of all of them.
    pub(crate) class: String,
    /// What happened to one of them, and what to do about it.
    pub(crate) cause: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fix: Option<String>,
    /// The last lines of one of them.
    pub(crate) log: LastLines,
    /// How many there are.
    pub(crate) tasks: usize,
}

/// The failed tasks of a run.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    groups: Vec<Group>,
    known: HashMap<Reason, usize>,
    /// The group of each task whose last attempt has failed.
    of_task: HashMap<TaskKey, usize>,
}

/// What tasks of one group have in common.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Reason {
    step: StepName,
    class: String,
    text: String,
}

impl Failures {
    /// An attempt of a task has failed.
    pub(crate) fn failed(&mut self, task: TaskKey, step: &StepName, failure: &Failure) {
        self.succeeded(task);
        let group = self.group_of(step, failure);
        self.groups[group].tasks += 1;
        self.of_task.insert(task, group);
    }

    /// An attempt of a task has succeeded, whatever others did before.
    pub(crate) fn succeeded(&mut self, task: TaskKey) {
        if let Some(group) = self.of_task.remove(&task) {
            self.groups[group].tasks -= 1;
        }
    }

    /// Groups with their first tasks: the largest groups first.
    pub(crate) fn grouped(&self) -> Vec<(&Group, TaskKey)> {
        let mut first: Vec<Option<TaskKey>> = vec![None; self.groups.len()];
        for (&task, &group) in &self.of_task {
            let known = first[group].get_or_insert(task);
            *known = task.min(*known);
        }
        let mut all: Vec<_> = self.groups.iter().zip(first).collect();
        all.sort_by_key(|(group, _)| std::cmp::Reverse(group.tasks));
        let all = all.into_iter();
        all.filter_map(|(group, first)| Some((group, first?)))
            .collect()
    }

    fn group_of(&mut self, step: &StepName, failure: &Failure) -> usize {
        let reason = Reason {
            step: step.clone(),
            class: failure.class.clone(),
            text: reason(failure),
        };
        if let Some(&group) = self.known.get(&reason) {
            return group;
        }
        let is_full = self.groups.len() >= MAX_CAUSES;
        if self.groups.len() <= MAX_CAUSES {
            self.groups.push(Group {
                step: step.clone(),
                class: if is_full {
                    OTHER_CAUSES.to_owned()
                } else {
                    failure.class.clone()
                },
                cause: shortened(&failure.cause, MAX_TEXT),
                fix: (failure.fix.as_ref()).map(|fix| shortened(fix, MAX_TEXT)),
                log: failure.log.clone(),
                tasks: 0,
            });
        }
        let group = self.groups.len() - 1;
        if !is_full {
            self.known.insert(reason, group);
        }
        group
    }
}

/// Groups and their first tasks in words, where more than one task failed for one reason: else each has told its own.
pub(crate) fn in_groups(groups: &[(&Group, String)]) -> Vec<String> {
    if groups.iter().all(|(group, _)| group.tasks < 2) {
        return Vec::new();
    }
    let mut lines = Vec::new();
    for (group, first) in groups.iter().take(MAX_TOLD) {
        let Group { step, class, .. } = group;
        lines.push(match group.tasks {
            1 => format!("1 task of step {step} failed: {class}. It is {first}."),
            tasks => format!("{tasks} tasks of step {step} failed: {class}. The first is {first}."),
        });
        lines.push(match &group.fix {
            Some(fix) => format!("    {}: {fix}.", group.cause),
            None => format!("    {}.", group.cause),
        });
        lines.extend(group.log.iter().map(|line| format!("    {line}")));
    }
    if let Some(left) = groups.len().checked_sub(MAX_TOLD).filter(|left| *left > 0) {
        let rest = groups.iter().skip(MAX_TOLD);
        let tasks: usize = rest.map(|(group, _)| group.tasks).sum();
        lines.push(format!(
            "{tasks} more tasks failed for {left} other reasons."
        ));
    }
    lines
}

/// What a failure has in common with others of its kind: its cause, and, when that is the step's own affair, its last words;
/// both without numbers and ids.
fn reason(failure: &Failure) -> String {
    let of_step = failure.class == model::failure::Class::UserError.to_string();
    let last = failure.log.last().filter(|_| of_step).unwrap_or_default();
    let text = format!("{}\n{last}", failure.cause);
    without_numbers(&shortened(&text, MAX_TEXT))
}

/// The text with `#` for each number and for each long word of hexadecimal digits.
fn without_numbers(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let id = rest.find(|c: char| !(c.is_ascii_hexdigit() || c == '-'));
        let (id, after) = rest.split_at(id.unwrap_or(rest.len()));
        let begins_word =
            !kept.ends_with(|c: char| c.is_ascii_alphanumeric()) || kept.ends_with("#x");
        if begins_word && id.len() >= 8 && id.bytes().any(|b| b.is_ascii_digit()) {
            kept.push('#');
            rest = after;
        } else if first.is_ascii_digit() {
            kept.push('#');
            rest = rest.trim_start_matches(|c: char| c.is_ascii_digit() || ",._".contains(c));
        } else {
            kept.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    kept
}

/// So many characters of a text, and a sign where some are left out.
pub(super) fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(name: &str) -> StepName {
        StepName::new(name).unwrap()
    }

    fn failure(class: &str, cause: &str, log: &[&str]) -> Failure {
        let mut lines = LastLines::default();
        for line in log {
            lines.push(line);
        }
        Failure {
            class: class.to_owned(),
            cause: cause.to_owned(),
            fix: Some("ask for more".to_owned()),
            log: lines,
        }
    }

    #[test]
    fn tasks_with_one_cause_are_one_group() {
        let mut failures = Failures::default();
        let train = step("train");
        let memory = |used: &str, log: &str| {
            let cause = format!("The task ran out of memory (it used {used} of 4,096 MB)");
            failure("out of memory", &cause, &[log])
        };
        for key in (3..40).rev() {
            let failure = memory(&format!("4,0{key}"), &format!("epoch {key}"));
            failures.failed(TaskKey(key), &train, &failure);
        }
        let error = |item: u32| {
            let last = format!("ValueError: item {item} of 9f8e7d6c-0001 is bad");
            failure("user error", "exit code 1", &["Traceback", &last])
        };
        failures.failed(TaskKey(50), &train, &error(7));
        failures.failed(TaskKey(51), &train, &error(12_345));
        let other = failure("user error", "exit code 1", &["KeyError: 'x'"]);
        failures.failed(TaskKey(52), &train, &other);
        failures.failed(TaskKey(53), &step("score"), &other);
        let grouped = failures.grouped();
        let told: Vec<_> = grouped
            .iter()
            .map(|(group, first)| (group.step.as_str(), group.tasks, first.0))
            .collect();
        assert_eq!(
            told,
            [
                ("train", 37, 3),
                ("train", 2, 50),
                ("train", 1, 52),
                ("score", 1, 53)
            ]
        );
        assert_eq!(grouped[0].0.log.last(), Some("epoch 39"));
    }

    #[test]
    fn only_the_last_attempt_counts() {
        let mut failures = Failures::default();
        let one = failure("user error", "exit code 1", &[]);
        let other = failure("timeout", "too long", &[]);
        failures.failed(TaskKey(1), &step("a"), &one);
        failures.failed(TaskKey(1), &step("a"), &other);
        failures.failed(TaskKey(2), &step("a"), &one);
        failures.succeeded(TaskKey(2));
        failures.succeeded(TaskKey(3));
        let told: Vec<_> = failures
            .grouped()
            .iter()
            .map(|(g, t)| (g.class.as_str(), t.0))
            .collect();
        assert_eq!(told, [("timeout", 1)]);
    }

    #[test]
    fn groups_have_words_where_one_is_of_several_tasks() {
        let train = step("train");
        let mut failures = Failures::default();
        let memory = failure(
            "out of memory",
            "The task ran out of memory (it used 4,090 of 4,096 MB)",
            &["epoch 1", "  epoch 2"],
        );
        failures.failed(TaskKey(4), &train, &memory);
        let words = |failures: &Failures| {
            let grouped = failures.grouped().into_iter();
            let named = grouped.map(|(group, task)| (group, format!("F/12/train/{}", task.0)));
            in_groups(&named.collect::<Vec<_>>())
        };
        assert!(words(&failures).is_empty());
        let mut error = failure(
            "user error",
            "The task failed with exit code 1",
            &["KeyError: 'x'"],
        );
        error.fix = None;
        failures.failed(TaskKey(5), &train, &error);
        assert!(words(&failures).is_empty());
        failures.failed(TaskKey(6), &train, &memory);
        assert_eq!(
            words(&failures),
            [
                "2 tasks of step train failed: out of memory. The first is F/12/train/4.",
                "    The task ran out of memory (it used 4,090 of 4,096 MB): ask for more.",
                "    epoch 1",
                "      epoch 2",
                "1 task of step train failed: user error. It is F/12/train/5.",
                "    The task failed with exit code 1.",
                "    KeyError: 'x'",
            ]
        );
        for (key, letter) in (7..).zip('a'..='z') {
            error.cause = format!("cause {letter}");
            failures.failed(TaskKey(key), &train, &error);
        }
        let words = words(&failures);
        assert_eq!(
            words.last().unwrap(),
            "20 more tasks failed for 20 other reasons."
        );
    }

    #[test]
    fn causes_are_bounded() {
        let mut failures = Failures::default();
        for key in 0..1_000_u32 {
            let letters: String = key.to_string().bytes().map(|b| (b + 49) as char).collect();
            let long = format!("{letters} {}", "long ".repeat(10_000));
            failures.failed(
                TaskKey(key),
                &step("a"),
                &failure("user error", &long, &[&long]),
            );
        }
        assert_eq!(failures.groups.len(), MAX_CAUSES + 1);
        assert_eq!(failures.known.len(), MAX_CAUSES);
        let grouped = failures.grouped();
        assert_eq!(grouped[0].0.class, OTHER_CAUSES);
        assert_eq!(grouped[0].0.tasks, 1_000 - MAX_CAUSES);
        assert!(
            grouped
                .iter()
                .all(|(group, _)| group.cause.chars().count() <= MAX_TEXT + 1)
        );
    }

    #[test]
    fn numbers_and_ids_do_not_tell_causes_apart() {
        for (text, plain) in [
            ("used 4,090 of 4,096 MB", "used # of # MB"),
            ("line 12, in f", "line # in f"),
            ("s3://b/0a1b2c3d4e5f/x", "s#://b/#/x"),
            (
                "job 18b8b854-d900-45d5-97b4-37bc5f516d18 ended",
                "job # ended",
            ),
            ("a defaced decade", "a defaced decade"),
            ("model_7 at 0x7f03", "model_# at #x#f#"),
            ("größer 3½", "größer #½"),
            ("", ""),
        ] {
            assert_eq!(without_numbers(text), plain, "{text}");
        }
    }
}
