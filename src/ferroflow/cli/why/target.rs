//! What is asked about.

use anyhow::{Result, bail};
use model::{FlowName, RunId, batch::JobId};

use crate::cli::status::runs::Pathspec;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    Run(FlowName, RunId),
    Job(JobId),
}

impl Target {
    /// A job's id is a UUID, with `:3` for a child of an array or `#3` for a node.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let id = match text.strip_prefix("arn:") {
            Some(arn) => arn.rsplit_once(":job/").map(|(_, id)| id),
            None => Some(text),
        };
        if let Some(id) = id.filter(|id| is_job_id(id)) {
            return Ok(Self::Job(JobId::new(id)));
        }
        if text.contains('/')
            && id.is_some()
            && let Ok(Pathspec::Run(flow, run)) = Pathspec::parse(text)
        {
            return Ok(Self::Run(flow, run));
        }
        bail!(
            "`{text}` names neither a run nor a job\nhint: write MyFlow/1795629404190365, or the id of a job as the log has it: 6c2c55f0-8d1c-4fd4-a4d5-0c7a3f1f9a11"
        )
    }
}

fn is_job_id(text: &str) -> bool {
    let (id, part) = match text.split_once([':', '#']) {
        Some((id, part)) => (id, Some(part)),
        None => (text, None),
    };
    let is_hexadecimal = |part: &str| part.bytes().all(|b| b.is_ascii_hexdigit());
    let lengths: Vec<_> = id.split('-').map(str::len).collect();
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    lengths == [8, 4, 4, 4, 12] && id.split('-').all(is_hexadecimal) && part.is_none_or(is_number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_and_jobs_are_told_apart() {
        let id = "6c2c55f0-8d1c-4fd4-a4d5-0c7a3f1f9a11";
        let job = |id: &str| Target::Job(JobId::new(id));
        for (text, target) in [
            (id.to_owned(), job(id)),
            (format!("{id}:3"), job(&format!("{id}:3"))),
            (format!("{id}#0"), job(&format!("{id}#0"))),
            (
                format!("arn:aws-cn:batch:cn-north-1:1:job/{id}:7"),
                job(&format!("{id}:7")),
            ),
            (
                "MyFlow/17".to_owned(),
                Target::Run("MyFlow".parse().unwrap(), RunId::new("17").unwrap()),
            ),
        ] {
            assert_eq!(Target::parse(&text).unwrap(), target, "{text}");
        }
        for bad in [
            "",
            "MyFlow",
            "MyFlow/17/start",
            "MyFlow/",
            "6c2c55f0",
            "arn:aws:batch:eu-north-1:1:job-queue/q",
            "arn:aws:batch:eu-north-1:1:job/q",
            "6c2c55f0-8d1c-4fd4-a4d5-0c7a3f1f9a11:",
            "6c2c55f0-8d1c-4fd4-a4d5-0c7a3f1f9a1g",
        ] {
            let error = Target::parse(bad).unwrap_err().to_string();
            assert!(error.contains("\nhint: "), "{error}");
        }
    }
}
