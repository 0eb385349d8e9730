//! Exit codes with a meaning.

/// Exit code of a `step` process that must not be tried again
/// (`METAFLOW_EXIT_DISALLOW_RETRY`, metaflow/exception.py).
pub const DISALLOW_RETRY: i32 = 202;
/// A run failed, or Metaflow printed an error.
pub const FAILURE: i32 = 1;
/// The command line of one of Ferroflow's own verbs was wrong.
pub const USAGE: i32 = 2;
/// No Python interpreter that can import metaflow was found.
pub const NO_METAFLOW: i32 = 3;
