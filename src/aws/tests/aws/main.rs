//! The adapters against servers: one in this process that answers as it is told, and moto where
//! it is there.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod again;
mod batch_calls;
mod credentials;
mod environment;
mod job_definitions;
mod job_queues;
mod moto;
mod s3_faults;
mod server;
mod submit_job;
mod waiting;
