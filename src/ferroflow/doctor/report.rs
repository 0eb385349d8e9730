//! What the doctor found, and how it is told.

use std::fmt::Write as _;

use serde::Serialize;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Level {
    /// As it should be.
    Ok,
    /// Not looked at; the text says why.
    Skipped,
    /// Runs work, but perhaps not as hoped.
    Warning,
    /// Runs fail.
    Problem,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    pub(crate) level: Level,
    /// What was looked at.
    pub(crate) thing: String,
    /// What was seen: of a problem, the cause.
    pub(crate) text: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fix: Option<String>,
}

impl Finding {
    pub(crate) fn ok(thing: impl Into<String>, text: impl Into<String>) -> Self {
        Self::new(Level::Ok, thing, text, None)
    }

    pub(crate) fn skipped(thing: impl Into<String>, text: impl Into<String>) -> Self {
        Self::new(Level::Skipped, thing, text, None)
    }

    pub(crate) fn warning(
        thing: impl Into<String>,
        text: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self::new(Level::Warning, thing, text, Some(fix.into()))
    }

    pub(crate) fn problem(
        thing: impl Into<String>,
        text: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self::new(Level::Problem, thing, text, Some(fix.into()))
    }

    fn new(
        level: Level,
        thing: impl Into<String>,
        text: impl Into<String>,
        fix: Option<String>,
    ) -> Self {
        Self {
            level,
            thing: thing.into(),
            text: text.into(),
            fix,
        }
    }
}

/// A value that decides about runs. Of a secret, only that there is one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Shown {
    pub(crate) name: String,
    pub(crate) value: String,
    pub(crate) origin: String,
}

impl Shown {
    pub(crate) fn new(name: &str, value: &str, origin: &str) -> Self {
        Self {
            name: name.to_owned(),
            value: value.to_owned(),
            origin: origin.to_owned(),
        }
    }
}

/// All of it.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    pub(crate) values: Vec<Shown>,
    pub(crate) findings: Vec<Finding>,
}

impl Report {
    pub(crate) fn problems(&self) -> usize {
        self.of(Level::Problem)
    }

    fn of(&self, level: Level) -> usize {
        let of_level = |finding: &&Finding| finding.level == level;
        self.findings.iter().filter(of_level).count()
    }

    /// For people.
    pub(crate) fn text(&self) -> String {
        let mut text = "Values\n".to_owned();
        let width = |lengths: &mut dyn Iterator<Item = usize>| lengths.max().unwrap_or(0);
        let names = width(&mut self.values.iter().map(|value| value.name.len()));
        for Shown {
            name,
            value,
            origin,
        } in &self.values
        {
            let _ = writeln!(text, "  {name:names$}  {value}  ({origin})");
        }
        text.push_str("\nChecks\n");
        for finding in &self.findings {
            let word = match finding.level {
                Level::Ok => "ok",
                Level::Skipped => "-",
                Level::Warning => "warning",
                Level::Problem => "PROBLEM",
            };
            let _ = writeln!(text, "  {word:7}  {}: {}", finding.thing, finding.text);
            if let Some(fix) = &finding.fix {
                let _ = writeln!(text, "           hint: {fix}");
            }
        }
        let (problems, warnings) = (self.problems(), self.of(Level::Warning));
        let _ = write!(text, "\nproblems: {problems}, warnings: {warnings}");
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_has_all_and_counts() {
        let report = Report {
            values: vec![Shown {
                name: "METAFLOW_USER".to_owned(),
                value: "me".to_owned(),
                origin: "environment".to_owned(),
            }],
            findings: vec![
                Finding::ok("python", "3.11"),
                Finding::problem("queue `q`", "it is DISABLED", "enable it"),
                Finding::warning("clock", "late", "set it"),
                Finding::skipped("service", "not used"),
            ],
        };
        assert_eq!(
            report.text(),
            "Values\n  METAFLOW_USER  me  (environment)\n\nChecks\n  ok       python: 3.11\n  \
             PROBLEM  queue `q`: it is DISABLED\n           hint: enable it\n  \
             warning  clock: late\n           hint: set it\n  -        service: not used\n\n\
             problems: 1, warnings: 1"
        );
    }
}
