//! What is to go wrong, chosen by operation, number of the call, job name, array index and client first, by seed and
//! probability second. The server asks before each call; the Batch service asks before it starts a job. docs/faults.md is
//! the reference for users.

mod chance;
mod fault;
mod rule;
mod rules;
mod subject;

pub use fault::Fault;
pub use rule::{Rule, RuleError, START_JOB};
pub use rules::{Event, Faults, Fired};

/// Marks a response that is not to be sent: where a service leaves [`Fault::LoseReply`] to the server, the server finds this
/// among the response's extensions and closes the connection.
#[derive(Debug, Clone, Copy)]
pub struct LoseReply;
