//! The bootstrap against a store in this process, as a library and as the real program.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod arrays;
mod claims;
mod credentials;
mod entrypoint;
mod fixture;
mod lease;
mod logs;
mod outcomes;
mod packages;
mod server;
mod signals;
mod store_faults;
mod stub;
mod usage;
