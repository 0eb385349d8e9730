//! The flow host: the Python process that runs launcher-side hooks for the engine
//! (docs/host-protocol.md).

mod client;
pub mod protocol;

pub use client::{Host, HostError, HostEvents, Questions, Session};
