//! The lines of a history, as docs/faults.md has them.

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

/// A history, read.
#[derive(Debug, Clone)]
pub struct History {
    pub(crate) lines: Vec<Line>,
}

/// Why a text is no history.
#[derive(Debug, thiserror::Error)]
#[error("line {number} is none of a history: {error}")]
pub struct HistoryError {
    /// Counted from 1.
    pub number: usize,
    /// Why.
    pub error: serde_json::Error,
}

/// A line.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    /// Counted from 1.
    pub(crate) number: usize,
    /// Milliseconds since 1970. Lines have the order in which things happened; their times may not, when a clock is set.
    pub(crate) at: i64,
    pub(crate) what: What,
}

#[derive(Debug, Clone)]
pub(crate) enum What {
    Call(Call),
    S3Call(S3Call),
    /// Created or replaced.
    Written(Object),
    Deleted(Object),
    Submitted(Submitted),
    JobEnded(JobEnded),
    ProcessStarted(Process),
    ProcessEnded(Process),
    /// What no promise is about.
    Other,
}

/// Who did it.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub(crate) struct By {
    key: Option<String>,
    agent: Option<String>,
    app: Option<String>,
    pub(crate) job: Option<String>,
    pub(crate) task: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Call {
    pub(crate) service: String,
    pub(crate) operation: String,
    #[serde(default)]
    pub(crate) subject: String,
    pub(crate) began: i64,
    #[serde(default)]
    pub(crate) by: By,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct S3Call {
    pub(crate) operation: Option<String>,
    pub(crate) bucket: Option<String>,
    pub(crate) key: Option<String>,
    pub(crate) status: u16,
    #[serde(default)]
    pub(crate) by: By,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Object {
    pub(crate) bucket: String,
    pub(crate) key: String,
    #[serde(default)]
    pub(crate) head: Option<Value>,
    #[serde(default, deserialize_with = "nobody_or")]
    pub(crate) by: By,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Submitted {
    pub(crate) job_id: String,
    pub(crate) job_name: String,
    pub(crate) size: Option<u32>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct JobEnded {
    /// Of the child, for one of an array.
    pub(crate) job_id: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Process {
    pub(crate) job_id: String,
    /// Which start of the job.
    pub(crate) task: String,
}

fn nobody_or<'de, D: serde::Deserializer<'de>>(input: D) -> Result<By, D::Error> {
    Ok(Option::deserialize(input)?.unwrap_or_default())
}

/// What programs are told apart by: a key, and an application id or a kind.
pub(crate) type Program<'a> = (Option<&'a str>, Option<&'a str>);

impl By {
    /// Two programs are different if they say so, or if they are of different kinds or have different keys.
    pub(crate) fn is_same_program(&self, other: &Self) -> bool {
        self.program() == other.program()
    }

    pub(crate) fn program(&self) -> Program<'_> {
        let name = self.app.as_deref().or(self.agent.as_deref());
        (self.key.as_deref(), name)
    }
}

#[derive(Deserialize)]
struct Written {
    at: i64,
    kind: String,
    #[serde(default)]
    detail: Value,
}

impl History {
    /// Reads a history. A last line without an end is left out: its writer was killed.
    pub fn parse(text: &str) -> Result<Self, HistoryError> {
        let mut lines = Vec::new();
        for (number, line) in (1..).zip(text.split_inclusive('\n')) {
            match Line::parse(number, line) {
                Ok(line) => lines.push(line),
                Err(_) if !line.ends_with('\n') => break,
                Err(error) => return Err(HistoryError { number, error }),
            }
        }
        Ok(Self { lines })
    }
}

impl History {
    /// How much there is to look at, in a few words.
    pub fn summary(&self) -> String {
        let count = |is_one: fn(&What) -> bool| {
            let lines = self.lines.iter();
            lines.filter(|line| is_one(&line.what)).count()
        };
        format!(
            "{} lines, {} jobs, {} processes",
            self.lines.len(),
            count(|what| matches!(what, What::Submitted(_))),
            count(|what| matches!(what, What::ProcessStarted(_)))
        )
    }
}

impl Line {
    fn parse(number: usize, line: &str) -> serde_json::Result<Self> {
        fn read<T: DeserializeOwned>(
            detail: Value,
            what: impl FnOnce(T) -> What,
        ) -> serde_json::Result<What> {
            serde_json::from_value(detail).map(what)
        }
        let Written { at, kind, detail } = serde_json::from_str(line)?;
        let what = match kind.as_str() {
            "call" => read(detail, What::Call),
            "s3.call" => read(detail, What::S3Call),
            "object.created" | "object.replaced" => read(detail, What::Written),
            "object.deleted" => read(detail, What::Deleted),
            "job.submitted" => read(detail, What::Submitted),
            "job.ended" => read(detail, What::JobEnded),
            "process.started" => read(detail, What::ProcessStarted),
            "process.ended" | "container.ended" => read(detail, What::ProcessEnded),
            _ => Ok(What::Other),
        }?;
        Ok(Self { number, at, what })
    }
}
