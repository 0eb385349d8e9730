//! The embedded stack: the parts of AWS that Ferroflow and Metaflow call, on loopback, in one process. Jobs are processes
//! of this machine; objects are files below the stack's folder.
//!
//! It knows nothing of Ferroflow's other crates and nothing of the AWS SDK: its oracles are boto3, the AWS CLI, stock
//! Metaflow and AWS's service models. `ferroflow dev` starts it, always in a process of its own.

pub mod batch;
mod clock;
mod context;
pub mod faults;
pub mod history;
mod journal;
pub mod logs;
mod reply;
pub mod s3;

pub use clock::Clock;
pub use context::Context;
pub use journal::Journal;
pub use reply::{ApiError, Reply};
