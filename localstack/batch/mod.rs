//! The AWS Batch API.
