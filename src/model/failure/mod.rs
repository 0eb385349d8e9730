//! Why an attempt on AWS Batch failed: from all that is known of its end to one class, a text for
//! the user, and whether it may be repeated. docs/failures.md is the table for users.
//!
//! It does not decide about success (docs/launch-protocol.md, "What happened to a task"), and
//! counts nothing: who submits and who schedules keep to the numbers of [`RetryAdvice`].

mod advice;
mod class;
mod classify;
#[cfg(test)]
mod document;
mod evidence;
mod explanation;
mod figures;
#[cfg(test)]
mod golden;
mod hints;
mod reasons;

pub use advice::RetryAdvice;
pub use class::{BootstrapFault, Class, Outlook};
pub use evidence::Evidence;
pub use explanation::Explanation;
pub use figures::grouped;
