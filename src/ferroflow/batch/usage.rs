//! What tasks used, as metadata of theirs: FERROFLOW_USAGE.
//!
//! With the metadata service the container tells it. With the local provider the launcher does, when it has brought the
//! container's metadata here.

use std::{env, path::Path};

use datastore::local_metadata::{self, LocalMetadataError};
use model::{
    Timestamp,
    spec::TaskOutcome,
    task_metadata::{self, Owner},
};

use super::{Launch, Shared, request};

/// Environment variable: `off` leaves the metadata of tasks as Metaflow has it.
pub(crate) const USAGE: &str = "FERROFLOW_USAGE";

/// Where tasks on Batch leave their logs.
const DATASTORE: &str = "s3";

/// The provider that containers reach by themselves.
const SERVICE: &str = "service";

/// Whether tasks are told what they used.
pub(crate) fn is_wanted() -> bool {
    env::var_os(USAGE).is_none_or(|value| value != "off")
}

impl Shared {
    /// Whether containers register what their tasks used.
    pub(super) fn containers_register(&self) -> bool {
        self.registers_usage && self.plan.metadata == SERVICE
    }
}

/// Adds to the local metadata of a task, below `root`, what the container has not brought: what it used, and, if it has
/// brought nothing at all, where its logs are. `outcome` is what it said at its end.
pub(super) async fn register(
    shared: &Shared,
    launch: &Launch,
    outcome: Option<&TaskOutcome>,
    has_metadata: bool,
    root: &Path,
) -> Result<(), LocalMetadataError> {
    if !shared.registers_usage {
        return Ok(());
    }
    let at = Timestamp(jiff::Timestamp::now().as_millisecond());
    let owner = Owner {
        flow: &shared.plan.flow,
        task: &launch.path,
        attempt: launch.attempt,
        user: request::user(launch.command.common()),
    };
    let mut records = Vec::new();
    if !has_metadata {
        let root = &shared.plan.datastore.root;
        records.extend(task_metadata::of_place(DATASTORE, root, owner, at));
    }
    let usage = outcome.map(|outcome| task_metadata::of_usage(outcome, owner, at));
    records.extend(usage.into_iter().flatten());
    local_metadata::register(root, &shared.plan.flow, &launch.path, records, at).await
}
