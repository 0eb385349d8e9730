//! What a launcher leaves in the datastore before its first job, for one that takes the run over.

use serde::{Deserialize, Serialize};

use crate::{Plan, run_record::Launcher, spec::PackageRef};

/// The version of the opening that is written here.
pub const OPENING_VERSION: u32 = 1;

/// The run as its first launcher began it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Opening {
    /// [`OPENING_VERSION`] of the writer.
    pub version: u32,
    /// The plan.
    pub plan: Plan,
    /// Who began it.
    pub launcher: Launcher,
    /// The code with which it was begun.
    pub package: PackageRef,
}
