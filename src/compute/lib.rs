//! Where attempts run: the protocol of the flow host, and compute on this machine.

pub mod host;
pub mod local;
