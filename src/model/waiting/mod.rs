//! Why a job on AWS Batch is not running: from what Batch's read-only calls tell to one cause, what shows it, and what to do
//! about it. docs/why.md is the table for users.
//!
//! The walk goes from what rules everything else out (no queue) down to what is as it should be (hosts are being started);
//! what Batch's API does not tell, such as the limits of an account, is not guessed at: then nothing is found, and the text
//! says so.

mod blocked;
mod cause;
mod evidence;
mod fargate;
mod fit;
mod instance_type;
mod looked_at;
mod text;
mod walk;

pub use blocked::BlockedReason;
pub use cause::{Ahead, Cause, Obstacle, Obstructed, Outlook};
pub use evidence::{
    ArrayCounts, Evidence, Front, Head, Needs, QueueLook, Seen, Unseen, WaitingJob,
};
pub use text::Told;
