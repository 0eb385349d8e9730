//! AWS Batch and CloudWatch Logs of the embedded stack, driven by their operations, with real processes.

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
