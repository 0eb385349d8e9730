//! Exit codes with a meaning; docs/errors.md lists them for users.

/// Exit code of a `step` process that must not be tried again
/// (`METAFLOW_EXIT_DISALLOW_RETRY`, metaflow/exception.py).
pub const DISALLOW_RETRY: i32 = 202;
/// A run failed or did not start, a verb could not do its work, or Metaflow printed an error. What failed was told.
pub const FAILURE: i32 = 1;
/// The command line was wrong, and nothing was done: one of Ferroflow's own verbs, or of Metaflow, which is click's code.
pub const USAGE: i32 = 2;
/// `ferroflow package` has no folder that can be written and has space left; what makes packages
/// in memory still can (`python/ferroflow/package.py`).
pub const NO_FOLDER: i32 = 4;

/// Exit codes of a container in which user code did not start, or must not be heard of any more. They are far from what
/// programs and shells use; user code that ends with one of them left an outcome that says so.
pub mod container {
    /// The stub: no bootstrap for this machine's architecture.
    pub const NO_BOOTSTRAP: i32 = 110;
    /// The stub: the bootstrap could not be fetched, or is not what the job asked for.
    pub const BOOTSTRAP_FETCH: i32 = 111;
    /// The stub: nowhere to execute the bootstrap from.
    pub const BOOTSTRAP_EXEC: i32 = 112;
    /// Another container runs this launch, or it was revoked.
    pub const DUPLICATE: i32 = 113;
    /// The bootstrap failed before user code: its outcome and the task's log say why.
    pub const BOOTSTRAP_FAILED: i32 = 114;
    /// A later attempt of the task was launched, because AWS Batch had called this container dead: it was stopped, and wrote
    /// nothing more.
    pub const SUPERSEDED: i32 = 115;
}
