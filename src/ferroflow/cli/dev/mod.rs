//! `ferroflow dev …`: the embedded stack, Batch and S3 on this machine. It is always a process of its own; only this folder
//! knows of its crate. A build without the feature `dev` has the verb, which says so.

#[cfg(feature = "dev")]
pub(crate) mod auto;
#[cfg(feature = "dev")]
mod check_history;
#[cfg(feature = "dev")]
mod down;
#[cfg(feature = "dev")]
mod env;
#[cfg(feature = "dev")]
mod folder;
#[cfg(not(feature = "dev"))]
mod missing;
#[cfg(feature = "dev")]
mod serve;
#[cfg(feature = "dev")]
mod status;
#[cfg(feature = "dev")]
mod up;
#[cfg(feature = "dev")]
mod variables;
#[cfg(feature = "dev")]
mod verbs;

#[cfg(not(feature = "dev"))]
pub(crate) use missing::{Args, auto, run};
#[cfg(feature = "dev")]
pub(crate) use verbs::{Args, run};
