//! Names and ARNs.

use super::{
    job::DefinitionKey,
    resource::{JobDefinition, JobQueue},
    service::Shared,
    state::State,
};
use crate::ApiError;

/// Longest name of anything (API reference).
const NAME_LENGTH: usize = 128;

/// A name begins with a letter or a digit and goes on with those, `-` and `_`.
pub(super) fn check_name(what: &str, name: &str) -> Result<(), ApiError> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let starts_well = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if starts_well && name.len() <= NAME_LENGTH && name.chars().all(is_plain) {
        return Ok(());
    }
    Err(ApiError::client(format!(
        "{what} should match valid pattern: ^[a-zA-Z0-9][a-zA-Z0-9_-]{{0,127}}$; got '{name}'"
    )))
}

impl Shared {
    pub(super) fn arn(&self, resource: &str) -> String {
        self.context.arn("batch", resource)
    }

    pub(super) fn job_arn(&self, id: &str) -> String {
        self.arn(&format!("job/{id}"))
    }

    pub(super) fn queue_arn(&self, name: &str) -> String {
        self.arn(&format!("job-queue/{name}"))
    }

    pub(super) fn environment_arn(&self, name: &str) -> String {
        self.arn(&format!("compute-environment/{name}"))
    }

    pub(super) fn definition_arn(&self, key: &DefinitionKey) -> String {
        self.arn(&format!("job-definition/{key}"))
    }

    /// What follows the kind in an ARN of this stack, or the text itself if it is no ARN. Nothing if it is the ARN of
    /// another kind, account or region.
    pub(super) fn plain<'a>(&self, kind: &str, text: &'a str) -> Option<&'a str> {
        if text.starts_with("arn:") {
            text.strip_prefix(&self.arn(&format!("{kind}/")))
        } else {
            Some(text)
        }
    }

    pub(super) fn queue<'a>(&self, state: &'a State, text: &str) -> Option<&'a JobQueue> {
        state.queues.get(self.plain("job-queue", text)?)
    }

    /// The revision that a name, `name:revision` or ARN means; without a revision, the newest that is ACTIVE.
    pub(super) fn definition<'a>(&self, state: &'a State, text: &str) -> Option<&'a JobDefinition> {
        let plain = self.plain("job-definition", text)?;
        match plain.split_once(':') {
            None => state
                .definitions
                .get(plain)?
                .iter()
                .rev()
                .find(|definition| definition.active),
            Some((name, revision)) => {
                let index = revision.parse::<usize>().ok()?.checked_sub(1)?;
                state.definitions.get(name)?.get(index)
            }
        }
    }
}
