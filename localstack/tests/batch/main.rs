//! AWS Batch and CloudWatch Logs of the embedded stack, driven by their operations, with real processes.

#![cfg_attr(
    not(target_os = "linux"),
    allow(dead_code, unused_imports, reason = "some tests look into /proc")
)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod arrays;
mod faults;
mod jobs;
mod listing;
mod logs;
mod processes;
mod resources;
mod restart;
mod stack;
mod validation;
