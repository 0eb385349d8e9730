//! Metaflow's datastore: a small port to object stores, the local one, and on top of it the
//! content-addressed store, the outcome of tasks, and the files that the launcher writes.
//!
//! The keys come from [`model::layout`]; nothing here decides what runs next.

pub mod attempt;
pub mod cas;
#[cfg(any(test, feature = "testing"))]
pub mod conformance;
pub mod error;
#[cfg(any(test, feature = "testing"))]
pub mod failing;
mod json;
pub mod known_values;
pub mod local;
pub mod local_metadata;
pub mod logs;
pub mod object_store;
pub mod own_folder;
pub mod package;
pub mod task_result;

pub use attempt::AttemptRef;
pub use error::{Cause, ErrorKind, Op, StoreError};
pub use known_values::KnownValues;
pub use object_store::{
    Entry, Info, Object, ObjectStore, PutMode, PutOptions, PutOutcome, UserMetadata,
};
pub use task_result::{Missing, TaskResult, TaskResultError};
