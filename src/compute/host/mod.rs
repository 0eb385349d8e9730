//! The flow host: the Python process that runs launcher-side hooks for the engine
//! (docs/host-protocol.md).

mod client;
pub mod protocol;
mod siblings;

pub use client::{Host, HostError, HostEvents, Questions, Session};
pub use siblings::{BatchTask, PrepareSiblings, SiblingKey};
