//! The S3 API: `s3s` speaks the protocol and verifies signatures, the store behind it is ours.
//!
//! The index is an ordered map from bucket and key to object, kept in memory and in the append-only file
//! `<folder>/s3/index.jsonl`. Bodies are files below `<folder>/s3/blobs/`, named by a counter, written whole before they are
//! indexed; small ones live in the index. A check and the write that depends on it happen under one lock, which is what
//! claims rely on. Keys are exact: nothing is derived from them but their order.
//!
//! What is not written here answers `NotImplemented`: versions, access control lists, lifecycle, SSE-C, object lock.

mod blob;
mod buckets;
mod checksum;
mod complete_multipart_upload;
mod condition;
mod copy_object;
mod delete_object;
mod draft;
mod drain;
mod effect;
mod failure;
mod get_object;
mod headers;
mod index;
mod inside;
mod list_multipart_uploads;
mod list_objects;
mod multipart_upload;
mod object;
mod object_tagging;
mod operations;
mod page;
mod put_object;
mod send;
mod service;
mod store;
mod upload_part;
mod watch;

pub(crate) use inside::Put;
pub(crate) use operations::has_operation;
pub use service::S3;
