//! The embedded stack: the parts of AWS that Ferroflow and Metaflow call, on loopback, in one process. Jobs are processes
//! of this machine; objects are files below the stack's folder.
//!
//! It knows nothing of Ferroflow's other crates and nothing of the AWS SDK: its oracles are boto3, the AWS CLI, stock
//! Metaflow and AWS's service models. `ferroflow dev` starts it, always in a process of its own.

mod answer;
pub mod batch;
mod call;
mod caller;
mod clock;
mod container_agent;
mod context;
mod credentials;
pub mod faults;
mod folder;
pub mod history;
mod journal;
pub mod logs;
mod reply;
pub mod s3;
mod server;
mod sigv4;
mod simulate;
mod stack;
mod status;
mod sts;
mod wire;

pub use answer::STATUS_PATH;
pub use caller::Caller;
pub use clock::Clock;
pub use context::Context;
pub use credentials::KeyPair;
pub use folder::{Description, Folder, Lock, Secrets, StackError, Token};
pub use journal::Journal;
pub use reply::{ApiError, Reply};
pub use simulate::Simulation;
pub use stack::{BUCKET, Options, Stack, run};
